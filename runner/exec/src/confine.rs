//! Confinement: commands may write to the workspace, to a temporary folder and to what the person named,
//! nowhere else.
//!
//! Landlock does it, a part of Linux that lets a thread give up rights for itself and for whatever it starts.
//! The agent gives them up on a thread of its own and starts the command from there, so that no program ever
//! runs without it. The runner tries the same once at its start, on a thread that ends at once: where the
//! system has no Landlock it does not start, and where it has an older one it says what that leaves open.
//! Reading is not confined, nor is what other programs do for a command that can reach them; `SECURITY.md`
//! has the list.

use std::io;
use std::path::{Path, PathBuf};

use shared::protocol::Confined;
use thiserror::Error;

/// Devices that take what is written to them without keeping it, and terminals.
#[cfg(target_os = "linux")]
const DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];

/// Where commands may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confine {
    /// The workspace, the temporary folder, and what was named: absolute.
    writable: Vec<PathBuf>,
    /// The temporary folder of all commands.
    temporary: PathBuf,
}

/// Why commands cannot be confined.
#[derive(Debug, Error)]
pub enum ConfineError {
    #[error("the temporary folder {} cannot be made: {error}", path.display())]
    Temporary { path: PathBuf, error: io::Error },
    #[error("{0}. Start without --confine if commands may write wherever you may")]
    Unsupported(String),
}

impl Confine {
    /// Makes the temporary folder anew, and tries whether this system can confine.
    ///
    /// # Errors
    /// The folder cannot be made, or the system cannot.
    pub fn new(
        workspace: &Path,
        state: &Path,
        named: Vec<PathBuf>,
    ) -> Result<(Self, Confined), ConfineError> {
        let temporary = state.join("tmp");
        make_anew(&temporary).map_err(|error| ConfineError::Temporary { path: temporary.clone(), error })?;
        let mut writable = vec![workspace.to_owned(), temporary.clone()];
        writable.extend(named);
        let confine = Self { writable, temporary };
        let folders = confine.folders();
        let tried = std::thread::spawn(move || restrict(&folders)).join();
        let gaps = tried
            .unwrap_or_else(|_| Err("trying to confine failed".to_owned()))
            .map_err(ConfineError::Unsupported)?;
        let writable = confine.folders();
        Ok((confine, Confined { writable, gaps }))
    }

    /// Where commands may write.
    pub fn folders(&self) -> Vec<String> {
        self.writable.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// Where they are told to put what is temporary.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Removes what they left there.
    pub fn clean(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.temporary) {
            tracing::debug!(%error, "the temporary folder stays");
        }
    }
}

fn make_anew(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

/// Takes from this thread, and from whatever it starts, the right to write anywhere else. Gives what this
/// system leaves open all the same, each a sentence.
///
/// # Errors
/// Why it cannot be, as part of a sentence; then nothing may be started from here.
#[cfg(target_os = "linux")]
pub(crate) fn restrict(writable: &[String]) -> Result<Vec<String>, String> {
    use landlock::{
        ABI, AccessFs, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
        RulesetCreatedAttr as _, RulesetStatus, path_beneath_rules,
    };

    let write = AccessFs::from_write(ABI::V5);
    let failed = |error: &dyn std::error::Error| format!("commands cannot be confined: {error}");
    let mut ruleset =
        Ruleset::default().handle_access(write).and_then(Ruleset::create).map_err(|error| failed(&error))?;
    for path in writable {
        let beneath = PathFd::new(path).map_err(|error| failed(&error))?;
        let whole = Path::new(path).is_dir();
        let access = if whole { write } else { write & AccessFs::from_file(ABI::V5) };
        ruleset = ruleset.add_rule(PathBeneath::new(beneath, access)).map_err(|error| failed(&error))?;
    }
    let device = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let status = ruleset
        .add_rules(path_beneath_rules(DEVICES, device))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|error| failed(&error))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(
            "commands cannot be confined: this kernel has no Landlock (it came with Linux 5.13), or it was \
                    switched off at boot"
                .to_owned(),
        );
    }
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => ABI::Unsupported,
    };
    Ok(gaps(abi >= ABI::V3, abi >= ABI::V5))
}

/// See above.
///
/// # Errors
/// Always: nothing else than Landlock is used.
#[cfg(not(target_os = "linux"))]
pub(crate) fn restrict(_writable: &[String]) -> Result<Vec<String>, String> {
    Err("commands cannot be confined on this system: it takes Landlock, a part of Linux".to_owned())
}

/// What older kernels leave open.
#[cfg(any(target_os = "linux", test))]
fn gaps(truncation: bool, devices: bool) -> Vec<String> {
    let mut gaps = Vec::new();
    if !truncation {
        gaps.push("Files elsewhere can still be emptied: to prevent that takes Linux 6.2.".to_owned());
    }
    if !devices {
        gaps.push("Devices can still be controlled: to prevent that takes Linux 6.10.".to_owned());
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_kernel_leaves_open_is_said() {
        assert_eq!(gaps(true, true), Vec::<String>::new());
        assert_eq!(gaps(false, false).len(), 2);
        assert!(gaps(true, false)[0].contains("Devices"));
    }
}

//! The workspace as it is now. Its folder may be renamed and another made in its place while the runner runs;
//! a handle stays with the one that it was opened for.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use parking_lot::Mutex;
use rustix::fs::OFlags;
use shared::{Problem, ProblemCode};

use super::problem::system;

pub(super) struct Workspace {
    pub(super) path: PathBuf,
    /// What it is, if so much lies in it that a person must allow each change.
    pub(super) wide: Option<String>,
    pub(super) dir: Dir,
    /// Held by a change: they are made one at a time.
    pub(super) changing: Arc<Mutex<()>>,
    /// The same with a newer handle, once another folder has come to its path.
    newer: Mutex<Option<Arc<Self>>>,
}

impl Workspace {
    pub(super) fn open(path: &Path, wide: Option<String>) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        Ok(Self { path, wide, dir, changing: Arc::default(), newer: Mutex::default() })
    }

    /// With a handle on the folder that is at the workspace's path now.
    pub(super) fn current(self: &Arc<Self>) -> Result<Arc<Self>, Problem> {
        let mut newer = self.newer.lock();
        let held = newer.as_ref().unwrap_or(self);
        let workspace = self.path.display();
        let refuse = |message: String| Err(Problem::new(ProblemCode::System, message));
        let there = match self.path.canonicalize() {
            Ok(real) if real != self.path => {
                return refuse(format!(
                    "The workspace {workspace} has become a link to {}. Start the runner for the folder that is meant.",
                    real.display()
                ));
            }
            Ok(real) => fs::metadata(real),
            Err(error) => Err(error),
        };
        let there = match there {
            Ok(there) => there,
            Err(error) => {
                return refuse(format!(
                    "The workspace {workspace} is no longer there ({error}): it was renamed or removed. Make it again, \
                     or start the runner where it is now."
                ));
            }
        };
        if held.dir.dir_metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino())) {
            return Ok(Arc::clone(held));
        }
        let dir = match Dir::open_ambient_dir(&self.path, ambient_authority()) {
            Ok(dir) => dir,
            Err(error) => return refuse(format!("The workspace {workspace} cannot be opened: {error}.")),
        };
        tracing::warn!(
            "Another folder is the workspace {workspace} now; the file tools work in it from here on."
        );
        let current = Arc::new(Self {
            path: self.path.clone(),
            wide: self.wide.clone(),
            dir,
            changing: Arc::clone(&self.changing),
            newer: Mutex::default(),
        });
        *newer = Some(Arc::clone(&current));
        Ok(current)
    }

    /// The path relative to the workspace, as it was named.
    pub(super) fn relative(&self, path: &str) -> Result<PathBuf, Problem> {
        let malformed = |message: &str| Problem::new(ProblemCode::Malformed, format!("{path:?} {message}"));
        if path.contains('\0') {
            return Err(malformed("holds a zero byte, which no path can."));
        }
        let relative = match Path::new(path) {
            absolute if absolute.is_absolute() => {
                absolute.strip_prefix(&self.path).map_err(|_| self.outside(path))?
            }
            relative => relative,
        };
        // `a/../b` without looking at links: the handle alone decides, but a path that climbs out by its name
        // alone deserves the clear answer.
        let mut depth = 0_i64;
        for component in relative.components() {
            match component {
                Component::ParentDir => depth -= 1,
                Component::Normal(_) => depth += 1,
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
            if depth < 0 {
                return Err(self.outside(path));
            }
        }
        if relative.file_name().is_none() {
            return Err(malformed("names no file."));
        }
        Ok(relative.to_owned())
    }

    /// The same, with links followed as far as they lead inside, for what is to be replaced.
    pub(super) fn target(&self, path: &str) -> Result<PathBuf, Problem> {
        let relative = self.relative(path)?;
        match self.dir.canonicalize(&relative) {
            Ok(real) => Ok(real),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.dir.symlink_metadata(&relative).is_ok_and(|metadata| metadata.is_symlink()) {
                    let message = format!(
                        "{path} is a link to something that is not there. Write to its target, or remove the link."
                    );
                    return Err(Problem::new(ProblemCode::Conflict, message));
                }
                Ok(relative)
            }
            Err(error) => Err(self.refused(path, &error)),
        }
    }

    /// A regular file and its length.
    pub(super) fn file(&self, relative: &Path, path: &str) -> Result<(File, u64), Problem> {
        let refused = |error: io::Error| self.refused(path, &error);
        let mut options = OpenOptions::new();
        // A named pipe would block its reader for ever.
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = self.dir.open_with(relative, &options).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        if metadata.is_dir() {
            let message = format!("{path} is a folder. Use a command such as ls to list it.");
            return Err(Problem::new(ProblemCode::NotText, message));
        }
        if !metadata.is_file() {
            return Err(Problem::new(
                ProblemCode::NotText,
                format!("{path} is a device or pipe, not a file."),
            ));
        }
        Ok((file, metadata.len()))
    }

    pub(super) fn outside(&self, path: &str) -> Problem {
        let message = format!(
            "{path} is outside the workspace {}. The file tools work inside it only.",
            self.path.display()
        );
        Problem::new(ProblemCode::OutsideWorkspace, message)
    }

    pub(super) fn refused(&self, path: &str, error: &io::Error) -> Problem {
        // The handle's own refusal bears no number of the system's.
        if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
            self.outside(path)
        } else if error.kind() == io::ErrorKind::NotFound {
            Problem::new(ProblemCode::NotFound, format!("There is no file {path} in the workspace."))
        } else {
            system(path, error)
        }
    }
}

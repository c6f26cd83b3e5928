//! Finds Chromium and its driver, which the browser tests need, or installs them, or says how.
//!
//! In this order: the variables `CHROMIUM` and `CHROMEDRIVER`, the `PATH`, the usual places; then, on a system
//! with apt and the right to use it, its packages. The two must be of one major version, since the driver
//! refuses others.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use crate::{cargo, say};

const CHROMIUM: Program = Program {
    variable: "CHROMIUM",
    names: &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"],
    places: &[
        "/snap/bin/chromium",
        "/usr/lib/chromium/chromium",
        "/opt/google/chrome/chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ],
};

const DRIVER: Program = Program {
    variable: "CHROMEDRIVER",
    names: &["chromedriver", "chromium.chromedriver"],
    places: &[
        "/snap/bin/chromium.chromedriver",
        "/usr/lib/chromium/chromedriver",
        "/usr/lib/chromium-browser/chromedriver",
        "/opt/homebrew/bin/chromedriver",
    ],
};

struct Program {
    variable: &'static str,
    names: &'static [&'static str],
    places: &'static [&'static str],
}

/// The first of these programs in a list of folders such as `PATH`; an earlier name wins over an earlier folder.
pub(crate) fn find_in(path: &OsStr, names: &[&str]) -> Option<PathBuf> {
    names.iter().find_map(|name| {
        let name = format!("{name}{}", env::consts::EXE_SUFFIX);
        env::split_paths(path).map(|folder| folder.join(&name)).find(|file| file.is_file())
    })
}

/// A Chromium and a driver that fits it.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) driver: PathBuf,
}

impl Browser {
    /// Finds both, and installs them if they are missing and that is possible.
    pub(crate) fn ensure() -> anyhow::Result<Self> {
        System::ours().browser()
    }

    /// Writes the file of capabilities that the WebAssembly test runner gives to the driver.
    pub(crate) fn write_capabilities(&self, file: &Path) -> anyhow::Result<()> {
        let capabilities = json!({
            "goog:chromeOptions": { "binary": self.chromium, "args": ["--headless=new", "--disable-gpu"] },
        });
        fs::write(file, capabilities.to_string())
            .with_context(|| format!("{} cannot be written", file.display()))
    }
}

/// The first number in what the program says about its version.
fn major_version(program: &Path) -> anyhow::Result<u32> {
    let output = cargo::command(program)
        .arg("--version")
        .output()
        .with_context(|| format!("{} could not be started", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    number_in(&text).with_context(|| format!("{} --version says no version: {text:?}", program.display()))
}

fn number_in(text: &str) -> Option<u32> {
    text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok())
}

/// Where programs are looked for, and by what they are installed.
struct System {
    path: OsString,
    variable: fn(&str) -> Option<OsString>,
    has_usual_places: bool,
    /// What `/etc/os-release` says.
    release: String,
}

impl System {
    fn ours() -> Self {
        Self {
            path: env::var_os("PATH").unwrap_or_default(),
            variable: |name| env::var_os(name),
            has_usual_places: true,
            release: fs::read_to_string("/etc/os-release").unwrap_or_default(),
        }
    }

    fn browser(&self) -> anyhow::Result<Browser> {
        let browser = match self.find_both()? {
            Some(browser) => browser,
            None if self.install()? => {
                self.find_both()?.with_context(|| self.missing("was installed and cannot be found"))?
            }
            None => bail!(self.missing("is missing")),
        };
        let (one, other) = (major_version(&browser.chromium)?, major_version(&browser.driver)?);
        ensure!(
            one == other,
            "{} has version {one} and {} has version {other}; install both from one source, or name others \
             in the variables CHROMIUM and CHROMEDRIVER",
            browser.chromium.display(),
            browser.driver.display()
        );
        Ok(browser)
    }

    fn find_both(&self) -> anyhow::Result<Option<Browser>> {
        let (chromium, driver) = (self.find(&CHROMIUM)?, self.find(&DRIVER)?);
        Ok(chromium.zip(driver).map(|(chromium, driver)| Browser { chromium, driver }))
    }

    fn find(&self, program: &Program) -> anyhow::Result<Option<PathBuf>> {
        if let Some(file) = (self.variable)(program.variable).filter(|value| !value.is_empty()) {
            let file = PathBuf::from(file);
            ensure!(file.is_file(), "{} is {}, where no file is", program.variable, file.display());
            return Ok(Some(file));
        }
        let usual = || program.places.iter().map(PathBuf::from).find(|file| file.is_file());
        Ok(find_in(&self.path, program.names).or_else(|| self.has_usual_places.then(usual).flatten()))
    }

    /// Installs both with apt, if there is apt and the right to use it. Returns whether it did.
    fn install(&self) -> anyhow::Result<bool> {
        if find_in(&self.path, &["apt-get"]).is_none() || self.is_ubuntu() {
            return Ok(false);
        }
        let yes = |program: &str, args: &[&str]| {
            self.command(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()
        };
        let root = yes("id", &["-u"]).is_some_and(|output| output.stdout.trim_ascii() == b"0");
        let sudo = !root && yes("sudo", &["-n", "true"]).is_some_and(|output| output.status.success());
        if !root && !sudo {
            return Ok(false);
        }
        say::step("Installing Chromium and its driver from the system's packages");
        for args in
            [&["update"][..], &["install", "--yes", "--no-install-recommends", "chromium", "chromium-driver"]]
        {
            let mut command = self.command(if root { "env" } else { "sudo" });
            if sudo {
                command.args(["-n", "env"]);
            }
            let status = command
                .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
                .args(args)
                .stdin(Stdio::null())
                .stdout(std::io::stderr())
                .status()?;
            ensure!(status.success(), "`apt-get {}` failed. {}", args.join(" "), self.missing("is missing"));
        }
        Ok(true)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = cargo::command(find_in(&self.path, &[program]).unwrap_or_else(|| program.into()));
        command.env("PATH", &self.path);
        command
    }

    /// Ubuntu's packages of these names only lead to a snap, which apt cannot install everywhere.
    fn is_ubuntu(&self) -> bool {
        self.release.lines().any(|line| line == "ID=ubuntu")
    }

    fn missing(&self, what: &str) -> String {
        format!(
            "the browser tests need Chromium and its driver, and one of them {what}. {} \
             Or name them in the variables CHROMIUM and CHROMEDRIVER.",
            advice(env::consts::OS, &self.release)
        )
    }
}

/// What to type on this system.
fn advice(os: &str, release: &str) -> &'static str {
    let ids = || {
        release
            .lines()
            .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
            .flat_map(|value| value.trim_matches('"').split(' '))
    };
    let is = |id: &str| ids().any(|other| other == id);
    match os {
        "macos" => "Install them: brew install --cask google-chrome chromedriver",
        "windows" => "Install them: winget install Google.Chrome Chromium.ChromeDriver",
        _ if ids().next() == Some("ubuntu") => "Install them: sudo snap install chromium",
        _ if is("debian") => "Install them: sudo apt-get install chromium chromium-driver",
        _ if is("fedora") || is("rhel") => "Install them: sudo dnf install chromium chromedriver",
        _ if is("arch") => "Install them: sudo pacman -S chromium",
        _ if is("alpine") => "Install them: apk add chromium chromium-chromedriver",
        _ if is("suse") => "Install them: sudo zypper install chromium chromedriver",
        _ => "Install your system's packages of them, or Chrome for Testing, which has both.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_say_them() {
        assert_eq!(number_in("Chromium 142.0.7444.59 built on Debian GNU/Linux 12"), Some(142));
        assert_eq!(number_in("ChromeDriver 142.0.7444.59 (abc-refs/branch-heads/7444@{#1})\n"), Some(142));
        assert_eq!(number_in("Google Chrome 9.1 beta"), Some(9));
        assert_eq!(number_in("command not found"), None);
    }

    #[test]
    fn every_system_gets_its_own_words() {
        assert!(advice("linux", "ID=debian\n").contains("apt-get"));
        assert!(advice("linux", "ID=ubuntu\nID_LIKE=debian\n").contains("snap"));
        assert!(advice("linux", "NAME=x\nID=rocky\nID_LIKE=\"rhel centos fedora\"\n").contains("dnf"));
        assert!(advice("linux", "ID=manjaro\nID_LIKE=arch\n").contains("pacman"));
        assert!(advice("macos", "").contains("brew"));
        assert!(advice("linux", "").contains("Chrome for Testing"));
    }

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = env::temp_dir().join(format!("meanwhile-browser-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn programs_are_found_by_name_before_folder() {
        let folder = Folder::new("path");
        let (one, two) = (folder.0.join("one"), folder.0.join("two"));
        fs::create_dir_all(&one).unwrap();
        fs::create_dir_all(&two).unwrap();
        let file = |name: &str| format!("{name}{}", env::consts::EXE_SUFFIX);
        fs::write(one.join(file("b")), "").unwrap();
        fs::write(two.join(file("a")), "").unwrap();
        let path = env::join_paths([&one, &two]).unwrap();
        assert_eq!(find_in(&path, &["a", "b"]), Some(two.join(file("a"))));
        assert_eq!(find_in(&path, &["c"]), None);
    }

    /// What is looked for on systems that have only these scripts.
    #[cfg(unix)]
    mod on {
        use std::os::unix::fs::PermissionsExt as _;

        use super::*;

        const ROOT: (&str, &str) = ("id", "echo 0");
        const USER: (&str, &str) = ("id", "echo 1000");
        const SUDO: (&str, &str) = ("sudo", "shift; exec \"$@\"");
        const TRUE: (&str, &str) = ("true", "");
        const ENV: (&str, &str) = ("env", "export \"$1\"; shift; exec \"$@\"");
        /// Notes how it is called, and installs what it is asked for.
        const APT: (&str, &str) = (
            "apt-get",
            r#"here=${0%/*}; echo "$DEBIAN_FRONTEND $*" >> "$here/calls"
               [ "$1" = update ] || for name in chromium chromedriver; do
                   printf '#!/bin/sh\necho %s 140.1\n' "$name" > "$here/$name"; /bin/chmod 700 "$here/$name"
               done"#,
        );

        fn system(folder: &Folder, release: &str, scripts: &[(&str, &str)]) -> System {
            for (name, script) in scripts {
                let file = folder.0.join(name);
                fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
            }
            System {
                path: folder.0.clone().into_os_string(),
                variable: |_| None,
                has_usual_places: false,
                release: release.to_owned(),
            }
        }

        fn words(folder: &Folder, release: &str, scripts: &[(&str, &str)]) -> String {
            system(folder, release, scripts).browser().unwrap_err().to_string()
        }

        #[test]
        fn a_system_with_apt_both_are_installed() {
            for (name, scripts) in
                [("root", &[ROOT, ENV, APT][..]), ("sudo", &[USER, SUDO, TRUE, ENV, APT][..])]
            {
                let folder = Folder::new(name);
                let browser = system(&folder, "ID=debian\n", scripts).browser().unwrap();
                assert_eq!(browser.chromium, folder.0.join("chromium"));
                assert_eq!(browser.driver, folder.0.join("chromedriver"));
                let install =
                    "noninteractive install --yes --no-install-recommends chromium chromium-driver\n";
                assert_eq!(
                    fs::read_to_string(folder.0.join("calls")).unwrap(),
                    format!("noninteractive update\n{install}")
                );
            }
        }

        #[test]
        fn a_system_where_they_cannot_be_installed_it_is_said_how_to() {
            for (name, release, scripts, advice) in [
                ("no-apt", "ID=fedora\n", &[ROOT, ENV][..], "sudo dnf install chromium chromedriver"),
                (
                    "no-right",
                    "ID=debian\n",
                    &[USER, ENV, APT][..],
                    "sudo apt-get install chromium chromium-driver",
                ),
                ("snap", "ID=ubuntu\nID_LIKE=debian\n", &[ROOT, ENV, APT][..], "sudo snap install chromium"),
            ] {
                let folder = Folder::new(name);
                let words = words(&folder, release, scripts);
                assert!(words.contains(advice) && words.contains("CHROMEDRIVER"), "{words}");
                assert!(!folder.0.join("calls").exists(), "{name}");
            }
        }

        #[test]
        fn a_failing_apt_its_call_is_named() {
            let folder = Folder::new("failing");
            let words = words(&folder, "ID=debian\n", &[ROOT, ENV, ("apt-get", "exit 100")]);
            assert!(words.contains("`apt-get update` failed"), "{words}");
        }

        #[test]
        fn two_versions_both_are_named() {
            let folder = Folder::new("versions");
            let scripts = [("chromium", "echo Chromium 140.0"), ("chromedriver", "echo ChromeDriver 141.2")];
            let words = words(&folder, "", &scripts);
            assert!(words.contains("version 140") && words.contains("version 141"), "{words}");
        }
    }
}

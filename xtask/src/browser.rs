//! Finds Chromium and its driver, which the browser tests need, or installs them, or says how.
//!
//! In this order: the variables `CHROMIUM` and `CHROMEDRIVER`, the `PATH`, the usual places; then, on a system
//! with apt and the right to use it, its packages. The two must be of one major version, since the driver
//! refuses others.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

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

impl Program {
    fn find(&self) -> anyhow::Result<Option<PathBuf>> {
        if let Some(file) = env::var_os(self.variable).filter(|value| !value.is_empty()) {
            let file = PathBuf::from(file);
            ensure!(file.is_file(), "{} is {}, where no file is", self.variable, file.display());
            return Ok(Some(file));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        Ok(find_in(&path, self.names)
            .or_else(|| self.places.iter().map(PathBuf::from).find(|file| file.is_file())))
    }
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
        let browser = match Self::find()? {
            Some(browser) => browser,
            None if install()? => {
                Self::find()?.with_context(|| missing("was installed and cannot be found"))?
            }
            None => bail!(missing("is missing")),
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

    fn find() -> anyhow::Result<Option<Self>> {
        let (chromium, driver) = (CHROMIUM.find()?, DRIVER.find()?);
        Ok(chromium.zip(driver).map(|(chromium, driver)| Self { chromium, driver }))
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

/// Installs both with apt, if there is apt and the right to use it. Returns whether it did.
fn install() -> anyhow::Result<bool> {
    let path = env::var_os("PATH").unwrap_or_default();
    if find_in(&path, &["apt-get"]).is_none() || is_ubuntu() {
        return Ok(false);
    }
    let yes = |program: &str, args: &[&str]| {
        cargo::command(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()
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
        let mut command = cargo::command(if root { "env" } else { "sudo" });
        if sudo {
            command.args(["-n", "env"]);
        }
        let status = command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()?;
        ensure!(status.success(), "`apt-get {}` failed. {}", args.join(" "), missing("is missing"));
    }
    Ok(true)
}

fn os_release() -> String {
    fs::read_to_string("/etc/os-release").unwrap_or_default()
}

/// Ubuntu's packages of these names only lead to a snap, which apt cannot install everywhere.
fn is_ubuntu() -> bool {
    os_release().lines().any(|line| line == "ID=ubuntu")
}

fn missing(what: &str) -> String {
    format!(
        "the browser tests need Chromium and its driver, and one of them {what}. {} \
         Or name them in the variables CHROMIUM and CHROMEDRIVER.",
        advice(env::consts::OS, &os_release())
    )
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

    #[test]
    fn programs_are_found_by_name_before_folder() {
        let folder = env::temp_dir().join(format!("meanwhile-browser-{}", std::process::id()));
        let (one, two) = (folder.join("one"), folder.join("two"));
        fs::create_dir_all(&one).unwrap();
        fs::create_dir_all(&two).unwrap();
        let file = |name: &str| format!("{name}{}", env::consts::EXE_SUFFIX);
        fs::write(one.join(file("b")), "").unwrap();
        fs::write(two.join(file("a")), "").unwrap();
        let path = env::join_paths([&one, &two]).unwrap();
        assert_eq!(find_in(&path, &["a", "b"]), Some(two.join(file("a"))));
        assert_eq!(find_in(&path, &["c"]), None);
        fs::remove_dir_all(folder).unwrap();
    }
}

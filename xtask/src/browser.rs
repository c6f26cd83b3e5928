//! Finds Chromium and its driver, which the browser tests need: the variables `CHROMIUM` and `CHROMEDRIVER`,
//! then the `PATH`. On Debian and as root its packages are installed; otherwise it says what to type. The two
//! must be of one major version, since the driver refuses others. Where there is Chromium's headless shell,
//! the same engine without a browser's own windows, end-to-end tests take that: it starts in a third of the
//! time.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};

use crate::cargo;

const MISSING: &str = "The browser tests need Chromium and its driver. Install them: on Debian \
    `sudo apt-get install chromium chromium-driver`, on Ubuntu `sudo snap install chromium`, on Fedora \
    `sudo dnf install chromium chromedriver`, on Arch `sudo pacman -S chromium`, on macOS \
    `brew install --cask google-chrome chromedriver`. Or name them in the variables CHROMIUM and CHROMEDRIVER.";

/// A Chromium and a driver that fits it.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) driver: PathBuf,
}

impl Browser {
    /// Finds both, and installs them if they are missing and that is possible.
    pub(crate) fn ensure() -> anyhow::Result<Self> {
        let Self { chromium, driver } = match Self::find()? {
            Some(browser) => browser,
            None if install()? => Self::find()?.context("Chromium was installed and cannot be found.")?,
            None => bail!(MISSING),
        };
        let (one, other) = (major_version(&chromium)?, major_version(&driver)?);
        ensure!(
            one == other,
            "{} has version {one} and {} has version {other}; install both from one source, or name others in the \
             variables CHROMIUM and CHROMEDRIVER",
            chromium.display(),
            driver.display()
        );
        Ok(Self { chromium, driver })
    }

    /// The headless shell that belongs to the driver, or else the browser itself.
    pub(crate) fn shell(self) -> Self {
        let named = env::var_os("CHROMIUM").is_some_and(|value| !value.is_empty());
        let shell = (!named).then(|| which::which("chromium-headless-shell").ok()).flatten();
        let fits = |shell: &PathBuf| matches!((major_version(shell), major_version(&self.driver)), (Ok(one), Ok(other)) if one == other);
        match shell.filter(fits) {
            Some(chromium) => Self { chromium, ..self },
            None => self,
        }
    }

    fn find() -> anyhow::Result<Option<Self>> {
        let chromium =
            named("CHROMIUM", &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"])?;
        let driver = named("CHROMEDRIVER", &["chromedriver", "chromium.chromedriver"])?;
        Ok(chromium.zip(driver).map(|(chromium, driver)| Self { chromium, driver }))
    }
}

fn named(variable: &str, names: &[&str]) -> anyhow::Result<Option<PathBuf>> {
    let Some(file) = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from) else {
        return Ok(names.iter().find_map(|name| which::which(name).ok()));
    };
    ensure!(file.is_file(), "{variable} is {}, where no file is", file.display());
    Ok(Some(file))
}

/// What apt-get is told, and whether it must succeed: without the headless shell there is still the browser.
const INSTALL: [(&str, bool); 3] = [
    ("update", true),
    ("install --yes --no-install-recommends chromium chromium-driver", true),
    ("install --yes --no-install-recommends chromium-headless-shell", false),
];

/// Installs them, on Debian and as root. Whether it did.
fn install() -> anyhow::Result<bool> {
    // Ubuntu's packages of these names only lead to a snap, which apt cannot install everywhere.
    let debian =
        fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"));
    let root = cargo::command("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !debian || !root {
        return Ok(false);
    }
    eprintln!("==> Installing Chromium and its driver from Debian's packages");
    for (args, needed) in INSTALL {
        let mut apt = cargo::command("apt-get");
        apt.args(args.split(' ')).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        let status = apt.stdout(std::io::stderr()).status().context("apt-get could not be started")?;
        ensure!(status.success() || !needed, "`apt-get {args}` failed. {MISSING}");
    }
    Ok(true)
}

/// The first number in what the program says about its version.
fn major_version(program: &Path) -> anyhow::Result<u32> {
    let output = cargo::command(program)
        .arg("--version")
        .output()
        .with_context(|| format!("{} could not be started", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok());
    number.with_context(|| format!("{} --version says no version: {text:?}", program.display()))
}

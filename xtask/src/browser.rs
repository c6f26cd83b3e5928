//! Finds Chromium and its driver, which the browser tests need: the variables `CHROMIUM` and `CHROMEDRIVER`, then the
//! `PATH`. On Debian and as root its packages are installed; otherwise it says what to type. The two must be of one major
//! version, since the driver refuses others.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use crate::{cargo, say};

const INSTALL: [&str; 5] = ["install", "--yes", "--no-install-recommends", "chromium", "chromium-driver"];
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
        let browser = match find()? {
            Some(browser) => browser,
            None if install()? => find()?.context("Chromium was installed and cannot be found.")?,
            None => bail!(MISSING),
        };
        let (one, other) = (major_version(&browser.chromium)?, major_version(&browser.driver)?);
        ensure!(
            one == other,
            "{} has version {one} and {} has version {other}; install both from one source, or name others in the \
             variables CHROMIUM and CHROMEDRIVER",
            browser.chromium.display(),
            browser.driver.display()
        );
        Ok(browser)
    }

    /// Writes the file of capabilities that the WebAssembly test runner gives to the driver.
    pub(crate) fn write_capabilities(&self, file: &Path) -> anyhow::Result<()> {
        let options = json!({"binary": self.chromium, "args": ["--headless=new", "--disable-gpu"]});
        fs::write(file, json!({"goog:chromeOptions": options}).to_string())
            .with_context(|| format!("{} cannot be written", file.display()))
    }
}

fn find() -> anyhow::Result<Option<Browser>> {
    let chromium =
        named("CHROMIUM", &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"])?;
    let driver = named("CHROMEDRIVER", &["chromedriver", "chromium.chromedriver"])?;
    Ok(chromium.zip(driver).map(|(chromium, driver)| Browser { chromium, driver }))
}

fn named(variable: &str, names: &[&str]) -> anyhow::Result<Option<PathBuf>> {
    match env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(file) => {
            let file = PathBuf::from(file);
            ensure!(file.is_file(), "{variable} is {}, where no file is", file.display());
            Ok(Some(file))
        }
        None => Ok(names.iter().find_map(|name| which::which(name).ok())),
    }
}

/// Installs both, on Debian and as root. Whether it did.
fn install() -> anyhow::Result<bool> {
    // Ubuntu's packages of these names only lead to a snap, which apt cannot install everywhere.
    let debian =
        fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"));
    let root = cargo::command("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !debian || !root {
        return Ok(false);
    }
    say::step("Installing Chromium and its driver from Debian's packages");
    for args in [&["update"][..], &INSTALL] {
        let status = cargo::command("apt-get")
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .context("apt-get could not be started")?;
        ensure!(status.success(), "`apt-get {}` failed. {MISSING}", args.join(" "));
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

//! `cargo xtask dist`: one optimised binary with the page inside it, in `dist/`, with its checksum beside it.

use std::env::consts;
use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{cargo, page};

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    page::build("page-dist")?;
    eprintln!("==> Building the runner (profile release)");
    let binary = cargo::build("meanwhile", &["--package", "runner", "--bin", "meanwhile", "--release"])?;
    let dist = cargo::root().join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("{} cannot be made", dist.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("meanwhile-{version}-{}-{}", consts::ARCH, consts::OS);
    let file = dist.join(&name);
    // Not over the old one: that may be running.
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("{} cannot be replaced", file.display()))?;
    }
    fs::copy(binary, &file).with_context(|| format!("{} cannot be written", file.display()))?;
    let bytes = fs::read(&file)?;
    let checksum = hex::encode(Sha256::digest(&bytes));
    fs::write(dist.join(format!("{name}.sha256")), format!("{checksum}  {name}\n"))?;
    eprintln!("    size    {} KiB\n    sha256  {checksum}", bytes.len().div_ceil(1024));
    eprintln!(
        "    It needs no other file. To run it on a folder:\n        {} --workspace FOLDER",
        file.display()
    );
    println!("{}", file.display());
    Ok(ExitCode::SUCCESS)
}

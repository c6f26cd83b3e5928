//! `cargo xtask dist`: one optimised binary with the page inside it, in `dist/`, with its checksum beside it.

use std::env;
use std::fmt::Write as _;
use std::fs;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{cargo, page, say};

pub(crate) fn run() -> anyhow::Result<()> {
    page::build(page::Profile::Page)?;
    say::step("Building the runner (profile release)");
    let binary = cargo::build("meanwhile", &["--package", "runner", "--bin", "meanwhile", "--release"])?;

    let dist = cargo::root().join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("{} cannot be made", dist.display()))?;
    let (version, arch, os, end) =
        (env!("CARGO_PKG_VERSION"), env::consts::ARCH, env::consts::OS, env::consts::EXE_SUFFIX);
    let name = format!("meanwhile-{version}-{arch}-{os}{end}");
    let file = dist.join(&name);
    // Not over the old one: that may be running.
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("{} cannot be replaced", file.display()))?;
    }
    fs::copy(&binary, &file).with_context(|| format!("{} cannot be written", file.display()))?;

    let bytes = fs::read(&file)?;
    let mut checksum = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(checksum, "{byte:02x}")?;
    }
    fs::write(dist.join(format!("{name}.sha256")), format!("{checksum}  {name}\n"))?;

    say::line(format_args!("    size    {}", say::size(bytes.len())));
    say::line(format_args!("    sha256  {checksum}"));
    say::line("    It needs no other file. To run it on a folder:");
    say::line(format_args!("        {} --workspace FOLDER", file.display()));
    say::result(file.display());
    Ok(())
}

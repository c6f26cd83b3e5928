//! Puts the built page into the binary: writes a table of `include_bytes!` over `target/site`.
//!
//! Runs before the crate compiles, and again whenever something in that folder changes. It owns no decision
//! about names, hashes or compression: `cargo xtask build` has made those, and everything that it put under
//! `assets/` carries a hash of its content in its name. Files ending in `.br` are the compressed twins of
//! their neighbours. Without a built page the table is empty, and the crate compiles all the same.
//!
//! A table of our own and not `rust-embed` or `memory-serve`: neither serves twins that were compressed
//! beforehand, both need a build script anyway to see files with new names, and these are eighty lines.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let site = manifest.parent().ok_or("the crate lies in a workspace")?.join("target/site");
    // A watched path that is missing would make cargo rebuild the crate every time.
    fs::create_dir_all(&site)?;
    println!("cargo::rerun-if-changed={}", site.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut files = BTreeSet::new();
    walk(&site, &mut files)?;
    let built = files.contains(&site.join("index.html"));
    let mut table = String::from("static FILES: &[File] = &[\n");
    for file in files.iter().filter(|file| built && file.extension().is_none_or(|end| end != "br")) {
        let path = slashed(file.strip_prefix(&site)?);
        let mut twin = file.clone().into_os_string();
        twin.push(".br");
        let twin = PathBuf::from(twin);
        let brotli = if files.contains(&twin) {
            format!("Some(include_bytes!({:?}))", twin.display().to_string())
        } else {
            String::from("None")
        };
        let mut hasher = DefaultHasher::new();
        fs::read(file)?.hash(&mut hasher);
        let hash = hasher.finish();
        writeln!(
            table,
            "    File {{ path: {path:?}, plain: include_bytes!({:?}), brotli: {brotli}, \
             etag: \"\\\"{hash:016x}\\\"\", etag_brotli: \"\\\"{hash:016x}-br\\\"\" }},",
            file.display().to_string(),
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("page_files.rs"), table)?;
    Ok(())
}

fn walk(folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.insert(entry.path());
        }
    }
    Ok(())
}

/// The path as it stands in a URL, whatever the system's separator is.
fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

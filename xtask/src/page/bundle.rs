//! The files of the page by name: hashes them, compresses them, and brings a folder to hold exactly them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use brotli::enc::BrotliEncoderParams;
use sha2::{Digest as _, Sha256};

use super::say_size;
use crate::say;

/// Collects files in memory; nothing is on disk before [`Bundle::write`].
pub(super) struct Bundle {
    files: BTreeMap<String, Vec<u8>>,
    quality: i32,
}

impl Bundle {
    /// `quality` is brotli's, 0 to 11.
    pub(super) fn new(quality: i32) -> Self {
        Self { files: BTreeMap::new(), quality }
    }

    /// Adds a file below `assets/` with a hash of its content in its name. Returns its URL.
    pub(super) fn add_hashed(&mut self, stem: &str, end: &str, bytes: Vec<u8>) -> String {
        let path = format!("assets/{stem}-{}.{end}", digest(&bytes));
        self.add_plain(&path, bytes)
    }

    /// Adds a file under exactly this path, relative to the page's root. Returns its URL.
    pub(super) fn add_plain(&mut self, path: &str, bytes: Vec<u8>) -> String {
        self.files.insert(path.to_owned(), bytes);
        format!("/{path}")
    }

    /// Brings `folder` to hold these files, their compressed twins, and nothing else. `index.html` comes last,
    /// so that it never names a file that is not there. Returns the compressed size of all WebAssembly,
    /// scripts and styles together, in bytes.
    pub(super) fn write(self, folder: &Path) -> anyhow::Result<usize> {
        let mut weight = 0;
        let mut wanted = BTreeSet::new();
        let (index, others): (Vec<_>, Vec<_>) =
            self.files.iter().partition(|(path, _)| *path == "index.html");
        for (path, bytes) in others.into_iter().chain(index) {
            let twin = compress(bytes, self.quality)?;
            say::line(format_args!(
                "    {:>10}  of {:>10}  {path}",
                say_size(twin.len()),
                say_size(bytes.len())
            ));
            if [".wasm", ".js", ".css"].iter().any(|end| path.ends_with(end)) {
                weight += twin.len();
            }
            // An incompressible file is served as it is.
            if twin.len() < bytes.len() {
                let twin_path = format!("{path}.br");
                replace(&folder.join(&twin_path), &twin)?;
                wanted.insert(twin_path);
            }
            replace(&folder.join(path), bytes)?;
            wanted.insert(path.clone());
        }
        for stale in files_below(folder)?.into_iter().filter(|path| !wanted.contains(path)) {
            fs::remove_file(folder.join(&stale)).with_context(|| format!("{stale} cannot be removed"))?;
        }
        say::line(format_args!("    {:>10}  WebAssembly, scripts and styles after brotli", say_size(weight)));
        Ok(weight)
    }
}

/// Writes the file unless it holds exactly that already.
fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}

fn compress(bytes: &[u8], quality: i32) -> anyhow::Result<Vec<u8>> {
    let params = BrotliEncoderParams { quality, lgwin: 22, size_hint: bytes.len(), ..Default::default() };
    let mut twin = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut twin, &params)?;
    Ok(twin)
}

/// The first 64 bits of the SHA-256 of these bytes, as 16 digits: enough to tell versions of a file apart.
pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().take(8).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// All files below a folder as paths relative to it, with slashes, sorted. None if there is no such folder.
pub(super) fn files_below(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(inner) = folders.pop() {
        let place = folder.join(&inner);
        if !place.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&place).with_context(|| format!("{} cannot be read", place.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if inner.is_empty() { name } else { format!("{inner}/{name}") };
            if entry.file_type()?.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_ends_up_with_exactly_the_files_and_their_twins() {
        let folder = std::env::temp_dir().join(format!("meanwhile-bundle-{}", std::process::id()));
        fs::create_dir_all(folder.join("assets")).unwrap();
        fs::write(folder.join("assets/stale.js"), "old").unwrap();

        let mut bundle = Bundle::new(3);
        let style = "a { b: c }\n".repeat(100);
        let url = bundle.add_hashed("style", "css", style.clone().into_bytes());
        assert_eq!(url, format!("/assets/style-{}.css", digest(style.as_bytes())));
        bundle.add_plain("index.html", b"x".to_vec());
        let weight = bundle.write(&folder).unwrap();

        let path = url.trim_start_matches('/').to_owned();
        assert_eq!(files_below(&folder).unwrap(), [path.clone(), format!("{path}.br"), "index.html".into()]);
        let twin = fs::read(folder.join(format!("{path}.br"))).unwrap();
        assert_eq!(twin.len(), weight);
        let mut back = Vec::new();
        brotli::BrotliDecompress(&mut &*twin, &mut back).unwrap();
        assert_eq!(back, style.into_bytes());

        let written = fs::metadata(folder.join("index.html")).unwrap().modified().unwrap();
        let mut again = Bundle::new(3);
        again.add_plain("index.html", b"x".to_vec());
        again.write(&folder).unwrap();
        assert_eq!(fs::metadata(folder.join("index.html")).unwrap().modified().unwrap(), written);
        assert_eq!(files_below(&folder).unwrap(), ["index.html"]);
        fs::remove_dir_all(folder).unwrap();
    }
}

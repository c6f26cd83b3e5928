//! Builds the page into `target/site`, which the runner's build script embeds.
//!
//! `index.html` is the one description of the page, shared with Trunk. Cargo compiles the crate that it
//! names, wasm-bindgen makes the script beside it, the styles become one file, and each link marked
//! `data-trunk`, which stands alone on its line, becomes what a browser understands. All but `index.html`
//! lies in one folder below `assets`, named by a digest of what went in, so that nothing in it ever changes.
//! Each file has a brotli twin beside it. When nothing that goes in has changed, nothing is written, and the
//! runner is not compiled anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use brotli::enc::BrotliEncoderParams;
use html5gum::{Token, Tokenizer};
use sha2::{Digest as _, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::cargo;

/// What a link marked `data-trunk` names, relative to the folder of `index.html`.
#[derive(Debug, PartialEq, Eq)]
enum Link {
    Rust { manifest: String, bin: String },
    Style(String),
    Icon { file: String, kind: String },
}

/// Brings `target/site` up to date. Of the two profiles `page-dist` is what is shipped and small, and `page`
/// is built anew in seconds.
pub(crate) fn build(profile: &str) -> anyhow::Result<ExitCode> {
    cargo::ensure_wasm_target()?;
    let root = cargo::root();
    let html = String::from_utf8(read(&root.join("index.html"))?).context("index.html is not UTF-8")?;
    let lines = lines(&html)?;
    let (mut wasm, mut style) = (Vec::new(), Vec::new());
    let mut files = BTreeMap::from([("start.js".to_owned(), include_bytes!("start.js").to_vec())]);
    for link in lines.iter().filter_map(|(_, link)| link.as_ref()) {
        match link {
            Link::Rust { manifest, bin } => wasm = compile(profile, manifest, bin)?,
            Link::Style(file) => style.extend(read(&root.join(file))?),
            Link::Icon { file, .. } => drop(files.insert(name_of(file), read(&root.join(file))?)),
        }
    }
    ensure!(!wasm.is_empty(), "index.html has no <link data-trunk rel=\"rust\">");
    files.insert("style.css".to_owned(), style);

    let mut digest = Sha256::new_with_prefix(format!("{profile}\n{html}\n"));
    digest.update(Sha256::digest(&wasm));
    for (name, bytes) in &files {
        digest.update(name);
        digest.update(Sha256::digest(bytes));
    }
    let folder = format!("assets/{}", hex::encode(&digest.finalize()[..8]));
    let (site, new) = (root.join("target/site"), root.join("target/site.new"));
    if site.join(&folder).is_dir() && site.join("index.html").is_file() {
        eprintln!("    The page is up to date");
        return Ok(ExitCode::SUCCESS);
    }
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    Bindgen::new()
        .input_bytes("page", wasm)
        .web(true)?
        .typescript(false)
        .remove_name_section(profile == "page-dist")
        .remove_producers_section(true)
        .generate(new.join(&folder))
        .context("wasm-bindgen failed")?;
    for (name, bytes) in files {
        fs::write(new.join(&folder).join(name), bytes)?;
    }
    fs::write(new.join("index.html"), compose(&lines, &folder))?;
    // Best quality takes seconds, the other milliseconds.
    let weight = compress(&new, if profile == "page-dist" { 11 } else { 3 })?;
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    fs::rename(new, site)?;
    eprintln!("    The page weighs {} KiB after brotli", weight.div_ceil(1024));
    Ok(ExitCode::SUCCESS)
}

/// The lines of `index.html`, with the link that stands on each.
fn lines(html: &str) -> anyhow::Result<Vec<(&str, Option<Link>)>> {
    html.lines().map(|line| Ok((line, link(line).with_context(|| line.to_owned())?))).collect()
}

fn link(line: &str) -> anyhow::Result<Option<Link>> {
    let mut tags = Tokenizer::new(line).filter_map(|token| match token {
        Ok(Token::StartTag(tag)) if tag.attributes.contains_key(&b"data-trunk"[..]) => Some(tag.attributes),
        Ok(_) | Err(_) => None,
    });
    let Some(attributes) = tags.next() else { return Ok(None) };
    let whole = line.trim();
    ensure!(
        tags.next().is_none() && whole.starts_with("<link ") && whole.find('>') == Some(whole.len() - 1),
        "a link marked data-trunk stands alone on its line"
    );
    let get = |name: &str| {
        let value = attributes.get(name.as_bytes()).with_context(|| format!("it has no {name}"))?;
        anyhow::Ok(String::from_utf8_lossy(value).into_owned())
    };
    Ok(Some(match get("rel")?.as_str() {
        "rust" => Link::Rust { manifest: get("href")?, bin: get("data-bin")? },
        "css" => Link::Style(get("href")?),
        "icon" => Link::Icon { file: get("href")?, kind: get("type")? },
        other => bail!("`cargo xtask build` does not know rel=\"{other}\""),
    }))
}

fn compile(profile: &str, manifest: &str, bin: &str) -> anyhow::Result<Vec<u8>> {
    eprintln!("==> Building the page (profile {profile})");
    let target = ["--target", "wasm32-unknown-unknown", "--profile", profile];
    let file = cargo::build(bin, &[&["--manifest-path", manifest, "--bin", bin][..], &target[..]].concat())?;
    read(&file)
}

/// `index.html` with the links that a browser understands. The one style file stands where the first stood.
fn compose(lines: &[(&str, Option<Link>)], folder: &str) -> String {
    let mut styled = false;
    let mut html = String::new();
    for (line, link) in lines {
        html += &match link {
            None => format!("{line}\n"),
            Some(Link::Rust { .. }) => format!(
                "<link rel=\"preload\" as=\"fetch\" type=\"application/wasm\" crossorigin href=\"/{folder}/page_bg.wasm\">\n\
                 <link rel=\"modulepreload\" href=\"/{folder}/page.js\">\n\
                 <script type=\"module\" src=\"/{folder}/start.js\"></script>\n"
            ),
            Some(Link::Icon { file, kind }) => {
                format!("<link rel=\"icon\" type=\"{kind}\" href=\"/{folder}/{}\">\n", name_of(file))
            }
            Some(Link::Style(_)) if styled => String::new(),
            Some(Link::Style(_)) => {
                styled = true;
                format!("<link rel=\"stylesheet\" href=\"/{folder}/style.css\">\n")
            }
        };
    }
    html
}

/// Puts a compressed twin beside each file that shrinks; what does not is served as it is. Returns what a
/// browser fetches.
fn compress(folder: &Path, quality: i32) -> anyhow::Result<usize> {
    let mut weight = 0;
    for entry in fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()? {
        let path = entry.path();
        if path.is_dir() {
            weight += compress(&path, quality)?;
            continue;
        }
        let (bytes, mut twin) = (read(&path)?, Vec::new());
        let params = BrotliEncoderParams { quality, size_hint: bytes.len(), ..Default::default() };
        brotli::BrotliCompress(&mut &bytes[..], &mut twin, &params)?;
        weight += twin.len().min(bytes.len());
        if twin.len() < bytes.len() {
            fs::write(format!("{}.br", path.display()), twin)?;
        }
    }
    Ok(weight)
}

fn name_of(file: &str) -> String {
    Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_what_a_browser_understands_and_the_rest_stays() {
        let html = "<!doctype html>\n<!-- links marked data-trunk -->\n<link data-trunk rel=\"css\" href=\"a.css\">\n\
                    <link data-trunk rel='css' href=b.css />\n<link rel=\"author\" href=\"x\">\n\
                    <link data-trunk rel=\"icon\" type=\"image/png\" href=\"f/i.png\">\n<p>1 &lt; 2</p>\n";
        let composed = compose(&lines(html).unwrap(), "assets/1");
        assert_eq!(
            composed,
            "<!doctype html>\n<!-- links marked data-trunk -->\n<link rel=\"stylesheet\" href=\"/assets/1/style.css\">\n\
             <link rel=\"author\" href=\"x\">\n<link rel=\"icon\" type=\"image/png\" href=\"/assets/1/i.png\">\n\
             <p>1 &lt; 2</p>\n"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (line, word) in [
            ("<link data-trunk rel=\"sass\" href=\"a.scss\">", "sass"),
            ("<link data-trunk rel=\"css\">", "no href"),
            ("<link data-trunk rel=\"css\" href=\"a\"><p>", "alone"),
        ] {
            let error = format!("{:#}", lines(line).unwrap_err());
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn our_own_page_is_understood() {
        let root = cargo::root();
        let html = fs::read_to_string(root.join("index.html")).unwrap();
        let links: Vec<_> = lines(&html).unwrap().into_iter().filter_map(|(_, link)| link).collect();
        assert!(
            links.contains(&Link::Rust { manifest: "frontend/Cargo.toml".into(), bin: "frontend".into() })
        );
        for link in links {
            let (Link::Rust { manifest: file, .. } | Link::Style(file) | Link::Icon { file, .. }) = link;
            assert!(root.join(&file).is_file(), "{file} is linked from index.html and missing");
        }
    }
}

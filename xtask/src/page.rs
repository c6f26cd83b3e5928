//! Builds the page into `target/site`, which the runner's build script embeds.
//!
//! `index.html` is the one description of the page, shared with Trunk. Cargo compiles the crate that it names,
//! wasm-bindgen makes the script beside it, the styles become one file, and each link marked `data-trunk`, which stands
//! alone on its line, becomes what a browser understands. All but `index.html` lies in one folder below `assets`, named
//! by a digest of what went in, so that nothing in it ever changes. Each file has a brotli twin beside it. When nothing
//! that goes in has changed, nothing is written, and the runner is not compiled anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use brotli::enc::BrotliEncoderParams;
use html5gum::{Token, Tokenizer};
use sha2::{Digest as _, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::{cargo, say};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As it is shipped.
    Page,
    /// While it is worked on: built in seconds, and large.
    PageDev,
}

/// What a link marked `data-trunk` names, relative to the folder of `index.html`.
#[derive(Debug, PartialEq, Eq)]
enum Link {
    Rust { manifest: String, bin: String },
    Style(String),
    Icon { file: String, kind: String },
}

/// Starts the page's module, and says it where that cannot be.
const START: &str = "import start from \"./page.js\";
start({ module_or_path: new URL(\"page_bg.wasm\", import.meta.url) }).catch((error) => {
  const note = document.querySelector(\"#starting p\");
  if (note) note.textContent = `Meanwhile could not start: ${error}. A current browser is needed.`;
  throw error;
});
";

/// Brings `target/site` up to date.
pub(crate) fn build(profile: Profile) -> anyhow::Result<()> {
    cargo::ensure_wasm_target()?;
    let root = cargo::root();
    let html = fs::read_to_string(root.join("index.html")).context("index.html cannot be read")?;
    let lines = lines(&html)?;
    let (mut wasm, mut style) = (Vec::new(), Vec::new());
    let mut files = BTreeMap::from([("start.js".to_owned(), START.into())]);
    for link in lines.iter().filter_map(|(_, link)| link.as_ref()) {
        match link {
            Link::Rust { manifest, bin } => wasm = compile(profile, manifest, bin)?,
            Link::Style(file) => style.extend(read(&root.join(file))?),
            Link::Icon { file, .. } => drop(files.insert(name_of(file), read(&root.join(file))?)),
        }
    }
    ensure!(!wasm.is_empty(), "index.html has no <link data-trunk rel=\"rust\">");
    files.insert("style.css".to_owned(), style);

    let folder = format!("assets/{}", digest(profile, &html, &wasm, &files));
    let site = root.join("target/site");
    if site.join(&folder).is_dir() && site.join("index.html").is_file() {
        say::line("    The page is up to date");
        return Ok(());
    }
    files.append(&mut bind(profile, wasm, &root.join("target/page-cache"))?);
    let mut files: BTreeMap<_, _> =
        files.into_iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes)).collect();
    files.insert("index.html".to_owned(), compose(&lines, &folder).into_bytes());
    write(profile, &files, &site)
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

fn compile(profile: Profile, manifest: &str, bin: &str) -> anyhow::Result<Vec<u8>> {
    let name = match profile {
        Profile::Page => "page",
        Profile::PageDev => "page-dev",
    };
    say::step(format_args!("Building the page (profile {name})"));
    let target = ["--target", "wasm32-unknown-unknown", "--profile", name];
    let file = cargo::build(bin, &[&["--manifest-path", manifest, "--bin", bin][..], &target[..]].concat())?;
    read(&file)
}

/// The script between the browser and the WebAssembly, both, and what crates bring along in JavaScript.
fn bind(profile: Profile, wasm: Vec<u8>, out: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    Bindgen::new()
        .input_bytes("page", wasm)
        .web(true)?
        .typescript(false)
        .remove_name_section(profile == Profile::Page)
        .remove_producers_section(true)
        .generate(out)
        .context("wasm-bindgen failed")?;
    let mut files = BTreeMap::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(out)?.to_string_lossy().replace('\\', "/");
                files.insert(name, read(&path)?);
            }
        }
    }
    Ok(files)
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

/// Writes all files with their twins, `index.html` last, so that it never names a file that is not there.
fn write(profile: Profile, files: &BTreeMap<String, Vec<u8>>, site: &Path) -> anyhow::Result<()> {
    // Best quality takes seconds, the other milliseconds.
    let quality = if profile == Profile::Page { 11 } else { 3 };
    if site.exists() {
        fs::remove_dir_all(site)?;
    }
    let mut weight = 0;
    for (name, bytes) in files {
        let params = BrotliEncoderParams { quality, size_hint: bytes.len(), ..Default::default() };
        let mut twin = Vec::new();
        brotli::BrotliCompress(&mut &bytes[..], &mut twin, &params)?;
        weight += twin.len().min(bytes.len());
        let file = site.join(name);
        fs::create_dir_all(file.parent().expect("it is below the site"))?;
        // What does not shrink is served as it is.
        if twin.len() < bytes.len() {
            fs::write(site.join(format!("{name}.br")), twin)?;
        }
        fs::write(file, bytes)?;
    }
    say::line(format_args!("    The page weighs {} after brotli", say::size(weight)));
    Ok(())
}

fn digest(profile: Profile, html: &str, wasm: &[u8], files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{profile:?}\n{html}\n"));
    hash.update(Sha256::digest(wasm));
    for (name, bytes) in files {
        hash.update(name);
        hash.update(Sha256::digest(bytes));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
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

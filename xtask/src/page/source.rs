//! Reads `index.html`: the links marked `data-trunk`, by the rules that Trunk documents for them.
//!
//! The reader knows as much HTML as our own file needs: comments, and `link` elements whose attribute values
//! are quoted. Whatever it does not know it refuses with words, so that the page cannot come out differently
//! here than under `trunk serve`. (An HTML parser would double what everybody's first build compiles.)

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::bundle::files_below;

/// The crate that becomes the page's WebAssembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rust {
    /// Its `Cargo.toml`, relative to the workspace's root.
    pub(super) manifest: String,
    pub(super) bin: String,
}

/// What a link stands for. Paths are relative to the folder of `index.html`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asset {
    Rust(Rust),
    Style(String),
    Icon { file: String, kind: Option<String> },
    CopyFile { file: String, to: String },
    CopyDir { folder: String, to: String },
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Asset(Asset),
}

/// `index.html`, taken apart.
#[derive(Debug)]
pub(super) struct Source {
    html: String,
    pieces: Vec<Piece>,
}

impl Source {
    pub(super) fn read(html: &str) -> anyhow::Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            let (before, tag) = rest.split_at(at);
            pieces.push(Piece::Text(before.to_owned()));
            if let Some(comment) = tag.strip_prefix("<!--") {
                rest = comment.split_once("-->").context("a comment does not end")?.1;
                // The line on which it stood alone goes with it.
                if before.ends_with('\n') {
                    rest = rest.strip_prefix('\n').unwrap_or(rest);
                }
            } else if tag.starts_with("<link ") {
                let (attributes, after) =
                    attributes(&tag["<link".len()..]).with_context(|| first_line(tag))?;
                let whole = &tag[..tag.len() - after.len()];
                if attributes.iter().any(|(name, _)| name == "data-trunk") {
                    pieces.push(Piece::Asset(asset(&attributes).with_context(|| whole.to_owned())?));
                } else {
                    pieces.push(Piece::Text(whole.to_owned()));
                }
                rest = after;
            } else {
                ensure!(
                    !tag.starts_with("<style"),
                    "an inline style would be refused by the runner's policy"
                );
                pieces.push(Piece::Text(String::from("<")));
                rest = &tag[1..];
            }
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { html: html.to_owned(), pieces })
    }

    pub(super) fn html(&self) -> &str {
        &self.html
    }

    pub(super) fn rust(&self) -> anyhow::Result<&Rust> {
        let mut crates = self.assets().filter_map(|asset| match asset {
            Asset::Rust(rust) => Some(rust),
            Asset::Style(_) | Asset::Icon { .. } | Asset::CopyFile { .. } | Asset::CopyDir { .. } => None,
        });
        let rust = crates.next().context("there is no <link data-trunk rel=\"rust\">")?;
        ensure!(crates.next().is_none(), "there is more than one <link data-trunk rel=\"rust\">");
        Ok(rust)
    }

    /// The style files in their order.
    pub(super) fn styles(&self) -> impl Iterator<Item = &str> {
        self.assets().filter_map(|asset| match asset {
            Asset::Style(file) => Some(file.as_str()),
            Asset::Rust(_) | Asset::Icon { .. } | Asset::CopyFile { .. } | Asset::CopyDir { .. } => None,
        })
    }

    /// All files that go into the page, besides the crate.
    pub(super) fn files(&self, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for asset in self.assets() {
            match asset {
                Asset::Rust(_) => {}
                Asset::Style(file) | Asset::Icon { file, .. } | Asset::CopyFile { file, .. } => {
                    files.push(root.join(file));
                }
                Asset::CopyDir { folder, .. } => {
                    let folder = root.join(folder);
                    files.extend(files_below(&folder)?.into_iter().map(|file| folder.join(file)));
                }
            }
        }
        Ok(files)
    }

    /// The page with each link replaced by what `link` makes of it.
    pub(super) fn render(
        &self,
        mut link: impl FnMut(&Asset) -> anyhow::Result<String>,
    ) -> anyhow::Result<String> {
        let mut html = String::with_capacity(self.html.len());
        let mut vanished = false;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    let text = if vanished { text.strip_prefix('\n').unwrap_or(text) } else { text };
                    html.push_str(text);
                    vanished = false;
                }
                Piece::Asset(asset) => {
                    let text = link(asset)?;
                    vanished = text.is_empty();
                    html.push_str(&text);
                }
            }
        }
        Ok(html)
    }

    fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Asset(asset) => Some(asset),
            Piece::Text(_) => None,
        })
    }
}

type Attributes = Vec<(String, String)>;

/// The attributes of a tag, and what follows its `>`.
fn attributes(mut rest: &str) -> anyhow::Result<(Attributes, &str)> {
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>").or_else(|| rest.strip_prefix('>')) {
            return Ok((attributes, after));
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'))
            .context("the tag does not end")?;
        ensure!(end > 0, "an attribute has no name");
        let (name, after) = rest.split_at(end);
        rest = after;
        let mut value = String::new();
        if let Some(quoted) = after.strip_prefix("=\"") {
            let (inner, after) =
                quoted.split_once('"').with_context(|| format!("the value of {name} does not end"))?;
            ensure!(!inner.contains('&'), "the value of {name} holds a character reference");
            inner.clone_into(&mut value);
            rest = after;
        } else {
            ensure!(!after.starts_with('='), "the value of {name} does not stand in double quotes");
        }
        attributes.push((name.to_owned(), value));
    }
}

fn asset(attributes: &Attributes) -> anyhow::Result<Asset> {
    let get = |name: &str| attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let known: &[&str] =
        &["data-trunk", "rel", "href", "type", "data-bin", "data-wasm-opt", "data-target-path"];
    if let Some((name, _)) = attributes.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        bail!("`cargo xtask build` does not know the attribute {name}");
    }
    let href = get("href").context("it has no href")?;
    let name_of = |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(match get("rel").context("it has no rel")?.as_str() {
        "rust" => {
            ensure!(
                get("data-wasm-opt").is_none_or(|value| value == "0"),
                "wasm-opt gains too little to ask people to install it"
            );
            Asset::Rust(Rust { manifest: href, bin: get("data-bin").context("it has no data-bin")? })
        }
        "css" => Asset::Style(href),
        "icon" => Asset::Icon { file: href, kind: get("type") },
        "copy-file" => {
            let name = name_of(&href);
            let to = get("data-target-path").map_or(name.clone(), |folder| format!("{folder}/{name}"));
            Asset::CopyFile { file: href, to }
        }
        "copy-dir" => {
            Asset::CopyDir { to: get("data-target-path").unwrap_or_else(|| name_of(&href)), folder: href }
        }
        other => bail!("`cargo xtask build` does not know rel=\"{other}\""),
    })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!doctype html>
<!-- gone,
     <link data-trunk rel="css" href="not.css"> and all -->
<html><head>
<link data-trunk rel="css" href="a.css">
<link data-trunk rel="css" href="b.css" />
<link rel="author" href="x">
<link data-trunk rel="rust" href="f/Cargo.toml" data-bin="f" data-wasm-opt="0">
<link data-trunk rel="copy-file" href="g/robots.txt">
</head><body><p>1 &lt; 2</p></body></html>
"#;

    #[test]
    fn links_are_read_in_order_and_the_rest_stays_as_it_is() {
        let source = Source::read(PAGE).unwrap();
        assert_eq!(source.styles().collect::<Vec<_>>(), ["a.css", "b.css"]);
        assert_eq!(source.rust().unwrap(), &Rust { manifest: "f/Cargo.toml".into(), bin: "f".into() });
        let html = source
            .render(|asset| {
                Ok(match asset {
                    Asset::Style(file) if file == "a.css" => "<style-here>".into(),
                    Asset::Rust(_) => "<script-here>".into(),
                    Asset::Style(_) | Asset::Icon { .. } | Asset::CopyFile { .. } | Asset::CopyDir { .. } => {
                        String::new()
                    }
                })
            })
            .unwrap();
        assert_eq!(
            html,
            "<!doctype html>\n<html><head>\n<style-here>\n<link rel=\"author\" href=\"x\">\n<script-here>\n\
             </head><body><p>1 &lt; 2</p></body></html>\n"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (html, word) in [
            ("<link data-trunk rel=\"sass\" href=\"a.scss\">", "sass"),
            ("<link data-trunk rel=css href=\"a.css\">", "double quotes"),
            ("<link data-trunk rel=\"css\" href=\"a.css\" data-integrity=\"none\">", "data-integrity"),
            ("<link data-trunk rel=\"css\">", "no href"),
            ("<!-- <link>", "does not end"),
            ("<style>a{}</style>", "inline style"),
        ] {
            let error = format!("{:#}", Source::read(html).unwrap_err());
            assert!(error.contains(word), "{html}: {error}");
        }
        let none = Source::read("<p>").unwrap();
        assert!(none.rust().is_err());
    }

    #[test]
    fn our_own_page_is_understood() {
        let root = crate::cargo::root();
        let source = Source::read(&std::fs::read_to_string(root.join("index.html")).unwrap()).unwrap();
        assert_eq!(source.rust().unwrap().bin, "frontend");
        for file in source.files(root).unwrap() {
            assert!(file.is_file(), "{} is linked from index.html and missing", file.display());
        }
    }
}

//! The page inside the binary: a path and the client's encodings in, bytes and their headers out.
//!
//! `build.rs` writes the table at compile time from what `cargo xtask build` has made. Nothing is read at run
//! time, so the binary works from any folder and without its sources. Paths under `assets/` carry a hash of
//! their content and may be cached for ever; the rest is asked for again with its entity tag. A binary that
//! was compiled without a page answers `/` with a sentence that says how to build one.

use std::borrow::Cow;

/// One file of the page as it was compiled in.
struct File {
    /// Relative to the page's root, with slashes, without a leading one.
    path: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    etag: &'static str,
    etag_brotli: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// What to answer for one path. Answers differ by `Accept-Encoding`, so they need `Vary: Accept-Encoding`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asset {
    pub(crate) bytes: Cow<'static, [u8]>,
    /// The value of `Content-Type`.
    pub(crate) content_type: &'static str,
    /// The value of `Content-Encoding`, if the bytes are compressed.
    pub(crate) encoding: Option<&'static str>,
    /// The value of `ETag`, quotes included. Differs between encodings.
    pub(crate) etag: &'static str,
    /// The name holds a hash of the content: `Cache-Control: public, max-age=31536000, immutable`.
    /// Otherwise `no-cache`, which asks again with the tag.
    pub(crate) immutable: bool,
}

/// Whether this binary holds a page, or only the sentence about building one.
pub(crate) fn is_built() -> bool {
    !FILES.is_empty()
}

/// The file at a URL path such as `/` or `/assets/style-1f.css`, compressed if the client takes brotli.
/// `accept_encoding` is that header's value, or empty. `None` if the page has no such file.
pub(crate) fn lookup(path: &str, accept_encoding: &str) -> Option<Asset> {
    let path = path.strip_prefix('/')?;
    let path = if path.is_empty() { "index.html" } else { path };
    if !is_built() {
        return (path == "index.html").then(unbuilt);
    }
    let file = FILES.iter().find(|file| file.path == path)?;
    let brotli = file.brotli.filter(|_| accepts_brotli(accept_encoding));
    Some(Asset {
        bytes: Cow::Borrowed(brotli.unwrap_or(file.plain)),
        content_type: content_type(path),
        encoding: brotli.map(|_| "br"),
        etag: if brotli.is_some() { file.etag_brotli } else { file.etag },
        immutable: path.starts_with("assets/"),
    })
}

fn unbuilt() -> Asset {
    Asset {
        bytes: Cow::Borrowed(include_bytes!("page_unbuilt.html")),
        content_type: "text/html; charset=utf-8",
        encoding: None,
        etag: "\"unbuilt\"",
        immutable: false,
    }
}

fn accepts_brotli(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let refused = |weight: &str| {
            weight
                .strip_prefix("q=")
                .is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        };
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br")) && !parts.any(refused)
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_is_found_with_a_known_type() {
        for file in FILES {
            let asset = lookup(&format!("/{}", file.path), "").expect("it is in the table");
            assert_eq!(asset.bytes, file.plain, "{}", file.path);
            assert_eq!(asset.encoding, None);
            assert_ne!(asset.content_type, "application/octet-stream", "{}", file.path);
        }
    }

    #[test]
    fn the_root_is_always_a_page_and_strange_paths_are_not() {
        let root = lookup("/", "gzip, br").expect("there is always a page");
        assert!(root.content_type.starts_with("text/html") && !root.immutable);
        assert_eq!(lookup("/index.html", "gzip, br"), Some(root));
        for path in [
            "",
            "index.html",
            "//",
            "/../Cargo.toml",
            "/assets/",
            "/INDEX.HTML",
            "/%2e%2e/x",
            "/index.html.br",
        ] {
            assert_eq!(lookup(path, "br"), None, "{path}");
        }
    }

    #[test]
    fn brotli_is_sent_only_to_those_who_take_it() {
        for yes in ["br", "gzip, deflate, br, zstd", "gzip;q=1.0, BR;q=0.5", " br ; q=0.001"] {
            assert!(accepts_brotli(yes), "{yes}");
        }
        for no in ["", "gzip", "br;q=0", "gzip, br; q=0.0", "brotli", "*"] {
            assert!(!accepts_brotli(no), "{no}");
        }
    }
}

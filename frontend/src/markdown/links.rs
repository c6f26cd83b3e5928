//! Which addresses a page may lead to, and finding those that stand in a text.

use linkify::{LinkFinder, LinkKind};

use super::Inline;
use super::reader::push;

/// A target as the page may lead there: the web, or a mail.
pub(super) fn address(target: &str) -> Option<String> {
    let target = target.trim();
    let scheme = target.split_once(':')?.0.to_ascii_lowercase();
    let is_web = matches!(scheme.as_str(), "http" | "https") && target[scheme.len()..].starts_with("://");
    (is_web || scheme == "mailto").then(|| target.to_owned())
}

/// Makes bare addresses in text links.
pub(super) fn linked(inlines: Vec<Inline>) -> Vec<Inline> {
    let mut out = Vec::with_capacity(inlines.len());
    for inline in inlines {
        match inline {
            Inline::Text(text) => link_text(&text, &mut out),
            Inline::Emphasis(inner) => out.push(Inline::Emphasis(linked(inner))),
            Inline::Strong(inner) => out.push(Inline::Strong(linked(inner))),
            Inline::Struck(inner) => out.push(Inline::Struck(linked(inner))),
            other @ (Inline::Code(_) | Inline::Link { .. } | Inline::Break) => out.push(other),
        }
    }
    out
}

fn link_text(text: &str, out: &mut Vec<Inline>) {
    let mut finder = LinkFinder::new();
    finder.url_must_have_scheme(false);
    for span in finder.spans(text) {
        let words = span.as_str();
        let href = match span.kind() {
            Some(LinkKind::Email) => Some(format!("mailto:{words}")),
            // `main.rs` is a name of the web too, and not meant.
            Some(LinkKind::Url) if words.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("www.")) => {
                Some(format!("https://{words}"))
            }
            Some(LinkKind::Url) => address(words),
            _ => None,
        };
        match href {
            Some(href) => out.push(Inline::Link { href, inlines: vec![Inline::Text(words.to_owned())] }),
            None => push(out, Inline::Text(words.to_owned())),
        }
    }
}

//! Which addresses a page may lead to, and finding those that stand in a text.

use linkify::{LinkFinder, LinkKind};

use super::Inline;
use super::inline::push;

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
    for span in LinkFinder::new().spans(text) {
        let found = span.as_str();
        let href = match span.kind() {
            Some(LinkKind::Email) => Some(format!("mailto:{found}")),
            Some(LinkKind::Url) => address(found),
            _ => {
                www(found, out);
                continue;
            }
        };
        link(href, found, out);
    }
}

/// Finds `www.` addresses: those without a scheme that are meant as such, since `main.rs` is a name of the
/// web too.
fn www(text: &str, out: &mut Vec<Inline>) {
    let mut rest = text;
    while let Some(at) = rest.find("www.") {
        let (before, found) = rest.split_at(at);
        let begins = !before.ends_with(|sign: char| sign.is_alphanumeric() || sign == '.');
        let href = format!("https://{found}");
        let end = LinkFinder::new()
            .links(&href)
            .next()
            .filter(|link| begins && link.start() == 0)
            .map(|link| link.end());
        push(out, Inline::Text(before.to_owned()));
        let length = end.map_or("www.".len(), |end| end - "https://".len());
        link(end.map(|end| href[..end].to_owned()), &found[..length], out);
        rest = &found[length..];
    }
    push(out, Inline::Text(rest.to_owned()));
}

fn link(href: Option<String>, text: &str, out: &mut Vec<Inline>) {
    match href {
        Some(href) => out.push(Inline::Link { href, inlines: vec![Inline::Text(text.to_owned())] }),
        None => push(out, Inline::Text(text.to_owned())),
    }
}

//! Spans of text, one behind the other.

use super::Inline;

/// Adds a span; text joins the text before it.
pub(super) fn push(inlines: &mut Vec<Inline>, inline: Inline) {
    if matches!(&inline, Inline::Text(text) if text.is_empty()) {
        return;
    }
    if let (Some(Inline::Text(before)), Inline::Text(text)) = (inlines.last_mut(), &inline) {
        before.push_str(text);
    } else {
        inlines.push(inline);
    }
}

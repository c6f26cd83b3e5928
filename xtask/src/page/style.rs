//! Styles without what browsers do not read: comments, and the white space at the beginning and end of lines.

/// The same style in fewer bytes; each line that is left keeps its end.
pub(super) fn plain(css: &str) -> String {
    let bare = without_comments(css);
    let lines = bare.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// A comment separates what stands around it, so a blank takes its place. What is quoted is no comment.
fn without_comments(css: &str) -> String {
    let mut out = String::with_capacity(css.len());
    let mut rest = css;
    while let Some(at) = rest.find(['/', '"', '\'']) {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        let (taken, shown) = if here.starts_with("/*") {
            (here.find("*/").map_or(here.len(), |end| end + 2), " ")
        } else if here.starts_with('/') {
            (1, "/")
        } else {
            let end = quoted(here);
            (end, &here[..end])
        };
        out.push_str(shown);
        rest = &here[taken..];
    }
    out + rest
}

/// The length of the quoted text that this begins with, quotes included.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let quote = text.chars().next();
    for (at, c) in text.char_indices().skip(1) {
        if Some(c) == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_margins_go_and_quoted_texts_stay() {
        let css = "/* one\n two */\n  a > b {\n\n    content: \"/* \\\" */\"; /* x */\n    font: 1rem/1.5 'a /* b';\n  }\n/* open";
        assert_eq!(plain(css), "a > b {\ncontent: \"/* \\\" */\";\nfont: 1rem/1.5 'a /* b';\n}\n");
        assert_eq!(plain("a/**/b"), "a b\n");
    }
}

//! Markdown as it is read out: the text, without the marks.

use super::{Block, Inline};

/// The plain text of blocks, a line each block. Code is named and not read out letter by letter.
pub fn plain(blocks: &[Block]) -> String {
    let mut out = String::new();
    read_blocks(blocks, &mut out);
    out.truncate(out.trim_end().len());
    out
}

fn read_blocks(blocks: &[Block], out: &mut String) {
    for block in blocks {
        match block {
            Block::Paragraph(inlines) | Block::Plain(inlines) | Block::Heading { inlines, .. } => {
                read_inlines(inlines, out);
                out.push('\n');
            }
            Block::Code { text, .. } => {
                out.push_str(&crate::format::count(text.lines().count(), "line"));
                out.push_str(" of code.\n");
            }
            Block::Quote(inner) => read_blocks(inner, out),
            Block::List { items, .. } => {
                for item in items {
                    read_blocks(&item.blocks, out);
                }
            }
            Block::Table { head, rows, .. } => {
                for row in std::iter::once(head).chain(rows) {
                    for (n, cell) in row.iter().enumerate() {
                        out.push_str(if n > 0 { ", " } else { "" });
                        read_inlines(cell, out);
                    }
                    out.push('\n');
                }
            }
            Block::Rule => {}
        }
    }
}

fn read_inlines(inlines: &[Inline], out: &mut String) {
    for inline in inlines {
        match inline {
            Inline::Text(text) | Inline::Code(text) => out.push_str(text),
            Inline::Emphasis(inner)
            | Inline::Strong(inner)
            | Inline::Struck(inner)
            | Inline::Link { inlines: inner, .. } => read_inlines(inner, out),
            Inline::Break => out.push('\n'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::parse;

    #[test]
    fn marks_are_not_read_out() {
        let text = "# Done\n\n**Two** tests `a` and [b](https://c.d) passed:\n\n- one\n- two\n\n```sh\nls\npwd\n```\n\n| x | y |\n|---|---|\n| 1 | 2 |\n";
        assert_eq!(
            plain(&parse(text)),
            "Done\nTwo tests a and b passed:\none\ntwo\n2 lines of code.\nx, y\n1, 2"
        );
    }
}

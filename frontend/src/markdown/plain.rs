//! Markdown as it is read out: the words, without the marks.

use super::{Block, Inline};

/// The words of a text, a line each block. Code is named and not read out letter by letter.
pub fn plain(blocks: &[Block]) -> String {
    let mut words = String::new();
    read_blocks(blocks, &mut words);
    words.truncate(words.trim_end().len());
    words
}

fn read_blocks(blocks: &[Block], words: &mut String) {
    for block in blocks {
        match block {
            Block::Paragraph(inlines) | Block::Plain(inlines) | Block::Heading { inlines, .. } => {
                read_inlines(inlines, words);
                words.push('\n');
            }
            Block::Code { text, .. } => {
                words.push_str(&crate::format::count(text.lines().count(), "line"));
                words.push_str(" of code.\n");
            }
            Block::Quote(inner) => read_blocks(inner, words),
            Block::List { items, .. } => {
                for item in items {
                    read_blocks(&item.blocks, words);
                }
            }
            Block::Table { head, rows, .. } => {
                for row in std::iter::once(head).chain(rows) {
                    for (n, cell) in row.iter().enumerate() {
                        words.push_str(if n > 0 { ", " } else { "" });
                        read_inlines(cell, words);
                    }
                    words.push('\n');
                }
            }
            Block::Rule => {}
        }
    }
}

fn read_inlines(inlines: &[Inline], words: &mut String) {
    for inline in inlines {
        match inline {
            Inline::Text(text) | Inline::Code(text) => words.push_str(text),
            Inline::Emphasis(inner)
            | Inline::Strong(inner)
            | Inline::Struck(inner)
            | Inline::Link { inlines: inner, .. } => read_inlines(inner, words),
            Inline::Break => words.push('\n'),
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

//! Texts that are made to take long: work grows with their length, not with its square.

use super::super::{Block, STEPS, parse};
use super::*;

fn steps(source: &str) -> usize {
    STEPS.set(0);
    parse(source);
    STEPS.get()
}

/// What a text may repeat; bars stand between.
const PARTS: [&str; 6] = [
    "[¦]¦![¦[a](¦[a](<¦[a](b \"¦[a](b '¦[a](b (¦[a][¦[a]¦[a¦a]¦[![a](b)](¦[(¦[]()¦![[](a)¦*¦**a ",
    "*a_ ¦a**b¦*a **a ¦_a ¦_ a¦~~a ¦~a ~~b ¦*a_b~~c ¦a*_~`¦***a** b* ¦`¦``a`¦`a``¦<¦<!--¦<a ",
    "<a b=\"¦<a b='c\" ¦<?¦<!A¦<![CDATA[¦<http:¦<a@b¦</¦<a b¦&¦&amp¦&#1¦\\¦\\\n¦> ¦>¦- ¦* ¦1. ",
    "- a\n¦> a\n¦>\n¦-\n¦1. > ¦- > ¦    a\n¦\t¦ ¦\n¦\r¦a\n¦a  \n¦#¦# a\n¦=\n¦a\n=\n¦-¦---\n",
    "***\n¦```\n¦```a\n¦~~~\n\n¦|¦|a¦|a|\n|-|\n¦a|b\n¦\\|¦:-¦-|¦[a]: b\n¦[a]:\n¦[a]: b \"\n",
    "[a]: <¦http://¦http://a ¦http://a)¦(http://a¦http://a.¦h¦<div>\n¦<pre>¦</a>\n¦é¦。*",
];

#[test]
fn work_grows_with_the_length() {
    let rising: String = (1..500).map(|length| "`".repeat(length) + " ").collect();
    let mut definitions = String::new();
    for name in 0..4_000 {
        definitions += &format!("[{name}]: /u\n");
    }
    let mut sources = Vec::new();
    for part in PARTS.iter().flat_map(|line| line.split('¦')) {
        sources.push(part.repeat(20_000 / part.len()));
        // Within a paragraph in which a name is known.
        sources.push("[r]: http://r\n\na ".to_owned() + &part.repeat(20_000 / part.len()));
    }
    sources.push(rising.repeat(2));
    definitions += &"[1] [3999] ".repeat(4_000);
    sources.push(definitions);
    for open in ["[", "![", "*a ", "**a", "_a ", "<a ", "(", "`", "> ", "- "] {
        for close in ["]", "](b)", "][]", " a*", "a**", " a_", ">", ")", "`", "\n\n", "\na\n"] {
            let nest = open.repeat(10_000 / open.len()) + &close.repeat(10_000 / close.len());
            sources.push("[r]: http://r\n\n".to_owned() + &nest);
        }
    }
    // Blank lines, of which each one is held against all lists that are open.
    sources.push("- ".repeat(10_000) + &"\n".repeat(30_000));
    sources.push("- ".repeat(10_000) + "a" + &"\n".repeat(30_000) + &"  a\n".repeat(5_000));
    sources.push(format!("|{}\n|{}\n{}", "a|".repeat(10_000), "-|".repeat(10_000), "|\na\n".repeat(6_000)));
    for source in &sources {
        let start = source.chars().take(40).collect::<String>();
        let once = steps(source);
        // A text takes the same steps per byte at any length, if it is more of the same.
        assert!(once < 150 * source.len(), "{once} steps for {} bytes of {start:?}", source.len());
        let twice = steps(&(source.clone() + "\n\n" + source));
        assert!(twice < 3 * once + 1_000, "{once}, then {twice} steps for {start:?}");
    }
}

#[test]
fn work_grows_with_the_length_of_one_block() {
    for part in [
        "[",
        "[a](",
        "[a][",
        "*a ",
        "a**b",
        "*a_b~~c ",
        "~a ~~b ",
        "<a b=\"",
        "<!--",
        "[a](b \"",
        "- ",
        "> ",
        "http://a)",
        "`",
        "``a`",
        "|",
    ] {
        let [once, twice, again] = [1, 2, 4].map(|times| steps(&part.repeat(times * 25_000 / part.len())));
        assert!(
            twice < 2 * once + once / 50 && again < 2 * twice + twice / 50,
            "{part:?} takes {once}, {twice}, {again}"
        );
    }
    // As many lengths of backticks as fit.
    let [once, twice] =
        [200, 283].map(|most| steps(&(1..most).map(|length| "`".repeat(length) + "a").collect::<String>()));
    assert!(twice < 3 * once, "{once}, {twice}");
}

#[test]
fn nesting_is_bounded_whatever_nests() {
    for (open, close) in [
        ("> ", ""),
        ("- ", ""),
        ("1. ", ""),
        ("> - ", ""),
        ("*a **b ", ""),
        ("**a ", " b**"),
        ("*a _b ", " b_ a*"),
        ("![", "](http://b)"),
    ] {
        let source = format!("{}end{}", open.repeat(3_000), close.repeat(3_000));
        let blocks = parse(&source);
        assert!(deepest(&blocks) <= DEPTH + 1, "{} of {open:?}", deepest(&blocks));
        assert!(words(&blocks).contains("end"));
    }
}

#[test]
fn little_text_does_not_become_much() {
    let long = "x".repeat(20_000);
    let source = format!("[a]: http://{long}\n\n{}", "[a] ".repeat(20_000));
    assert!(words(&parse(&source)).len() < 1_000_000);
    let source = format!("|{}\n|{}\n{}", "a|".repeat(5_000), "-|".repeat(5_000), "a\n".repeat(5_000));
    let [Block::Table { rows, .. }] = &parse(&source)[..] else { panic!("no table") };
    assert!(rows.iter().map(Vec::len).sum::<usize>() < 100_000);
}

/// How many elements deep the page draws this.
fn deepest(blocks: &[Block]) -> usize {
    let mut most = 0;
    for block in blocks {
        most = most.max(match block {
            Block::Paragraph(inlines) | Block::Plain(inlines) | Block::Heading { inlines, .. } => {
                deepest_span(inlines)
            }
            Block::Quote(inner) => 1 + deepest(inner),
            Block::List { items, .. } => {
                2 + items.iter().map(|item| deepest(&item.blocks)).max().unwrap_or(0)
            }
            Block::Table { .. } | Block::Code { .. } | Block::Rule => 1,
        });
    }
    most
}

fn deepest_span(inlines: &[Inline]) -> usize {
    let mut most = 0;
    for inline in inlines {
        if let Inline::Emphasis(inner)
        | Inline::Strong(inner)
        | Inline::Struck(inner)
        | Inline::Link { inlines: inner, .. } = inline
        {
            most = most.max(1 + deepest_span(inner));
        }
    }
    most
}

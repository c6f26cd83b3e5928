//! What becomes of texts: by example, against the reference, and whatever comes.

use proptest::prelude::*;

use super::growing::LONG_BLOCK;
use super::reader::DEPTH;
use super::*;

#[test]
fn blocks() {
    assert_eq!(
        parse("# Head\n\nText with *em*, **strong**, ~~no~~ and `code`.\n\n---\n"),
        [
            Block::Heading { level: 1, inlines: vec![text("Head")] },
            Block::Paragraph(vec![
                text("Text with "),
                Inline::Emphasis(vec![text("em")]),
                text(", "),
                Inline::Strong(vec![text("strong")]),
                text(", "),
                Inline::Struck(vec![text("no")]),
                text(" and "),
                Inline::Code("code".into()),
                text("."),
            ]),
            Block::Rule,
        ]
    );
    assert_eq!(
        parse("```rust ignore\nfn main() {}\n```"),
        [Block::Code { language: "rust".into(), text: "fn main() {}\n".into() }]
    );
    assert_eq!(parse("> said"), [Block::Quote(vec![Block::Paragraph(vec![text("said")])])]);
}

#[test]
fn lists_tight_loose_and_ticked() {
    let plain = |content| vec![Block::Plain(vec![text(content)])];
    assert_eq!(
        parse("3. three\n4. four\n   - deep\n"),
        [Block::List {
            start: Some(3),
            items: vec![
                Item { ticked: None, blocks: plain("three") },
                Item {
                    ticked: None,
                    blocks: vec![
                        Block::Plain(vec![text("four")]),
                        Block::List {
                            start: None,
                            items: vec![Item { ticked: None, blocks: plain("deep") }]
                        },
                    ]
                },
            ]
        }]
    );
    let loose = parse("- one\n\n- two\n");
    let Block::List { items, .. } = &loose[0] else { panic!("{loose:?}") };
    assert_eq!(items[1].blocks, [Block::Paragraph(vec![text("two")])]);
    let ticked = parse("- [x] done\n- [ ] open\n");
    let Block::List { items, .. } = &ticked[0] else { panic!("{ticked:?}") };
    assert_eq!((items[0].ticked, items[1].ticked), (Some(true), Some(false)));
    assert_eq!(items[0].blocks, plain("done"));
}

#[test]
fn tables() {
    let cell = |content| vec![text(content)];
    assert_eq!(
        parse("| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 |\n"),
        [Block::Table {
            alignments: vec![Alignment::None, Alignment::Right],
            head: vec![cell("a"), cell("b")],
            rows: vec![vec![cell("1"), cell("2")], vec![cell("3"), vec![]]],
        }]
    );
}

#[test]
fn html_is_text() {
    for source in
        ["<script>alert(1)</script>", "a <b onclick=x>b</b>", "<div>\n\n<img src=x onerror=y>\n\n</div>"]
    {
        let shown = debug_text(&parse(source));
        for tag in ["<script>", "<b onclick=x>", "<img src=x onerror=y>"] {
            assert_eq!(source.contains(tag), shown.contains(tag), "{source} gave {shown}");
        }
    }
}

#[test]
fn only_web_links_are_links_and_images_are_not_fetched() {
    let link = |href: &str, content| Inline::Link { href: href.into(), inlines: vec![text(content)] };
    let inlines = |source: &str| match parse(source).pop() {
        Some(Block::Paragraph(inlines)) => inlines,
        other => panic!("{other:?}"),
    };
    assert_eq!(inlines("[x](https://a.b/c)"), [link("https://a.b/c", "x")]);
    assert_eq!(inlines("[x](HTTP://a.b)"), [link("HTTP://a.b", "x")]);
    for bad in
        ["javascript:alert(1)", "data:text/html,x", "/settings", "file:///etc/passwd", "//evil.example"]
    {
        assert_eq!(inlines(&format!("[x]({bad})")), [text(&format!("x ({bad})"))], "{bad}");
    }
    assert_eq!(inlines("![a cat](https://a.b/cat.png)"), [link("https://a.b/cat.png", "a cat")]);
    assert_eq!(inlines("![](https://a.b/cat.png)"), [link("https://a.b/cat.png", "image")]);
    assert_eq!(inlines("![](docs/cat.png)"), [text("image (docs/cat.png)")]);
    assert_eq!(inlines("see [`src/a.rs`](src/a.rs)"), [text("see "), Inline::Code("src/a.rs".into())]);
    assert_eq!(inlines("[me](mailto:a@b.c)"), [link("mailto:a@b.c", "me")]);
}

#[test]
fn single_tildes_are_text() {
    for source in ["Takes ~5 min to ~10 min. Costs (~$2.75)", "~a~", "a ~b~ c", "~~~x"] {
        let shown = debug_text(&parse(source));
        assert_eq!(
            shown.matches('~').count(),
            if source == "~~~x" { 0 } else { source.matches('~').count() },
            "{shown}"
        );
        assert!(!shown.contains("Struck"), "{shown}");
    }
    assert!(debug_text(&parse("a ~~b~~ c")).contains("Struck"));
}

#[test]
fn bare_addresses_are_links() {
    let link = |href: &str| Inline::Link { href: href.into(), inlines: vec![text(href)] };
    let inlines = |source: &str| match parse(source).pop() {
        Some(Block::Paragraph(inlines)) => inlines,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        inlines("see http://localhost:5173/."),
        [text("see "), link("http://localhost:5173/"), text(".")]
    );
    assert_eq!(inlines("(https://a.org/c_(d))"), [text("("), link("https://a.org/c_(d)"), text(")")]);
    assert_eq!(inlines("`http://a.b`"), [Inline::Code("http://a.b".into())]);
    assert_eq!(inlines("http:// and é, main.rs or e.g. this"), [text("http:// and é, main.rs or e.g. this")]);
    let named = |href: &str, content| Inline::Link { href: href.into(), inlines: vec![text(content)] };
    assert_eq!(
        inlines("at www.a.org, or"),
        [text("at "), named("https://www.a.org", "www.a.org"), text(", or")]
    );
    assert_eq!(inlines("to me@a.org."), [text("to "), named("mailto:me@a.org", "me@a.org"), text(".")]);
}

#[test]
fn nesting_has_a_bound() {
    let deep = format!("{} end", ">".repeat(5_000));
    let blocks = parse(&deep);
    assert!(depth(&blocks) <= DEPTH + 1, "{}", depth(&blocks));
    assert!(debug_text(&blocks).contains("end"));
    let stars = parse(&format!("{}x{}", "*a ".repeat(500), " b*".repeat(500)));
    assert!(debug_text(&stars).contains('x'));
}

#[test]
fn a_growing_text_is_cut_where_nothing_can_change() {
    for (source, closed) in [
        ("one", None),
        ("one\n\n", None),
        ("one\n\ntw", None),
        ("one\n\ntwo\n", Some("one\n\n")),
        ("one\ntwo\n\nthree\n", Some("one\ntwo\n\n")),
        ("- a\n\n- b\n", None),
        ("- a\n\n  more\n", None),
        ("- a\n\nend\n", Some("- a\n\n")),
        ("1. a\n\n2. b\n\nend\n", Some("1. a\n\n2. b\n\n")),
        ("text\n- a\n\n- b\n", None),
        ("```\na\n\nb\n", None),
        ("```\na\n\nb\n```\n", Some("```\na\n\nb\n```\n")),
        ("text\n```sh\n", Some("text\n")),
        ("- a\n  ```\n  x\n\ny\n", None),
        ("````\n```\n````\n", Some("````\n```\n````\n")),
        ("\n\none\n\ntwo\n", Some("\n\n")),
    ] {
        let found = closed_prefix(source).map(|end| &source[..end]);
        assert_eq!(found, closed, "{source:?}");
    }
}

#[test]
fn blocks_cut_apart_are_those_of_the_whole() {
    let source = "# H\n\npara one\nstill\n\n- a\n- b\n\n  more b\n\n- c\n\n```py\nx = 1\n\ny\n```\n\n| a |\n|---|\n| 1 |\n\n> q\n\nend\n";
    let mut rest = source;
    let mut blocks = Vec::new();
    let mut cuts = 0;
    while let Some(end) = closed_prefix(rest) {
        blocks.extend(parse(&rest[..end]));
        rest = &rest[end..];
        cuts += 1;
    }
    blocks.extend(parse(rest));
    assert_eq!(blocks, parse(source));
    assert!(cuts >= 5, "{cuts}");
}

#[test]
fn an_open_fence_is_seen() {
    let (fence, length, language) = Fence::at_start("```rust\nfn").unwrap();
    assert_eq!((length, language), (8, "rust"));
    assert!(
        fence.ends_with("```\n")
            && fence.ends_with("````")
            && !fence.ends_with("``")
            && !fence.ends_with("~~~")
    );
    assert_eq!(Fence::at_start("text\n```\n"), None);
    assert_eq!(Fence::at_start(" ```\n"), None);
    assert_eq!(Fence::at_start("```ru"), None);
}

fn text(content: &str) -> Inline {
    Inline::Text(content.to_owned())
}

fn depth(blocks: &[Block]) -> usize {
    blocks
        .iter()
        .map(|block| if let Block::Quote(inner) = block { 1 + depth(inner) } else { 1 })
        .max()
        .unwrap_or(0)
}

fn debug_text(blocks: &[Block]) -> String {
    format!("{blocks:?}").replace("\\\"", "\"")
}

#[test]
fn a_long_list_is_cut_between_its_items() {
    let items = |count: u32, item: fn(u32) -> String| (1..count).map(item).collect::<Vec<_>>().concat();
    let numbered = items(2_000, |n| format!("{n}. item {n}\n"));
    let nested = items(500, |n| format!("- item {n}\n  - below\n    ```\n    - x\n    ```\n"));
    for (source, first) in [(numbered, Some(1)), (nested, None)] {
        let (mut rest, mut all, mut cuts) = (source.as_str(), Vec::new(), 0);
        let mut take = |part: &str| {
            let mut blocks = parse(part);
            let Some(Block::List { start, items }) = blocks.pop() else { panic!("{part:?}") };
            assert!(blocks.is_empty());
            assert_eq!(start, first.map(|first| first + all.len() as u64));
            all.extend(items);
        };
        while let Some(Cut { length: end, is_forced: true }) = next_cut(rest) {
            take(&rest[..end]);
            rest = &rest[end..];
            cuts += 1;
        }
        take(rest);
        assert!(vec![Block::List { start: first, items: all }] == parse(&source));
        assert!(cuts >= 1, "{cuts}");
        assert_eq!(next_cut(&source[..4_000]), None);
    }
}

#[test]
fn what_cannot_be_closed_is_cut_when_it_is_long() {
    let lines = "é word\n".repeat(20_000);
    let one = "é".repeat(60_000);
    for (text, at_line) in [(lines, true), (one, false)] {
        let Cut { length: end, is_forced } = next_cut(&text).expect("it is long");
        assert!(is_forced);
        assert!(end <= LONG_BLOCK && end > LONG_BLOCK / 2, "{end}");
        assert_eq!(text[..end].ends_with('\n'), at_line);
    }
    let rows = "| a | b |\n|---|---|\n".to_owned() + &"| 1 | 2 |\n".repeat(5_000);
    assert_eq!(next_cut(&rows), None, "a table keeps its head");
    let code = "```\n".to_owned() + &"line\n".repeat(50_000);
    assert_eq!(next_cut(&code), None, "code grows by itself");
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
        ("~a ", " a~"),
        ("![", "](http://b)"),
    ] {
        let source = format!("{}end{}", open.repeat(3_000), close.repeat(3_000));
        let blocks = parse(&source);
        assert!(deepest(&blocks) <= DEPTH + 1, "{} of {open:?}", deepest(&blocks));
        assert!(debug_text(&blocks).contains("end"));
    }
}

#[test]
fn little_text_does_not_become_much() {
    let long = "x".repeat(20_000);
    let source = format!("[a]: http://{long}\n\n{}", "[a] ".repeat(20_000));
    assert!(debug_text(&parse(&source)).len() < 1_000_000);
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever grows in whatever steps: no text panics, and cut apart it holds the same letters.
    #[test]
    fn no_text_panics_or_loses_its_letters(text in r"([A-Z]{1,3}|[ *_<>&#!+=.1-]|
|
> |
- |
1. |\*\*|

|`){0,40}") {
        let capitals = |blocks: &[Block]| plain(blocks).chars().filter(char::is_ascii_uppercase).collect::<String>();
        let whole = parse(&text);
        let (mut rest, mut apart) = (text.as_str(), Vec::new());
        while let Some(end) = closed_prefix(rest) {
            apart.extend(parse(&rest[..end]));
            rest = &rest[end..];
        }
        apart.extend(parse(rest));
        prop_assert_eq!(capitals(&whole), capitals(&apart));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = (plain(&parse(&text)), closed_prefix(&text), next_cut(&text), Fence::at_start(&text));
    }
}

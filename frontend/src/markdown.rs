//! Markdown as data: no HTML comes out of it, whatever goes in.
//!
//! HTML in the source is shown as the text it is. Links lead to `http` and `https` only. Images are not fetched: a link with their
//! description stands in their place. Nesting has a bound, since the page draws by recursion.
//!
//! A text that still grows is cut by [`closed_prefix`] into blocks that later text cannot change, so that only the last is drawn again.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

pub use pulldown_cmark::Alignment;

/// How deep blocks and spans may nest; what is deeper is drawn without its outermost dress.
const DEPTH: usize = 24;

/// A block.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Paragraph(Vec<Inline>),
    /// The text of a tight list's item: a paragraph without space around it.
    Plain(Vec<Inline>),
    /// A heading.
    Heading {
        /// 1 to 6.
        level: u8,
        /// Its text.
        inlines: Vec<Inline>,
    },
    /// Code.
    Code {
        /// The language that was named, or empty.
        language: String,
        /// The code.
        text: String,
    },
    /// A quotation.
    Quote(Vec<Self>),
    /// A list.
    List {
        /// The first number, if it is numbered.
        start: Option<u64>,
        /// Its items.
        items: Vec<Item>,
    },
    /// A table.
    Table {
        /// A column each.
        alignments: Vec<Alignment>,
        /// The cells of the head.
        head: Vec<Vec<Inline>>,
        /// The rows of the body.
        rows: Vec<Vec<Vec<Inline>>>,
    },
    /// A rule.
    Rule,
}

/// An item of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Whether it is ticked, if it can be.
    pub ticked: Option<bool>,
    /// What it holds.
    pub blocks: Vec<Block>,
}

/// A span of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inline {
    /// Text.
    Text(String),
    /// Code.
    Code(String),
    /// Emphasis.
    Emphasis(Vec<Self>),
    /// Strong emphasis.
    Strong(Vec<Self>),
    /// Struck out.
    Struck(Vec<Self>),
    /// A link to `http` or `https`.
    Link {
        /// Where to.
        href: String,
        /// Its text.
        inlines: Vec<Self>,
    },
    /// A forced line break.
    Break,
}

/// Parses a text.
pub fn parse(text: &str) -> Vec<Block> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut builder = Builder::default();
    for event in Parser::new_ext(text, options) {
        builder.event(event);
    }
    builder.finish()
}

/// How many bytes at the beginning of a growing text are one or more blocks that nothing that follows can change. `None` if none are yet.
///
/// Only complete lines count. A blank line outside a fence ends a block if the next line is not indented and does not go on with a list.
/// A fence at the margin is a block of its own.
pub fn closed_prefix(text: &str) -> Option<usize> {
    let mut fence: Option<(char, usize, bool)> = None;
    let mut is_list = false;
    let mut blank_end = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !line.ends_with('\n') {
            return None;
        }
        let start = at;
        at += line.len();
        let bare = line.trim();
        if let Some((mark, length, at_margin)) = fence {
            if is_fence_end(bare, mark, length) {
                fence = None;
                if at_margin {
                    return Some(at);
                }
            }
            continue;
        }
        if bare.is_empty() {
            if start > 0 {
                blank_end = Some(at);
            }
            continue;
        }
        let at_margin = !line.starts_with([' ', '\t']);
        let goes_on = !at_margin || (is_list && is_item(bare));
        if let Some(end) = blank_end.take()
            && !goes_on
        {
            return Some(end);
        }
        if let Some((mark, length)) = fence_start(bare) {
            if at_margin && start > 0 {
                return Some(start);
            }
            fence = Some((mark, length, at_margin));
        } else if start == 0 || !is_list {
            is_list |= is_item(bare);
        }
    }
    None
}

fn fence_start(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let info_is_plain = mark == '~' || !line[length..].contains('`');
    (length >= 3 && info_is_plain).then_some((mark, length))
}

fn is_fence_end(line: &str, mark: char, length: usize) -> bool {
    line.chars().count() >= length && line.chars().all(|c| c == mark)
}

fn is_item(line: &str) -> bool {
    let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = if after_number.len() < line.len() {
        after_number.strip_prefix(['.', ')'])
    } else {
        line.strip_prefix(['-', '*', '+'])
    };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// The language and the text so far of a fence at the beginning of `text` that is not closed yet.
pub fn open_fence(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('\n')?;
    let (mark, length) = fence_start(first.trim_end()).filter(|_| !first.starts_with([' ', '\t']))?;
    let closed = rest.lines().any(|line| is_fence_end(line.trim(), mark, length));
    let language = first[length..].split_whitespace().next().unwrap_or_default();
    (!closed).then_some((language, rest))
}

/// Something that was begun and collects what comes until its end.
enum Frame {
    Blocks(Vec<Block>),
    Inline(Kind, Vec<Inline>),
    Code {
        language: String,
        text: String,
    },
    Table {
        alignments: Vec<Alignment>,
        head: Vec<Vec<Inline>>,
        rows: Vec<Vec<Vec<Inline>>>,
    },
    Row {
        is_head: bool,
        cells: Vec<Vec<Inline>>,
    },
    List {
        start: Option<u64>,
        items: Vec<Item>,
    },
    Item {
        ticked: Option<bool>,
        blocks: Vec<Block>,
        loose: Vec<Inline>,
    },
    /// Too deep, or nothing of ours: its children are its parent's.
    Nothing,
}

enum Kind {
    Paragraph,
    Heading(u8),
    Emphasis,
    Strong,
    Struck,
    Link(Option<String>),
    Image(Option<String>),
    Cell,
}

struct Builder {
    frames: Vec<Frame>,
}

impl Default for Builder {
    fn default() -> Self {
        Self { frames: vec![Frame::Blocks(Vec::new())] }
    }
}

impl Builder {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => {
                let frame = self.begin(tag);
                self.frames.push(frame);
            }
            Event::End(end) => self.end(end),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.inline(Inline::Code(text.into_string()));
            }
            Event::FootnoteReference(name) => self.text(&format!("[^{name}]")),
            Event::SoftBreak => self.text("\n"),
            Event::HardBreak => self.inline(Inline::Break),
            Event::Rule => self.block(Block::Rule),
            Event::TaskListMarker(on) => {
                if let Some(Frame::Item { ticked, .. }) =
                    self.frames.iter_mut().rev().find(|frame| matches!(frame, Frame::Item { .. }))
                {
                    *ticked = Some(on);
                }
            }
        }
    }

    fn begin(&self, tag: Tag<'_>) -> Frame {
        if self.frames.len() > DEPTH {
            return Frame::Nothing;
        }
        let inline = |kind| Frame::Inline(kind, Vec::new());
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => inline(Kind::Paragraph),
            Tag::Heading { level, .. } => inline(Kind::Heading(heading(level))),
            Tag::BlockQuote(_) => Frame::Blocks(Vec::new()),
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => {
                        info.split_whitespace().next().unwrap_or_default().to_owned()
                    }
                    CodeBlockKind::Indented => String::new(),
                };
                Frame::Code { language, text: String::new() }
            }
            Tag::List(start) => Frame::List { start, items: Vec::new() },
            Tag::Item => Frame::Item { ticked: None, blocks: Vec::new(), loose: Vec::new() },
            Tag::Table(alignments) => Frame::Table { alignments, head: Vec::new(), rows: Vec::new() },
            Tag::TableHead => Frame::Row { is_head: true, cells: Vec::new() },
            Tag::TableRow => Frame::Row { is_head: false, cells: Vec::new() },
            Tag::TableCell => inline(Kind::Cell),
            Tag::Emphasis => inline(Kind::Emphasis),
            Tag::Strong => inline(Kind::Strong),
            Tag::Strikethrough => inline(Kind::Struck),
            Tag::Link { dest_url, .. } => inline(Kind::Link(safe(&dest_url))),
            Tag::Image { dest_url, .. } => inline(Kind::Image(safe(&dest_url))),
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => Frame::Nothing,
        }
    }

    fn end(&mut self, _end: TagEnd) {
        let Some(frame) = self.frames.pop() else { return };
        match frame {
            Frame::Nothing => {}
            Frame::Blocks(blocks) => self.block(Block::Quote(blocks)),
            Frame::Inline(kind, inlines) => self.close_inline(kind, inlines),
            Frame::Code { language, text } => self.block(Block::Code { language, text }),
            Frame::List { start, items } => self.block(Block::List { start, items }),
            Frame::Item { ticked, mut blocks, loose } => {
                settle(&mut blocks, loose);
                let item = Item { ticked, blocks };
                if let Some(Frame::List { items, .. }) = self.frames.last_mut() {
                    items.push(item);
                } else {
                    for block in item.blocks {
                        self.block(block);
                    }
                }
            }
            Frame::Row { is_head, cells } => match self.frames.last_mut() {
                Some(Frame::Table { head, .. }) if is_head => *head = cells,
                Some(Frame::Table { rows, .. }) => rows.push(cells),
                _ => self.inlines(cells.into_iter().flatten()),
            },
            Frame::Table { alignments, head, rows } => self.block(Block::Table { alignments, head, rows }),
        }
    }

    fn close_inline(&mut self, kind: Kind, inlines: Vec<Inline>) {
        match kind {
            Kind::Heading(level) => self.block(Block::Heading { level, inlines: linked(inlines) }),
            Kind::Emphasis => self.inline(Inline::Emphasis(inlines)),
            Kind::Strong => self.inline(Inline::Strong(inlines)),
            Kind::Struck => self.inline(Inline::Struck(inlines)),
            Kind::Link(Some(href)) => self.inline(Inline::Link { href, inlines }),
            Kind::Image(Some(href)) => {
                let inlines =
                    if inlines.is_empty() { vec![Inline::Text("image".to_owned())] } else { inlines };
                self.inline(Inline::Link { href, inlines });
            }
            Kind::Link(None) | Kind::Image(None) => {
                self.inlines(inlines);
            }
            Kind::Cell => {
                let inlines = linked(inlines);
                if let Some(Frame::Row { cells, .. }) = self.frames.last_mut() {
                    cells.push(inlines);
                } else {
                    self.inlines(inlines);
                }
            }
            Kind::Paragraph => self.block(Block::Paragraph(linked(inlines))),
        }
    }

    fn block(&mut self, block: Block) {
        for frame in self.frames.iter_mut().rev() {
            match frame {
                Frame::Blocks(blocks) => return blocks.push(block),
                Frame::Item { blocks, loose, .. } => {
                    settle(blocks, std::mem::take(loose));
                    return blocks.push(block);
                }
                Frame::Inline(..)
                | Frame::Code { .. }
                | Frame::Table { .. }
                | Frame::Row { .. }
                | Frame::List { .. }
                | Frame::Nothing => {}
            }
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(Frame::Code { text: code, .. }) = self.frames.last_mut() {
            code.push_str(text);
            return;
        }
        self.inline(Inline::Text(text.to_owned()));
    }

    fn inlines(&mut self, inlines: impl IntoIterator<Item = Inline>) {
        for inline in inlines {
            self.inline(inline);
        }
    }

    fn inline(&mut self, inline: Inline) {
        for frame in self.frames.iter_mut().rev() {
            match frame {
                Frame::Inline(_, inlines) => return push(inlines, inline),
                Frame::Item { loose, .. } => return push(loose, inline),
                Frame::Blocks(blocks) => {
                    if let Some(Block::Plain(inlines)) = blocks.last_mut() {
                        push(inlines, inline);
                    } else {
                        blocks.push(Block::Plain(vec![inline]));
                    }
                    return;
                }
                Frame::Code { text, .. } => {
                    if let Inline::Text(more) | Inline::Code(more) = &inline {
                        text.push_str(more);
                    }
                    return;
                }
                Frame::Table { .. } | Frame::Row { .. } | Frame::List { .. } | Frame::Nothing => {}
            }
        }
    }

    fn finish(mut self) -> Vec<Block> {
        match self.frames.drain(..).next() {
            Some(Frame::Blocks(blocks)) => blocks,
            _ => Vec::new(),
        }
    }
}

/// Makes the text of a tight item a block.
fn settle(blocks: &mut Vec<Block>, loose: Vec<Inline>) {
    if !loose.is_empty() {
        blocks.push(Block::Plain(linked(loose)));
    }
}

/// Adds a span; text joins the text before it.
fn push(inlines: &mut Vec<Inline>, inline: Inline) {
    if let (Some(Inline::Text(before)), Inline::Text(text)) = (inlines.last_mut(), &inline) {
        before.push_str(text);
    } else {
        inlines.push(inline);
    }
}

fn heading(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// The address, if a page may lead there.
fn safe(href: &CowStr<'_>) -> Option<String> {
    let lower = href.trim_start().get(..8).unwrap_or(href).to_ascii_lowercase();
    (lower.starts_with("http://") || lower.starts_with("https://")).then(|| href.trim().to_owned())
}

/// Makes bare addresses in text links.
fn linked(inlines: Vec<Inline>) -> Vec<Inline> {
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
    let mut rest = text;
    while let Some(at) = ["https://", "http://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
        let address = &rest[at..];
        let end = address
            .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`'))
            .unwrap_or(address.len());
        let mut href = address[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_']);
        while href.ends_with(')') && href.matches(')').count() > href.matches('(').count() {
            href = &href[..href.len() - 1];
        }
        let before = &rest[..at];
        if !before.is_empty() {
            out.push(Inline::Text(before.to_owned()));
        }
        rest = &address[href.len()..];
        if href.ends_with("://") {
            push(out, Inline::Text(href.to_owned()));
        } else {
            let inlines = vec![Inline::Text(href.to_owned())];
            out.push(Inline::Link { href: href.to_owned(), inlines });
        }
    }
    if !rest.is_empty() {
        push(out, Inline::Text(rest.to_owned()));
    }
}

#[cfg(test)]
mod tests {
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
        let plain = |words| vec![Block::Plain(vec![text(words)])];
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
        let cell = |words| vec![text(words)];
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
            let shown = words(&parse(source));
            for tag in ["<script>", "<b onclick=x>", "<img src=x onerror=y>"] {
                assert_eq!(source.contains(tag), shown.contains(tag), "{source} gave {shown}");
            }
        }
    }

    #[test]
    fn only_web_links_are_links_and_images_are_not_fetched() {
        let link = |href: &str, words| Inline::Link { href: href.into(), inlines: vec![text(words)] };
        let inlines = |source: &str| match parse(source).pop() {
            Some(Block::Paragraph(inlines)) => inlines,
            other => panic!("{other:?}"),
        };
        assert_eq!(inlines("[x](https://a.b/c)"), [link("https://a.b/c", "x")]);
        assert_eq!(inlines("[x](HTTP://a.b)"), [link("HTTP://a.b", "x")]);
        for bad in
            ["javascript:alert(1)", "data:text/html,x", "/settings", "file:///etc/passwd", "//evil.example"]
        {
            assert_eq!(inlines(&format!("[x]({bad})")), [text("x")], "{bad}");
        }
        assert_eq!(inlines("![a cat](https://a.b/cat.png)"), [link("https://a.b/cat.png", "a cat")]);
        assert_eq!(inlines("![](https://a.b/cat.png)"), [link("https://a.b/cat.png", "image")]);
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
        assert_eq!(inlines("(https://a.b/c_(d))"), [text("("), link("https://a.b/c_(d)"), text(")")]);
        assert_eq!(inlines("`http://a.b`"), [Inline::Code("http://a.b".into())]);
        assert_eq!(inlines("http:// and é"), [text("http:// and é")]);
    }

    #[test]
    fn nesting_has_a_bound() {
        let deep = format!("{} end", ">".repeat(5_000));
        let blocks = parse(&deep);
        assert!(depth(&blocks) <= DEPTH + 1, "{}", depth(&blocks));
        assert!(words(&blocks).contains("end"));
        let stars = parse(&format!("{}x{}", "*a ".repeat(500), " b*".repeat(500)));
        assert!(words(&stars).contains('x'));
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
        assert_eq!(open_fence("```rust\nfn"), Some(("rust", "fn")));
        assert_eq!(open_fence("```\na\n```\n"), None);
        assert_eq!(open_fence("text\n```\n"), None);
        assert_eq!(open_fence("```ru"), None);
    }

    fn text(words: &str) -> Inline {
        Inline::Text(words.to_owned())
    }

    fn depth(blocks: &[Block]) -> usize {
        blocks
            .iter()
            .map(|block| if let Block::Quote(inner) = block { 1 + depth(inner) } else { 1 })
            .max()
            .unwrap_or(0)
    }

    fn words(blocks: &[Block]) -> String {
        format!("{blocks:?}").replace("\\\"", "\"")
    }
}

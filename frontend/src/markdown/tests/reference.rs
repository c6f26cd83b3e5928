//! The same blocks out of the events of pulldown-cmark, against which ours are held.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::markdown::{Alignment, Block, DEPTH, Inline, Item};

/// Parses a text.
pub(super) fn parse(text: &str) -> Vec<Block> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut builder = Builder::default();
    for event in Parser::new_ext(text, options) {
        builder.event(event);
    }
    builder.finish()
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
            Tag::Table(alignments) => {
                let alignments = alignments.into_iter().map(alignment).collect();
                Frame::Table { alignments, head: Vec::new(), rows: Vec::new() }
            }
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

fn alignment(alignment: pulldown_cmark::Alignment) -> Alignment {
    match alignment {
        pulldown_cmark::Alignment::None => Alignment::None,
        pulldown_cmark::Alignment::Left => Alignment::Left,
        pulldown_cmark::Alignment::Center => Alignment::Center,
        pulldown_cmark::Alignment::Right => Alignment::Right,
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

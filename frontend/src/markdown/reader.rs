//! Blocks out of pulldown-cmark's events.

use pulldown_cmark::{Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag};

use super::inline::push;
use super::links::{self, linked};
use super::{Block, Inline, Item};

/// How deep blocks and spans may nest; what is deeper is drawn without its dress.
pub(super) const DEPTH: usize = 24;
/// How much of a target is shown that is no link.
const TARGET_CHARS: usize = 200;

/// Parses a text.
pub fn parse(text: &str) -> Vec<Block> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut builder = Builder::default();
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        builder.event(event, &text[range]);
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
    /// Between single ones, which are text.
    Tildes,
    Link(String),
    Image(String),
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
    fn event(&mut self, event: Event<'_>, source: &str) {
        match event {
            Event::Start(tag) => {
                let frame = self.begin(tag, source);
                self.frames.push(frame);
            }
            Event::End(_) => self.end(),
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

    fn begin(&self, tag: Tag<'_>, source: &str) -> Frame {
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
            Tag::Strikethrough if source.starts_with("~~") => inline(Kind::Struck),
            Tag::Strikethrough => inline(Kind::Tildes),
            Tag::Link { dest_url, .. } => inline(Kind::Link(dest_url.into_string())),
            Tag::Image { dest_url, .. } => inline(Kind::Image(dest_url.into_string())),
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => Frame::Nothing,
        }
    }

    fn end(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        match frame {
            Frame::Nothing => {}
            Frame::Blocks(blocks) => self.block(Block::Quote(blocks)),
            Frame::Inline(kind, inlines) => self.close_inline(kind, inlines),
            Frame::Code { language, text } => self.block(Block::Code { language, text }),
            Frame::List { start, items } => self.block(Block::List { start, items }),
            Frame::Item { ticked, mut blocks, loose } => {
                close_loose(&mut blocks, loose);
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
            Kind::Tildes => {
                self.text("~");
                self.inlines(inlines);
                self.text("~");
            }
            Kind::Link(target) => self.link(&target, inlines),
            Kind::Image(target) => {
                let is_bare = inlines.is_empty();
                self.link(&target, if is_bare { vec![Inline::Text("image".to_owned())] } else { inlines });
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

    fn link(&mut self, target: &str, inlines: Vec<Inline>) {
        if let Some(href) = links::address(target) {
            return self.inline(Inline::Link { href, inlines });
        }
        let is_target =
            matches!(inlines.as_slice(), [Inline::Text(text) | Inline::Code(text)] if text == target);
        self.inlines(inlines);
        if !is_target && !target.is_empty() {
            let mut shown: String = target.chars().take(TARGET_CHARS).collect();
            if shown.len() < target.len() {
                shown.push('…');
            }
            self.text(&format!(" ({shown})"));
        }
    }

    fn block(&mut self, block: Block) {
        for frame in self.frames.iter_mut().rev() {
            match frame {
                Frame::Blocks(blocks) => return blocks.push(block),
                Frame::Item { blocks, loose, .. } => {
                    close_loose(blocks, std::mem::take(loose));
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
fn close_loose(blocks: &mut Vec<Block>, loose: Vec<Inline>) {
    if !loose.is_empty() {
        blocks.push(Block::Plain(linked(loose)));
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

//! The first of two phases: lines become blocks.
//!
//! Each line is held against the quotations and lists that are open, then against the blocks it may begin. The text of a paragraph, a
//! heading or a cell is left raw in one [`Inline::Text`], and HTML in one [`Inline::Code`], since a name may be defined after it is used:
//! the second phase makes spans of it.

use super::links::Definitions;
use super::scan::{self, Line};
use super::{Alignment, Block, DEPTH, Inline, Item, fence_start, html, is_fence_end};

/// How many cells that a table's short rows lack are made up.
const LACKING_CELLS: usize = 1 << 16;

/// Blocks with their text as it is written, and the names that it defines.
pub(super) fn parse(text: &str) -> (Vec<Block>, Definitions) {
    let mut parser = Parser {
        containers: vec![Container { blocks: Vec::new(), list: None }],
        leaf: Leaf::None,
        after_blank: false,
        definitions: Definitions::default(),
        lacking_cells: LACKING_CELLS,
    };
    parser.definitions.budget = text.len().max(100_000);
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.bytes().position(|byte| byte == b'\n' || byte == b'\r');
        let line = &rest[..end.unwrap_or(rest.len())];
        parser.after_blank = parser.line(line, end.is_some());
        rest = &rest[line.len()..];
        rest = rest.strip_prefix("\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
    }
    parser.settle(1);
    let blocks = std::mem::take(&mut parser.innermost().blocks);
    (blocks, parser.definitions)
}

/// A quotation or a list that is open; the outermost is the text itself.
struct Container {
    /// What the quotation or the list's last item holds.
    blocks: Vec<Block>,
    list: Option<List>,
}

struct List {
    start: Option<u64>,
    mark: u8,
    is_loose: bool,
    /// The items that are complete.
    items: Vec<Item>,
    ticked: Option<bool>,
    /// How far a line must be indented to belong to the last item.
    indent: usize,
    /// Whether the last item holds nothing yet.
    is_empty: bool,
}

/// The block that the next line may go on with.
enum Leaf {
    None,
    Paragraph(String),
    Fence {
        mark: char,
        length: usize,
        indent: usize,
        language: String,
        text: String,
    },
    Indented(String),
    Html {
        text: String,
        /// With what it ends; empty if with a blank line.
        end: &'static str,
    },
    Table {
        alignments: Vec<Alignment>,
        head: Vec<Vec<Inline>>,
        rows: Vec<Vec<Vec<Inline>>>,
    },
}

struct Parser {
    containers: Vec<Container>,
    leaf: Leaf,
    /// Whether the line before was blank, so that what begins now makes its list loose.
    after_blank: bool,
    definitions: Definitions,
    lacking_cells: usize,
}

impl Parser {
    /// Takes a line and says whether it is blank for the list it is in.
    fn line(&mut self, text: &str, newline: bool) -> bool {
        let mut line = Line::new(text);
        let mut kept = 1;
        while kept < self.containers.len() && self.goes_on(kept, &mut line) {
            kept += 1;
        }
        // Whether the line belongs to all that is open, so that it may go on with the leaf.
        let whole = kept == self.containers.len();
        if whole && let Some(is_blank) = self.leaf_takes(&mut line, newline) {
            return is_blank;
        }
        let mut begun = false;
        loop {
            let rest = line.ahead();
            if rest.is_empty() {
                return self.blank(kept, begun);
            }
            let in_paragraph = matches!(self.leaf, Leaf::Paragraph(_));
            let in_table = whole && matches!(self.leaf, Leaf::Table { .. });
            let indent = line.indent();
            if indent >= 4 {
                if !in_paragraph && !in_table {
                    self.settle(kept);
                    self.begin();
                    line.skip(4);
                    let mut code = String::new();
                    line.push_to(&mut code, newline);
                    self.leaf = Leaf::Indented(code);
                    return false;
                }
                break;
            }
            if rest.starts_with('>') && self.depth(kept) < DEPTH - 1 {
                self.settle(kept);
                self.begin();
                self.containers.push(Container { blocks: Vec::new(), list: None });
                line.take(1);
                line.skip(1);
            } else if let Some(block) = scan::heading(rest) {
                self.settle(kept);
                self.begin();
                let (level, text) = block;
                self.push(Block::Heading { level, inlines: raw(text) });
                return false;
            } else if let Some((mark, length)) = fence_start(rest) {
                self.settle(kept);
                self.begin();
                let info = super::links::unescaped(&rest[length..]);
                let language = info.split_whitespace().next().unwrap_or_default().to_owned();
                self.leaf = Leaf::Fence { mark, length, indent, language, text: String::new() };
                return false;
            } else if let Some(end) = html::block(rest, in_paragraph || in_table) {
                self.settle(kept);
                self.begin();
                let mut text = String::new();
                line.push_to(&mut text, newline);
                self.leaf = Leaf::Html { text, end };
                if !end.is_empty() && html::ends(rest, end) {
                    self.settle(kept);
                }
                return false;
            } else if whole && in_paragraph && (self.underlined(rest) || self.table(rest)) {
                return false;
            } else if scan::is_rule(rest) {
                self.settle(kept);
                self.begin();
                self.push(Block::Rule);
                return false;
            } else if let Some(marker) = scan::marker(rest)
                && self.may_begin_item(&marker, rest, kept)
            {
                line.take(marker.len);
                let rest = line.ahead();
                let space = line.indent();
                let inset = if rest.is_empty() || space > 4 { 1 } else { space };
                line.skip(inset);
                self.begin_item(kept, &marker, indent + marker.len + inset);
                let ticked = if line.indent() < 4 { scan::tick(rest) } else { None };
                if let Some(list) = &mut self.innermost().list
                    && ticked.is_some()
                {
                    list.ticked = ticked;
                    let text = rest[3..].trim_start_matches([' ', '\t']);
                    if !text.is_empty() {
                        self.begin();
                        // After a line's end, since it defines no name.
                        self.leaf = Leaf::Paragraph(format!("\n{text}"));
                    }
                    return false;
                }
            } else {
                break;
            }
            begun = true;
            kept = self.containers.len();
        }
        self.text(line.ahead(), whole, kept);
        false
    }

    /// Whether the line goes on with the container, of which it takes the mark.
    fn goes_on(&self, container: usize, line: &mut Line<'_>) -> bool {
        let indent = line.indent();
        match &self.containers[container].list {
            None if indent < 4 && line.ahead().starts_with('>') => {
                line.take(1);
                line.skip(1);
                true
            }
            Some(list) if indent >= list.indent || line.is_blank() => {
                line.skip(list.indent);
                true
            }
            None | Some(_) => false,
        }
    }

    /// Gives a line to a leaf that takes lines as they are. Says whether it was blank, or nothing if it was not taken.
    fn leaf_takes(&mut self, line: &mut Line<'_>, newline: bool) -> Option<bool> {
        let is_blank = line.is_blank();
        match &mut self.leaf {
            Leaf::Fence { mark, length, indent, text, .. } => {
                if line.indent() < 4 && is_fence_end(scan::trim(line.ahead()), *mark, *length) {
                    self.close_leaf();
                } else {
                    line.skip(*indent);
                    line.push_to(text, newline);
                }
                Some(false)
            }
            Leaf::Indented(text) if is_blank || line.indent() >= 4 => {
                line.skip(4);
                line.push_to(text, newline);
                Some(is_blank)
            }
            Leaf::Html { text, end } if !(is_blank && end.is_empty()) => {
                line.push_to(text, newline);
                if !end.is_empty() && html::ends(line.ahead(), end) {
                    self.close_leaf();
                }
                Some(false)
            }
            Leaf::None | Leaf::Paragraph(_) | Leaf::Indented(_) | Leaf::Html { .. } | Leaf::Table { .. } => {
                None
            }
        }
    }

    /// Takes a line that is blank after the marks of `kept` containers.
    fn blank(&mut self, kept: usize, begun: bool) -> bool {
        self.settle(kept);
        let is_outermost = kept == 1;
        match &mut self.innermost().list {
            None => is_outermost,
            Some(list) if list.is_empty && begun => false,
            Some(list) => {
                // An item begins with one blank line at most.
                if list.is_empty {
                    list.indent = usize::MAX;
                }
                true
            }
        }
    }

    /// Takes a line that begins no other block.
    fn text(&mut self, line: &str, whole: bool, kept: usize) {
        match &mut self.leaf {
            // Also lazily, after the marks of fewer containers than are open.
            Leaf::Paragraph(text) => {
                text.push('\n');
                text.push_str(line);
                return;
            }
            Leaf::Table { alignments, rows, .. } if whole => {
                let cells = scan::cells(line);
                if !cells.is_empty() {
                    rows.push(row(cells, alignments.len(), &mut self.lacking_cells));
                    return;
                }
            }
            Leaf::None | Leaf::Fence { .. } | Leaf::Indented(_) | Leaf::Html { .. } | Leaf::Table { .. } => {}
        }
        self.settle(kept);
        self.begin();
        self.leaf = Leaf::Paragraph(line.to_owned());
    }

    /// Makes the paragraph a heading if the line underlines it.
    fn underlined(&mut self, line: &str) -> bool {
        let Some(level) = scan::underline(line) else { return false };
        let Leaf::Paragraph(text) = &mut self.leaf else { return false };
        let defined = self.definitions.take(text);
        text.drain(..defined);
        if text.is_empty() {
            return false;
        }
        let inlines = raw(text);
        self.leaf = Leaf::None;
        self.push(Block::Heading { level, inlines });
        true
    }

    /// Makes the last line of the paragraph a table's head if this line describes its columns. A paragraph is only interrupted by a head
    /// that begins with a pipe.
    fn table(&mut self, line: &str) -> bool {
        let Leaf::Paragraph(text) = &mut self.leaf else { return false };
        let Some(alignments) = scan::columns(line) else { return false };
        let start = text.rfind('\n').map_or(0, |end| end + 1);
        let head = &text[start..];
        if !head.contains('|') || (start > 0 && !head.starts_with('|')) {
            return false;
        }
        let cells = scan::cells(head);
        if cells.len() != alignments.len() || cells.is_empty() {
            return false;
        }
        text.truncate(start);
        self.close_leaf();
        let head = row(cells, alignments.len(), &mut 0);
        self.leaf = Leaf::Table { alignments, head, rows: Vec::new() };
        true
    }

    fn may_begin_item(&self, marker: &scan::Marker, rest: &str, kept: usize) -> bool {
        let interrupts = match &self.leaf {
            Leaf::Paragraph(_) if kept == self.containers.len() => {
                marker.number.is_none_or(|number| number == 1) && !scan::trim(&rest[marker.len..]).is_empty()
            }
            Leaf::None
            | Leaf::Paragraph(_)
            | Leaf::Fence { .. }
            | Leaf::Indented(_)
            | Leaf::Html { .. }
            | Leaf::Table { .. } => true,
        };
        interrupts && (self.continued(kept, marker.mark) || self.depth(kept) < DEPTH - 2)
    }

    /// Whether an item with this mark goes on with a list whose last item ends here.
    fn continued(&self, kept: usize, mark: u8) -> bool {
        self.containers
            .get(kept)
            .and_then(|container| container.list.as_ref())
            .is_some_and(|list| list.mark == mark)
    }

    fn begin_item(&mut self, kept: usize, marker: &scan::Marker, indent: usize) {
        if self.continued(kept, marker.mark) {
            self.settle(kept + 1);
            let after_blank = self.after_blank;
            let container = self.innermost();
            let blocks = std::mem::take(&mut container.blocks);
            if let Some(list) = &mut container.list {
                list.items.push(Item { ticked: list.ticked.take(), blocks });
                list.is_loose |= after_blank;
                list.indent = indent;
                list.is_empty = true;
            }
            self.after_blank = false;
        } else {
            self.settle(kept);
            self.begin();
            let list = List {
                start: marker.number,
                mark: marker.mark,
                is_loose: false,
                items: Vec::new(),
                ticked: None,
                indent,
                is_empty: true,
            };
            self.containers.push(Container { blocks: Vec::new(), list: Some(list) });
        }
    }

    /// How deep the first `kept` containers are drawn: a list and its item are two.
    fn depth(&self, kept: usize) -> usize {
        let mut depth = 0;
        for container in &self.containers[1..kept] {
            depth += if container.list.is_some() { 2 } else { 1 };
        }
        depth
    }

    fn innermost(&mut self) -> &mut Container {
        self.containers.last_mut().expect("the outermost is never closed")
    }

    fn push(&mut self, block: Block) {
        self.innermost().blocks.push(block);
    }

    /// Something begins within the innermost container.
    fn begin(&mut self) {
        let after_blank = std::mem::take(&mut self.after_blank);
        if let Some(list) = &mut self.innermost().list {
            list.is_loose |= after_blank;
            list.is_empty = false;
        }
    }

    /// Closes the leaf and all containers but the first `kept`.
    fn settle(&mut self, kept: usize) {
        self.close_leaf();
        while self.containers.len() > kept {
            let Some(Container { blocks, list }) = self.containers.pop() else { return };
            let block = match list {
                None => Block::Quote(blocks),
                Some(mut list) => {
                    list.items.push(Item { ticked: list.ticked, blocks });
                    if !list.is_loose {
                        tighten(&mut list.items);
                    }
                    Block::List { start: list.start, items: list.items }
                }
            };
            self.push(block);
        }
    }

    fn close_leaf(&mut self) {
        let block = match std::mem::replace(&mut self.leaf, Leaf::None) {
            Leaf::None => return,
            Leaf::Paragraph(text) => {
                let text = scan::trim(&text[self.definitions.take(&text)..]);
                if text.is_empty() {
                    return;
                }
                Block::Paragraph(raw(text))
            }
            Leaf::Fence { language, text, .. } => Block::Code { language, text },
            Leaf::Indented(mut text) => {
                let end = text.trim_end_matches([' ', '\t', '\n']).len();
                let end = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
                text.truncate(end);
                Block::Code { language: String::new(), text }
            }
            Leaf::Html { text, .. } => Block::Paragraph(vec![Inline::Code(text)]),
            Leaf::Table { alignments, head, rows } => Block::Table { alignments, head, rows },
        };
        self.push(block);
    }
}

fn raw(text: &str) -> Vec<Inline> {
    vec![Inline::Text(scan::trim(text).to_owned())]
}

/// A row of so many cells. What lacks is made up, what is too much is dropped.
fn row(mut cells: Vec<String>, columns: usize, lacking: &mut usize) -> Vec<Vec<Inline>> {
    cells.truncate(columns);
    let mut row = Vec::with_capacity(cells.len());
    for cell in cells {
        row.push(vec![Inline::Text(cell)]);
    }
    while row.len() < columns && *lacking > 0 {
        *lacking -= 1;
        row.push(Vec::new());
    }
    row
}

/// A tight list's paragraphs have no space around them.
fn tighten(items: &mut [Item]) {
    for item in items {
        for block in &mut item.blocks {
            if let Block::Paragraph(inlines) = block
                && let [Inline::Text(_)] = inlines[..]
            {
                *block = Block::Plain(std::mem::take(inlines));
            }
        }
    }
}

//! The second of two phases: raw text becomes spans.
//!
//! A text is read once from left to right into a flat row of nodes, in which runs of `*`, `_` and `~` and brackets wait on two stacks for
//! what closes them. What is found marks its two nodes. Then the row is read once more to make the tree.

use super::chars::{entity, is_punctuation};
use super::links::{self, Definitions};
use super::tree::{Node, Span, Tree};
use super::{Block, Inline, html, spend};

/// Makes spans of the raw texts of blocks, nested at most `room` deep.
pub(super) fn fill(blocks: &mut Vec<Block>, definitions: &mut Definitions, room: usize) {
    for block in &mut *blocks {
        match block {
            Block::Paragraph(inlines) | Block::Plain(inlines) | Block::Heading { inlines, .. } => {
                parse(inlines, definitions, room);
            }
            Block::Table { head, rows, .. } => {
                for row in std::iter::once(head).chain(rows) {
                    for cell in row {
                        parse(cell, definitions, room);
                    }
                }
            }
            Block::Quote(inner) => fill(inner, definitions, room.saturating_sub(1)),
            Block::List { items, .. } => {
                for item in items {
                    fill(&mut item.blocks, definitions, room.saturating_sub(2));
                }
            }
            Block::Code { .. } | Block::Rule => {}
        }
    }
    blocks.retain(|block| !matches!(block, Block::Plain(inlines) if inlines.is_empty()));
}

/// Makes spans of one raw text.
fn parse(inlines: &mut Vec<Inline>, definitions: &mut Definitions, room: usize) {
    let mut tree = Tree::new(room);
    match inlines.pop() {
        Some(Inline::Text(raw)) => {
            let mut reader = Reader::new(&raw);
            reader.read(definitions);
            for node in reader.nodes {
                tree.add(node);
            }
        }
        // HTML stays as it is.
        Some(Inline::Code(raw)) => tree.add(Node::Text(&raw)),
        _ => {}
    }
    *inlines = tree.finish();
}

/// A run of marks that waits.
#[derive(Clone, Copy)]
struct Run {
    node: usize,
    mark: u8,
    /// How many marks are left.
    left: usize,
    /// How many there were.
    len: usize,
    opens: bool,
    closes: bool,
}

/// A bracket that waits.
struct Bracket {
    node: usize,
    is_image: bool,
    /// Where the text in it begins.
    start: usize,
    /// How many runs waited before it.
    runs: usize,
    /// Whether brackets were opened in it.
    has_brackets: bool,
}

struct Reader<'a> {
    text: &'a str,
    /// Up to where the text is in nodes.
    done: usize,
    nodes: Vec<Node<'a>>,
    runs: Vec<Run>,
    brackets: Vec<Bracket>,
    /// Below here on the stack, brackets of links contain a link already.
    spent_brackets: usize,
    /// Where the last run of backticks of each length is.
    backticks: Option<Vec<usize>>,
    html: html::Finder,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            done: 0,
            nodes: Vec::new(),
            runs: Vec::new(),
            brackets: Vec::new(),
            spent_brackets: 0,
            backticks: None,
            html: html::Finder::default(),
        }
    }

    fn read(&mut self, definitions: &mut Definitions) {
        let text = self.text;
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let next = bytes.get(at + 1);
            at = match byte {
                b'\\' if next == Some(&b'\n') => self.put(at, Node::Break, at + 2),
                b'\\' if next.is_some_and(u8::is_ascii_punctuation) => {
                    self.put(at, Node::Text(&text[at + 1..at + 2]), at + 2)
                }
                b'\n' => self.newline(at),
                b'`' => self.code(at),
                b'*' | b'_' | b'~' => self.run(at, *byte),
                b'!' if next == Some(&b'[') => self.bracket(at, true),
                b'[' => self.bracket(at, false),
                b']' => self.close(at, definitions),
                b'<' => self.angle(at),
                b'&' => match entity(&text[at..]) {
                    Some((meant, len)) => self.put(at, Node::Char(meant), at + len),
                    None => at + 1,
                },
                _ => at + 1,
            };
        }
        self.put_text(text.len());
        self.pair(0);
    }

    /// Makes what was passed a node.
    fn put_text(&mut self, end: usize) {
        if end > self.done {
            self.nodes.push(Node::Text(&self.text[self.done..end]));
            self.done = end;
        }
    }

    /// Adds the node that stands for the text from `at` to `end`.
    fn put(&mut self, at: usize, node: Node<'a>, end: usize) -> usize {
        self.put_text(at);
        self.nodes.push(node);
        self.done = end;
        end
    }

    fn newline(&mut self, at: usize) -> usize {
        let line = &self.text[self.done..at];
        let bare = line.trim_end_matches([' ', '\t']).len();
        let node = if line.len() - bare >= 2 { Node::Break } else { Node::Text("\n") };
        self.put(self.done + bare, node, at + 1)
    }

    /// Code, if as many backticks follow somewhere as there are at `at`.
    fn code(&mut self, at: usize) -> usize {
        let text = self.text;
        let len = count(text, at, b'`');
        let start = at + len;
        let last = self.backticks.get_or_insert_with(|| last_backticks(text));
        if last.get(len).is_none_or(|last| *last <= at) {
            return start;
        }
        let mut end = start;
        loop {
            end += text[end..].find('`').unwrap_or(text.len() - end);
            let found = count(text, end, b'`');
            if found == len {
                break;
            }
            if found == 0 {
                return start;
            }
            end += found;
        }
        spend(end - at);
        let mut code = text[start..end].replace('\n', " ");
        if code.starts_with(' ') && code.ends_with(' ') && code.bytes().any(|byte| byte != b' ') {
            code.pop();
            code.remove(0);
        }
        self.put(at, Node::Code(code), end + len)
    }

    fn run(&mut self, at: usize, mark: u8) -> usize {
        let len = count(self.text, at, mark);
        let end = at + len;
        // One alone mostly stands for "about".
        if mark == b'~' && len != 2 {
            return end;
        }
        let before = self.text[..at].chars().next_back();
        let after = self.text[end..].chars().next();
        let is_space = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let is_mark = |c: Option<char>| c.is_some_and(is_punctuation);
        let is_word = |c| !is_space(c) && !is_mark(c);
        // `_` neither opens nor closes within a word.
        let within = mark != b'_';
        let run = Run {
            node: 0,
            mark,
            left: len,
            len,
            opens: !is_space(after) && (!is_word(before) || within && (is_word(after) || mark == b'~')),
            closes: !is_space(before) && (!is_word(after) || within && is_word(before)),
        };
        if run.opens || run.closes {
            let node = Node::Run { mark: &self.text[at..end], closes: 0, opens: Vec::new() };
            self.put(at, node, end);
            self.runs.push(Run { node: self.nodes.len() - 1, ..run });
        }
        end
    }

    fn bracket(&mut self, at: usize, is_image: bool) -> usize {
        if let Some(outer) = self.brackets.last_mut() {
            outer.has_brackets = true;
        }
        let end = at + 1 + usize::from(is_image);
        self.put(at, Node::Text(&self.text[at..end]), end);
        self.brackets.push(Bracket {
            node: self.nodes.len() - 1,
            is_image,
            start: end,
            runs: self.runs.len(),
            has_brackets: false,
        });
        end
    }

    fn close(&mut self, at: usize, definitions: &mut Definitions) -> usize {
        let Some(bracket) = self.brackets.pop() else { return at + 1 };
        let is_spent = !bracket.is_image && self.brackets.len() < self.spent_brackets;
        self.spent_brackets = self.spent_brackets.min(self.brackets.len());
        if is_spent {
            return at + 1;
        }
        let Some((href, end)) = self.target(at, &bracket, definitions) else { return at + 1 };
        self.put(at, Node::Text(""), end);
        self.pair(bracket.runs);
        if !bracket.is_image {
            self.spent_brackets = self.brackets.len();
        }
        let close = self.nodes.len() - 1;
        self.nodes[bracket.node] = Node::Text("");
        if let Some(href) = links::safe(&href) {
            let href = href.to_owned();
            self.nodes[bracket.node] =
                Node::Open(if bracket.is_image { Span::Image(href) } else { Span::Link(href) });
            self.nodes[close] = Node::Close;
        }
        end
    }

    /// Where the brackets that are closed at `at` lead, and where that is said to its end.
    fn target(&self, at: usize, bracket: &Bracket, definitions: &mut Definitions) -> Option<(String, usize)> {
        let next = at + 1;
        if self.text.as_bytes().get(next) == Some(&b'(')
            && let Some(found) = links::target(self.text, next + 1)
        {
            return Some(found);
        }
        // A name has no brackets in it.
        let own = (!bracket.has_brackets).then_some(&self.text[bracket.start..at]);
        let (label, end) = match links::label(self.text, next) {
            Some(("", end)) => (own?, end),
            Some((label, end)) if !label.trim().is_empty() => (label, end),
            Some(_) | None => (own?, next),
        };
        Some((definitions.find(label)?.to_owned(), end))
    }

    fn angle(&mut self, at: usize) -> usize {
        if let Some((address, end)) = links::autolink(self.text, at) {
            let node =
                if links::safe(address).is_some() { Node::Address(address) } else { Node::Text(address) };
            return self.put(at, node, end);
        }
        match self.html.find(self.text, at) {
            Some(end) => self.put(at, Node::Text(&self.text[at..end]), end),
            None => at + 1,
        }
    }

    /// Pairs the runs that have waited since there were `first`, and removes them.
    fn pair(&mut self, first: usize) {
        // The runs from `first` to `top` may still be closed. Below its floor no run opens what a kind of run closes.
        let mut top = first;
        let mut floors = [first; 14];
        for at in first..self.runs.len() {
            let mut closer = self.runs[at];
            let kind = match closer.mark {
                b'*' => closer.len % 3 + 3 * usize::from(closer.opens),
                b'_' => 6 + closer.len % 3 + 3 * usize::from(closer.opens),
                _ => 11 + closer.len,
            };
            while closer.closes && closer.left > 0 {
                let mut opener = top;
                while opener > floors[kind] && !self.runs[opener - 1].pairs_with(closer) {
                    opener -= 1;
                    spend(1);
                }
                if opener == floors[kind] {
                    floors[kind] = top;
                    break;
                }
                let run = &mut self.runs[opener - 1];
                let used = if closer.left >= 2 && run.left >= 2 { 2 } else { 1 };
                run.left -= used;
                closer.left -= used;
                top = if run.left == 0 { opener - 1 } else { opener };
                for floor in &mut floors {
                    *floor = (*floor).min(top);
                }
                let span = match (closer.mark, used) {
                    (b'~', _) => Span::Struck,
                    (_, 1) => Span::Emphasis,
                    _ => Span::Strong,
                };
                let node = run.node;
                self.open(node, used, span);
                self.shut(closer.node, used);
            }
            if closer.opens && closer.left > 0 {
                self.runs[top] = closer;
                top += 1;
            }
        }
        self.runs.truncate(first);
    }

    fn open(&mut self, node: usize, used: usize, span: Span) {
        if let Node::Run { mark, opens, .. } = &mut self.nodes[node] {
            *mark = &mark[used..];
            opens.push(span);
        }
    }

    fn shut(&mut self, node: usize, used: usize) {
        if let Node::Run { mark, closes, .. } = &mut self.nodes[node] {
            *mark = &mark[used..];
            *closes += 1;
        }
    }
}

impl Run {
    fn pairs_with(self, closer: Self) -> bool {
        let fits = self.mark == b'~'
            || !(self.closes || closer.opens)
            || !(self.len + closer.len).is_multiple_of(3)
            || closer.len.is_multiple_of(3);
        self.mark == closer.mark && fits
    }
}

/// How often `mark` follows from `at` on.
fn count(text: &str, at: usize, mark: u8) -> usize {
    let mut end = at;
    while text.as_bytes().get(end) == Some(&mark) {
        end += 1;
    }
    spend(1 + end - at);
    end - at
}

/// Where the last run of backticks of each length begins; 0 if there is none.
fn last_backticks(text: &str) -> Vec<usize> {
    let mut last = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        at += found;
        let len = count(text, at, b'`');
        if last.len() <= len {
            last.resize(len + 1, 0);
        }
        last[len] = at;
        at += len;
    }
    last
}

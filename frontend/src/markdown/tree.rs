//! The tree of spans that a row of nodes becomes.

use super::{Inline, links};

/// What opens a span.
pub(super) enum Span {
    Emphasis,
    Strong,
    Struck,
    /// A link, and where it leads.
    Link(String),
    /// What stands for an image, and where that is.
    Image(String),
}

/// A piece of a text.
pub(super) enum Node<'a> {
    /// Text as it is shown.
    Text(&'a str),
    Char(char),
    Code(String),
    Break,
    /// An address that stands for itself.
    Address(&'a str),
    /// Marks that close spans, stay as they are, and open spans.
    Run {
        mark: &'a str,
        closes: usize,
        /// The innermost first.
        opens: Vec<Span>,
    },
    Open(Span),
    Close,
}

/// The tree that nodes become.
pub(super) struct Tree {
    /// The spans that are open, and what came before each.
    open: Vec<(Span, Vec<Inline>)>,
    out: Vec<Inline>,
    /// Text that is not in `out` yet.
    text: String,
    /// How many spans may be open.
    room: usize,
    /// How many more are open than there is room for; they are left out.
    deeper: usize,
    /// How many of the open spans are links, in which bare addresses are none.
    links: usize,
}

impl Tree {
    pub(super) fn new(room: usize) -> Self {
        Self { open: Vec::new(), out: Vec::new(), text: String::new(), room, deeper: 0, links: 0 }
    }

    pub(super) fn finish(mut self) -> Vec<Inline> {
        self.settle();
        self.out
    }

    pub(super) fn add(&mut self, node: Node<'_>) {
        match node {
            Node::Text(text) => self.text.push_str(text),
            Node::Char(c) => self.text.push(c),
            Node::Code(code) => self.push(Inline::Code(code)),
            Node::Break => self.push(Inline::Break),
            Node::Address(address) => {
                let inlines = vec![Inline::Text(address.to_owned())];
                self.push(Inline::Link { href: address.to_owned(), inlines });
            }
            Node::Run { mark, closes, opens } => {
                for _ in 0..closes {
                    self.shut();
                }
                self.text.push_str(mark);
                for span in opens.into_iter().rev() {
                    self.begin(span);
                }
            }
            Node::Open(span) => self.begin(span),
            Node::Close => self.shut(),
        }
    }

    fn push(&mut self, inline: Inline) {
        self.settle();
        self.out.push(inline);
    }

    /// Makes the text so far spans.
    fn settle(&mut self) {
        let mut text = &*self.text;
        while self.links == 0
            && let Some((start, end)) = links::bare(text)
        {
            if start > 0 {
                self.out.push(Inline::Text(text[..start].to_owned()));
            }
            let href = text[start..end].to_owned();
            self.out.push(Inline::Link { inlines: vec![Inline::Text(href.clone())], href });
            text = &text[end..];
        }
        if !text.is_empty() {
            self.out.push(Inline::Text(text.to_owned()));
        }
        self.text.clear();
    }

    fn begin(&mut self, span: Span) {
        if self.open.len() >= self.room {
            self.deeper += 1;
            return;
        }
        self.settle();
        self.links += usize::from(span.is_link());
        self.open.push((span, std::mem::take(&mut self.out)));
    }

    fn shut(&mut self) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        self.settle();
        let Some((span, before)) = self.open.pop() else { return };
        self.links -= usize::from(span.is_link());
        let mut inlines = std::mem::replace(&mut self.out, before);
        self.out.push(match span {
            Span::Emphasis => Inline::Emphasis(inlines),
            Span::Strong => Inline::Strong(inlines),
            Span::Struck => Inline::Struck(inlines),
            Span::Link(href) => Inline::Link { href, inlines },
            Span::Image(href) => {
                if inlines.is_empty() {
                    inlines.push(Inline::Text("image".to_owned()));
                }
                Inline::Link { href, inlines }
            }
        });
    }
}

impl Span {
    fn is_link(&self) -> bool {
        matches!(self, Self::Link(_) | Self::Image(_))
    }
}

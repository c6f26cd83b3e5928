//! Text that grows: only what is new is added to its node, so that what is selected in it stays selected.

use leptos::attr::Attribute;
use leptos::attr::any_attribute::AnyAttribute;
use leptos::prelude::*;
use leptos::tachys::hydration::Cursor;
use leptos::tachys::view::{Position, PositionState};

/// A text, as a view.
pub(crate) struct Growing(pub(crate) String);

impl Render for Growing {
    type State = web_sys::Text;

    fn build(self) -> Self::State {
        document().create_text_node(&self.0)
    }

    fn rebuild(self, node: &mut Self::State) {
        match self.0.strip_prefix(node.data().as_str()) {
            Some("") => {}
            Some(more) => {
                let added = node.append_data(more);
                debug_assert!(added.is_ok(), "{added:?}");
            }
            None => node.set_data(&self.0),
        }
    }
}

impl AddAnyAttr for Growing {
    type Output<A: Attribute> = Self;

    fn add_any_attr<A: Attribute>(self, _: A) -> Self {
        self
    }
}

/// What a server would send. This page is made by the browser alone.
impl RenderHtml for Growing {
    type AsyncOutput = Self;
    type Owned = Self;
    const MIN_LENGTH: usize = 0;

    fn dry_resolve(&mut self) {}

    async fn resolve(self) -> Self {
        self
    }

    fn to_html_with_buf(
        self,
        buf: &mut String,
        position: &mut Position,
        escape: bool,
        mark_branches: bool,
        extra_attrs: Vec<AnyAttribute>,
    ) {
        self.0.to_html_with_buf(buf, position, escape, mark_branches, extra_attrs);
    }

    fn hydrate<const FROM_SERVER: bool>(self, _: &Cursor, _: &PositionState) -> Self::State {
        self.build()
    }

    fn into_owned(self) -> Self {
        self
    }
}

//! The root: makes the page's state, opens the tab, and puts the views onto it.

use std::cell::RefCell;
use std::rc::Rc;

use agent::view::TurnView;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::shell::{TabController, take_address};
use crate::state::PageState;
use crate::ui::{Dispatch, Page, PageCommand};

/// Where commands go: those made before the tab is open wait for it.
enum Mailbox {
    Closed(Vec<PageCommand>),
    Open(Rc<TabController>),
}

/// The page with everything behind it. A pairing code is taken out of the address before anything else.
#[component]
pub fn App() -> impl IntoView {
    let address = take_address();
    let state = PageState::new();
    let mailbox = Rc::new(RefCell::new(Mailbox::Closed(Vec::new())));
    provide_context(state);
    provide_context(Dispatch::new({
        let mailbox = mailbox.clone();
        move |command| deliver(&mailbox, command)
    }));
    Effect::new(move |_| document().set_title(&title(state)));
    spawn_local(async move {
        let tab = TabController::open(state, address).await;
        let Mailbox::Closed(early) = mailbox.replace(Mailbox::Open(tab.clone())) else { return };
        for command in early {
            tab.run(command);
        }
    });
    view! { <Page/> }
}

fn deliver(mailbox: &RefCell<Mailbox>, command: PageCommand) {
    let tab = match &mut *mailbox.borrow_mut() {
        Mailbox::Open(tab) => tab.clone(),
        Mailbox::Closed(early) => return early.push(command),
    };
    tab.run(command);
}

/// The tab's title: what the session is called, after a sign of what it does.
fn title(state: PageState) -> String {
    state.status.with(|status| {
        let title = if status.title.is_empty() { "Meanwhile" } else { &status.title };
        match status.turn {
            TurnView::Asks => format!("? {title}"),
            TurnView::Failed => format!("! {title}"),
            TurnView::Asking | TurnView::Streaming | TurnView::Tools | TurnView::BacksOff { .. } => {
                format!("● {title}")
            }
            TurnView::Idle | TurnView::WaitsForRunner { .. } => title.to_owned(),
        }
    })
}

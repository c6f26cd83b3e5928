//! Lists: an item stays what it is for as long as its key is in the list, wherever it moves.
//!
//! What is gone goes first, so that nothing that stays is moved for it: a moved element loses the focus. Each item has an owner of its
//! own, a child of the one the list was made under, and ends with it.

use leptos::prelude::*;
use shared::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use web_sys::Node;

use super::follow;
use super::node::{View, attached, fragment, mark};

/// What an item is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Number(u64),
    Text(String),
}

impl From<u64> for Key {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Key {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<agent::CallId> for Key {
    fn from(call: agent::CallId) -> Self {
        Self::Number(call.0)
    }
}

impl From<shared::SessionId> for Key {
    fn from(session: shared::SessionId) -> Self {
        Self::Text(session.to_string())
    }
}

impl From<TaskId> for Key {
    fn from(task: TaskId) -> Self {
        Self::Text(task.to_string())
    }
}

/// One view for each key. A list that names a key twice shows it once.
pub(crate) fn each<T: Clone + 'static, K: Into<Key>>(
    items: impl Fn() -> Vec<T> + 'static,
    key: impl Fn(&T) -> K + 'static,
    mut view: impl FnMut(T) -> View + 'static,
) -> View {
    let (all, mut list) = List::new();
    follow(Box::new(move || {
        let items = items();
        let keys = items.iter().map(|item| key(item).into()).collect();
        let mut make = |at: usize| items.get(at).cloned().map_or_else(View::default, &mut view);
        untrack(|| list.update(keys, &mut make));
    }));
    all
}

struct Item {
    owner: Owner,
    /// The nodes of an item stand in a row from here …
    first: Node,
    /// … to here.
    last: Node,
}

impl Item {
    fn new(outer: Option<&Owner>, make: &mut dyn FnMut() -> View) -> (Self, View) {
        let owner = outer.map_or_else(Owner::new, Owner::child);
        let view = owner.with(make).node();
        let (first, last, node) = match view {
            Some(node) if node.node_type() != Node::DOCUMENT_FRAGMENT_NODE => {
                (node.clone(), node.clone(), node)
            }
            view => {
                let (all, first, last) = (fragment(), mark(), mark());
                View::new(first.clone()).append_to(&all);
                if let Some(node) = view {
                    View::new(node).append_to(&all);
                }
                View::new(last.clone()).append_to(&all);
                (first, last, all)
            }
        };
        (Self { owner, first, last }, View::new(node))
    }

    fn nodes(&self) -> impl Iterator<Item = Node> {
        std::iter::successors(Some(self.first.clone()), |node| {
            node.next_sibling().filter(|_| *node != self.last)
        })
    }

    fn has_focus(&self) -> bool {
        let active = document().active_element();
        self.nodes().any(|node| node.contains(active.as_deref()))
    }

    /// Takes its nodes out of the document.
    fn take(&self) -> View {
        let all = fragment();
        let nodes: Vec<Node> = self.nodes().collect();
        for node in nodes {
            attached(&all.append_child(&node));
        }
        View::new(all)
    }
}

struct List {
    outer: Option<Owner>,
    start: Node,
    end: Node,
    items: BTreeMap<Key, Item>,
    /// As they stand.
    order: Vec<Key>,
}

impl List {
    fn new() -> (View, Self) {
        let (all, start, end) = (fragment(), mark(), mark());
        attached(&all.append_child(&start));
        attached(&all.append_child(&end));
        let (items, order) = (BTreeMap::new(), Vec::new());
        (View::new(all), Self { outer: Owner::current(), start, end, items, order })
    }

    #[inline(never)]
    fn update(&mut self, keys: Vec<Key>, make: &mut dyn FnMut(usize) -> View) {
        let mut wanted = BTreeSet::new();
        for key in &keys {
            wanted.insert(key.clone());
        }
        self.items.retain(|key, item| {
            let stays = wanted.contains(key);
            if !stays {
                item.owner.cleanup();
                drop(item.take());
            }
            stays
        });
        self.order.retain(|key| wanted.contains(key));
        // What is as it was at the beginning is not even looked at: a long list mostly grows at its end.
        let same = self.order.iter().zip(&keys).take_while(|(old, new)| old == new).count();
        let last = same.checked_sub(1).and_then(|last| self.items.get(&keys[last]));
        let mut place = last.map_or(&self.start, |item| &item.last).next_sibling();
        let mut placed = BTreeSet::new();
        for key in &keys[..same] {
            placed.insert(key.clone());
        }
        for (at, key) in keys.iter().enumerate().skip(same) {
            let Some(here) = place.clone() else { break };
            if !placed.insert(key.clone()) {
                continue;
            }
            let view = match self.items.get(key) {
                None => {
                    let (item, view) = Item::new(self.outer.as_ref(), &mut || make(at));
                    self.items.insert(key.clone(), item);
                    view
                }
                Some(item) if item.first == here => {
                    place = item.last.next_sibling();
                    View::default()
                }
                Some(item) => {
                    // One that moved towards the end is taken out, rather than all behind it moved before it; but never
                    // the one with the focus.
                    let ahead = self.items.values().find(|other| other.first == here);
                    let is_next = |ahead: &&Item| ahead.last.next_sibling().as_ref() == Some(&item.first);
                    match ahead.filter(|ahead| is_next(ahead) && !ahead.has_focus()) {
                        Some(ahead) => {
                            ahead.take().insert_before(&self.end);
                            place = item.last.next_sibling();
                            View::default()
                        }
                        None => item.take(),
                    }
                }
            };
            view.insert_before(&here);
        }
        self.order = keys;
    }
}

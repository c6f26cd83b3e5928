//! What lies between the page and the runner: sockets that are refused, frames that are late, doubled or overtaken, and cuts.

use agent::event::LinkInput;
use agent::record::Record;
use shared::Seq;
use shared::protocol::{ClientFrame, ServerFrame};

use super::{Happening, World};

impl World {
    pub(super) fn connect(&mut self, generation: u64) {
        self.leave();
        let boot = self.boots;
        let after = self.delay(50);
        let refused = !self.calm && self.chance.one_in(6);
        self.socket = (!refused).then_some(generation);
        (self.last_up, self.last_down) = (self.now, self.now + after);
        let input =
            if refused { LinkInput::Closed { code: 1006, reason: String::new() } } else { LinkInput::Opened };
        self.plan(after, Happening::ToPage { socket: generation, boot, input });
    }

    /// A frame on its way to the runner. Frames of one socket keep their order; at a fault they are lost from some point on.
    pub(super) fn up(&mut self, socket: u64, frame: ClientFrame) {
        if let ClientFrame::Ack { through } = &frame {
            let epoch = self.agent.session().epoch;
            let on_disk = self.disk.iter().rev().find_map(|entry| match &entry.record {
                Record::Arrived { seq, epoch: of, .. } if Some(*of) == epoch => Some(*seq),
                _ => None,
            });
            assert!(on_disk.unwrap_or(Seq(0)) >= *through, "acknowledged {through} before it was durable");
        }
        if self.socket == Some(socket) {
            let at = self.last_up.max(self.now + self.chance.below(30));
            self.last_up = at;
            self.plan(at - self.now, Happening::ToRunner { socket: self.key(socket), frame });
        }
    }

    /// Closes this page's socket, if it has one.
    pub(super) fn leave(&mut self) {
        self.socket = None;
        if self.runner.driver().is_some_and(|key| key / 1_000_000 == self.boots) {
            self.runner.cut();
        }
    }

    /// Sockets of different boots are different sockets.
    const fn key(&self, socket: u64) -> u64 {
        self.boots * 1_000_000 + socket
    }

    /// Frames from the runner set out.
    pub(super) fn down(&mut self) {
        for (key, frame) in std::mem::take(&mut self.runner.out) {
            let (boot, socket) = (key / 1_000_000, key % 1_000_000);
            self.as_page(boot, |world| world.deliver(boot, socket, frame));
        }
        for key in std::mem::take(&mut self.runner.fenced) {
            let (boot, socket) = (key / 1_000_000, key % 1_000_000);
            self.as_page(boot, |world| {
                if world.socket == Some(socket) {
                    world.socket = None;
                    world.taken = true;
                    let input = LinkInput::Closed { code: 4001, reason: String::new() };
                    let after = world.delay(400);
                    world.plan(after, Happening::ToPage { socket, boot, input });
                }
            });
        }
    }

    fn deliver(&mut self, boot: u64, socket: u64, frame: ServerFrame) {
        if self.socket == Some(socket) {
            let at = self.last_down.max(self.now + self.chance.below(30));
            self.last_down = at;
            let twice = !self.calm
                && matches!(frame, ServerFrame::Event { .. } | ServerFrame::Reply { .. })
                && self.chance.one_in(20);
            // Now and then a frame overtakes the one before it, which no socket does: the agent must see the gap.
            let overtakes = !self.calm && matches!(frame, ServerFrame::Event { .. }) && self.chance.one_in(8);
            let after = at.saturating_sub(self.now);
            let late = if overtakes { self.chance.below(400) } else { 0 };
            if twice {
                let input = LinkInput::Frame(Box::new(frame.clone()));
                let more = self.chance.below(100);
                self.plan(after + more, Happening::ToPage { socket, boot, input });
            }
            self.plan(
                after + late,
                Happening::ToPage { socket, boot, input: LinkInput::Frame(Box::new(frame)) },
            );
        }
    }

    /// The connection breaks. Frames on their way are lost; the page hears of it a little later, if at all.
    pub(crate) fn cut(&mut self) {
        let Some(socket) = self.socket else { return };
        self.leave();
        let key = self.key(socket);
        let own = self.boots;
        let lost: Vec<(u64, u64)> = self
            .agenda
            .iter()
            .filter(|(_, happening)| match happening {
                Happening::ToRunner { socket, .. } => *socket == key,
                Happening::ToPage { socket: other, boot, .. } => *other == socket && *boot == own,
                Happening::Written { .. }
                | Happening::Known { .. }
                | Happening::Fenced { .. }
                | Happening::Model { .. } => false,
            })
            .map(|(at, _)| *at)
            .collect();
        let keep = usize::try_from(self.chance.below(lost.len() as u64 + 1)).unwrap();
        for at in lost.into_iter().skip(keep) {
            self.agenda.remove(&at);
        }
        let boot = self.boots;
        let after = self.delay(100);
        self.plan(
            after,
            Happening::ToPage {
                socket,
                boot,
                input: LinkInput::Closed { code: 1006, reason: String::new() },
            },
        );
    }
}

//! What lies between the pages and the runner: sockets that are refused, hang or die without a word, frames
//! that are late, doubled or overtaken, cuts, and a runner that is away.

use agent::event::LinkInput;
use agent::record::Record;
use shared::protocol::{ClientFrame, ServerFrame, TaskEvent, close};
use shared::{Epoch, Seq};

use super::{Asker, Happening, Page, World};

/// Sockets of different pages are different sockets.
const PAGE: u64 = 1_000_000;

impl World {
    pub(super) fn connect(&mut self, id: u64, generation: u64) {
        self.leave(id);
        let after = self.delay(50);
        let away = self.now < self.away_until;
        let refused = if away { !self.chance.one_in(4) } else { !self.calm && self.chance.one_in(6) };
        let hangs = !refused && (away || !self.calm && self.chance.one_in(20));
        let now = self.now;
        let Some(page) = self.get_mut(id) else { return };
        (page.last_up, page.last_down) = (now, now + after);
        page.socket = (!refused).then_some(generation);
        if hangs {
            self.saw("a socket that never opens");
            return;
        }
        let input = if refused { cut() } else { LinkInput::Opened };
        self.plan(after, Happening::ToPage { page: id, socket: generation, input });
    }

    /// A frame on its way to the runner. Frames of one socket keep their order; at a fault they are lost from
    /// some point on.
    pub(super) fn up(&mut self, id: u64, socket: u64, frame: ClientFrame) {
        let late = self.chance.below(30);
        let now = self.now;
        let Some(page) = self.pages.iter_mut().find(|page| page.id == id) else { return };
        if let ClientFrame::Ack { through } = &frame {
            let epoch = page.agent.session().epoch;
            let disk = &self.browsers[page.browser].disk;
            let on_disk = disk
                .iter()
                .rev()
                .take_while(|entry| !matches!(entry.record, Record::NewEpoch { .. }))
                .filter_map(|entry| match &entry.record {
                    Record::CompletionReceived { seq, epoch: of, .. } if Some(*of) == epoch => Some(*seq),
                    // What will not come any more is noted as well.
                    Record::Missed { through, .. } => Some(*through),
                    _ => None,
                })
                .max();
            assert!(on_disk.unwrap_or(Seq(0)) >= *through, "acknowledged {through} before it was durable");
        }
        if page.socket == Some(socket) {
            page.last_up = page.last_up.max(now + late);
            let after = page.last_up - now;
            self.plan(after, Happening::ToRunner { socket: id * PAGE + socket, frame });
        }
    }

    pub(super) fn reach_runner(&mut self, socket: u64, frame: ClientFrame) {
        if self.dead.contains(&socket) || self.now < self.away_until {
            return;
        }
        // The cursor of a hello acknowledges, too.
        let through = match &frame {
            ClientFrame::Ack { through } if self.runner.driver() == Some(socket) => *through,
            ClientFrame::Hello(hello) if hello.epoch == Some(self.runner.epoch) => hello.after,
            _ => Seq(0),
        };
        let home = self.homes[usize::try_from(socket / PAGE).unwrap() - 1];
        let Epoch(epoch) = self.runner.epoch;
        for seq in self.runner.acked.0 + 1..=through.0 {
            self.acked.insert((epoch.as_u128(), Seq(seq)), home);
        }
        let (now, calm) = (self.now, self.calm);
        self.runner.frame(socket, frame, now, &mut self.chance, calm);
        for (socket, call, body) in std::mem::take(&mut self.runner.calls) {
            self.ask(&Asker::Socket(socket, call), &body);
        }
    }

    /// Closes a page's socket, if it has one.
    pub(super) fn leave(&mut self, id: u64) {
        let Some(page) = self.get_mut(id) else { return };
        page.socket = None;
        // Of what a dead one did, the runner does not hear.
        if self.runner.driver().is_some_and(|key| key / PAGE == id && !self.dead.contains(&key)) {
            self.runner.cut();
        }
    }

    /// Frames from the runner set out.
    pub(super) fn down(&mut self) {
        for (key, frame) in std::mem::take(&mut self.runner.out) {
            if let ServerFrame::Event { seq, event: TaskEvent::Ended { task, .. } } = &frame {
                let Epoch(epoch) = self.runner.epoch;
                self.completions.insert(task.id.clone(), (epoch.as_u128(), *seq));
            }
            if !self.dead.contains(&key) {
                self.deliver(key / PAGE, key % PAGE, frame);
            }
        }
        for key in std::mem::take(&mut self.runner.fenced) {
            let (id, socket) = (key / PAGE, key % PAGE);
            if self.dead.contains(&key) {
                continue;
            }
            if let Some(page) = self.get_mut(id)
                && page.socket == Some(socket)
            {
                page.socket = None;
                let after = self.delay(400);
                let input = LinkInput::Closed { code: close::FENCED, reason: String::new() };
                self.plan(after, Happening::ToPage { page: id, socket, input });
            }
        }
    }

    fn deliver(&mut self, id: u64, socket: u64, frame: ServerFrame) {
        let late = self.chance.below(30);
        let (now, calm) = (self.now, self.calm);
        let Some(page) = self.get_mut(id).filter(|page| page.socket == Some(socket)) else { return };
        page.last_down = page.last_down.max(now + late);
        let after = page.last_down - now;
        let twice = !calm
            && matches!(frame, ServerFrame::Event { .. } | ServerFrame::Reply { .. })
            && self.chance.one_in(20);
        // Now and then a frame overtakes the one before it, which no socket does: the agent must see the gap.
        let overtakes = match &frame {
            ServerFrame::Event { seq, .. } if !calm && self.chance.one_in(8) => {
                let times = self.overtaken.entry(*seq).or_default();
                *times += 1;
                *times <= 2
            }
            _ => false,
        };
        let late = if overtakes { self.chance.below(400) } else { 0 };
        if twice {
            let more = self.chance.below(100);
            let input = LinkInput::Frame(Box::new(frame.clone()));
            self.plan(after + more, Happening::ToPage { page: id, socket, input });
        }
        let input = LinkInput::Frame(Box::new(frame));
        self.plan(after + late, Happening::ToPage { page: id, socket, input });
    }

    /// The connection breaks. Frames on their way are lost; the page hears of it a little later.
    pub(crate) fn cut(&mut self) {
        for id in self.pages.iter().map(|page| page.id).collect::<Vec<_>>() {
            self.cut_of(id);
        }
    }

    fn cut_of(&mut self, id: u64) {
        let Some(socket) = self.get(id).and_then(|page| page.socket) else { return };
        self.leave(id);
        let key = id * PAGE + socket;
        if self.dead.contains(&key) {
            return;
        }
        let lost: Vec<(u64, u64)> = self
            .agenda
            .iter()
            .filter(|(_, happening)| match happening {
                Happening::ToRunner { socket, .. } => *socket == key,
                Happening::ToPage { page, socket: other, .. } => *other == socket && *page == id,
                _ => false,
            })
            .map(|(at, _)| *at)
            .collect();
        let keep = self.chance.index(lost.len() as u64 + 1);
        for at in lost.into_iter().skip(keep) {
            self.agenda.remove(&at);
        }
        let after = self.delay(100);
        self.plan(after, Happening::ToPage { page: id, socket, input: cut() });
    }

    /// Whether a page's connection is dead, of which it has not heard.
    pub(super) fn is_deaf(&self, page: &Page) -> bool {
        page.socket.is_some_and(|socket| self.dead.contains(&(page.id * PAGE + socket)))
    }

    /// The connection of the person's page dies, and neither side hears of it.
    pub(crate) fn deaden(&mut self) {
        if let Some(socket) = self.page().socket {
            self.dead.insert(self.page().id * PAGE + socket);
            self.saw("a link that dies without a word");
        }
    }

    /// For so long nobody reaches the runner.
    pub(crate) fn go_away(&mut self, length: u64) {
        self.cut();
        self.away_until = self.now + length;
        self.saw("a runner that is away");
    }
}

const fn cut() -> LinkInput {
    LinkInput::Closed { code: 1006, reason: String::new() }
}

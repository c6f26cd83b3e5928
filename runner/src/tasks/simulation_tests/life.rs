//! What happens to the tasks of a world, in whatever order, and what follows by their machines.

use std::collections::VecDeque;
use std::time::Duration;

use exec::frames::Exited;
use shared::output::Preview;
use shared::protocol::TaskEvent;
use shared::task::{Party, Process, TaskState};
use shared::{OpId, TaskId};

use super::{Died, World};
use crate::store::rows;
use crate::tasks::entry::Phase;
use crate::tasks::machine::{Attempt, Effect, Input, Machine};

impl World {
    /// Something happens to a task, and what follows is done.
    pub(super) fn happens(&mut self, id: &TaskId, input: Input<()>) -> Result<(), Died> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now();
            let Some(machine) = self.life().machines.get_mut(&id.0) else { return Ok(()) };
            for effect in machine.step(now, input) {
                inputs.extend(self.run(id, effect)?);
            }
        }
        let reaped = self.life().machines.get(&id.0).is_some_and(Machine::is_reaped);
        if reaped {
            self.life().machines.remove(&id.0);
        }
        Ok(())
    }

    fn run(&mut self, id: &TaskId, effect: Effect<()>) -> Result<Option<Input<()>>, Died> {
        let entry = self.life().registry.get(id).expect("it is not cleared before it is reaped");
        match effect {
            Effect::Attempt => {
                let attempt = self.attempt(entry.task().op)?;
                if self.breaks && self.chance.one_in(4) {
                    // It takes its time.
                    self.life().trying.insert(id.0.clone(), attempt);
                } else {
                    return Ok(Some(Input::Attempted(attempt)));
                }
            }
            Effect::LetGo => drop(self.life().trying.remove(&id.0)),
            Effect::AwaitTurn if self.chance.one_in(2) => return Ok(Some(Input::Turn)),
            Effect::Started(task) => self.soon(move |store| rows::update_task(store, &task))?,
            Effect::Publish(task) => drop(entry.publish(task)),
            Effect::LookForQuestion => return Ok(Some(Input::Quiet { total: 1, asks: true })),
            Effect::Backgrounded(task, by) => {
                let (task, preview) = (Box::new(task), Preview::default());
                self.save(&entry, TaskEvent::Backgrounded { task, by, preview })?;
            }
            Effect::LookForPorts if self.chance.one_in(8) => {}
            Effect::LookForPorts => return Ok(Some(Input::Looked)),
            Effect::Stop { grace } => return Ok(Some(Input::Stopping { grace })),
            Effect::KillPast => return Ok(Some(Input::KilledPast { alone: self.chance.one_in(2) })),
            Effect::KillOrphans => return Ok(Some(Input::Orphans(String::new()))),
            Effect::End(ended) => self.end(&entry, ended.into_task())?,
            Effect::Reaped { task, changed } => {
                if changed {
                    self.commit(move |store| rows::update_task(store, &task))?;
                }
                entry.reach(Phase::Reaped);
            }
            Effect::AwaitTurn
            | Effect::GiveTurnBack
            | Effect::Shrink
            | Effect::Progress
            | Effect::CloseInput
            | Effect::Freeze(_)
            | Effect::Unkillable(_)
            | Effect::DrainOutput
            | Effect::ReleaseSlot
            | Effect::Reply(..) => {}
        }
        Ok(None)
    }

    fn attempt(&mut self, op: OpId) -> Result<Attempt, Died> {
        Ok(match self.chance.below(if self.breaks { 12 } else { 1 }) {
            0..8 => {
                // The process: it has run, whatever becomes of the runner.
                *self.ran.entry(op).or_default() += 1;
                if self.breaks && self.chance.one_in(25) {
                    return Err(Died);
                }
                Attempt::Started { pid: 1 }
            }
            8..11 => Attempt::Short { reason: String::new(), line_moved: None },
            _ => Attempt::Over(TaskState::Error { reason: String::new() }),
        })
    }

    /// What may happen to a task, in whatever order, and what should.
    pub(super) fn something(&mut self) -> Input<()> {
        let remaining = vec![Process { pid: 2, command: String::new() }];
        match self.chance.below(if self.breaks { 16 } else { 5 }) {
            0 | 1 => Input::Exited(Exited {
                code: Some(i32::try_from(self.chance.below(2)).unwrap_or_default()),
                signal: None,
                asked: self.chance.one_in(2),
                ran_us: 1,
                remaining: if self.chance.one_in(2) { remaining } else { Vec::new() },
            }),
            2 => Input::Empty,
            3 => Input::Turn,
            4 | 5 => Input::Time { line_moved: None },
            6 => Input::Remaining(remaining),
            7 => Input::Output { grew: true, written: true, over: false },
            8 => Input::Output { grew: false, written: true, over: true },
            9 => Input::SupervisorDied,
            10 => Input::Stop { by: Party::User, grace: Duration::from_millis(self.chance.below(2) * 100) },
            11 => Input::Background(()),
            12 => Input::Freeze { frozen: self.chance.one_in(2), reply: () },
            13 => Input::Frozen(self.chance.one_in(2)),
            14 => Input::Answered { at: 0, closed: self.chance.one_in(2) },
            _ => Input::Output { grew: false, written: false, over: false },
        }
    }
}

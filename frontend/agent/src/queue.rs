//! What waits for the next call: the person's words and the ends of tasks, each in the order it came.
//!
//! An end enters once and leaves by being drained into a call or by being shown in a tool's result, whichever is first.

use shared::TaskId;
use shared::output::Preview;
use shared::task::{Task, TaskState};

use crate::conversation::Block;

/// The queue of one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queue {
    words: Vec<Words>,
    ends: Vec<End>,
}

/// Words that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Their number on the shelf.
    pub id: u64,
    /// The words.
    pub text: String,
    /// Into the next call, not only the next turn.
    pub steer: bool,
}

/// A task's end that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The task as it ended.
    pub task: Task,
    /// Its output for the model.
    pub preview: Preview,
}

impl End {
    /// Whether it starts a turn when it finds the loop idle. What someone stopped on purpose and what a restart lost are
    /// told with the next turn, but start none.
    #[must_use]
    pub const fn wakes(&self) -> bool {
        !matches!(
            self.task.state,
            TaskState::Stopped { .. } | TaskState::Lost { .. } | TaskState::Queued | TaskState::Running
        )
    }
}

/// What was taken out for a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drained {
    /// The words, in order.
    pub words: Vec<Words>,
    /// The ends, in order.
    pub ends: Vec<End>,
}

impl Drained {
    /// The blocks for the conversation: a text block for each of the person's words, then one for all results.
    #[must_use]
    pub fn blocks(&self, results: Option<String>) -> Vec<Block> {
        let words = self.words.iter().map(|words| words.text.clone());
        words.chain(results).map(Block::text).collect()
    }
}

impl Queue {
    /// The words that wait, in order.
    #[must_use]
    pub fn words(&self) -> &[Words] {
        &self.words
    }

    /// The ends that wait, in order.
    #[must_use]
    pub fn ends(&self) -> &[End] {
        &self.ends
    }

    /// Adds words at the end.
    pub fn say(&mut self, words: Words) {
        self.words.push(words);
    }

    /// Removes words. Unknown ones are no harm: they may have been drained just before.
    pub fn unsay(&mut self, id: u64) {
        self.words.retain(|words| words.id != id);
    }

    /// Replaces words and puts them at `place`.
    pub fn resay(&mut self, words: Words, place: usize) {
        self.unsay(words.id);
        self.words.insert(place.min(self.words.len()), words);
    }

    /// Adds an end.
    pub fn end(&mut self, end: End) {
        self.ends.push(end);
    }

    /// Removes the end of a task that was shown otherwise.
    pub fn consume(&mut self, task: &TaskId) {
        self.ends.retain(|end| end.task.id != *task);
    }

    /// Removes what a call took.
    pub fn remove(&mut self, said: &[u64], drained: &[TaskId]) {
        self.words.retain(|words| !said.contains(&words.id));
        self.ends.retain(|end| !drained.contains(&end.task.id));
    }

    /// Whether an end waits that may start a turn.
    #[must_use]
    pub fn wakes(&self) -> bool {
        self.ends.iter().any(End::wakes)
    }

    /// What a call within a turn takes: all ends, and the words that steer.
    #[must_use]
    pub fn within_turn(&self) -> Drained {
        Drained {
            words: self.words.iter().filter(|words| words.steer).cloned().collect(),
            ends: self.ends.clone(),
        }
    }

    /// What the first call of a turn takes: all ends, the words that steer, and the first of the others, so that each
    /// queued wish gets a turn of its own.
    #[must_use]
    pub fn new_turn(&self) -> Drained {
        let first = self.words.iter().find(|words| !words.steer).map(|words| words.id);
        let taken = |words: &&Words| words.steer || Some(words.id) == first;
        Drained { words: self.words.iter().filter(taken).cloned().collect(), ends: self.ends.clone() }
    }
}

//! What waits for the next call: the person's messages and the completions of tasks, each in the order it
//! came.
//!
//! A completion enters once and leaves by being drained into a call or by being shown in a tool's result,
//! whichever is first.

use shared::TaskId;
use shared::output::Preview;
use shared::task::{Task, TaskState};

use crate::conversation::Block;

/// The queue of one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queue {
    messages: Vec<QueuedMessage>,
    completions: Vec<Completion>,
}

/// A message of the person's that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Its number in the queue.
    pub id: u64,
    /// Its text.
    pub text: String,
    /// Into the next call, not only the next turn.
    pub steer: bool,
}

/// That a task is over, and how: it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The task as it ended.
    pub task: Task,
    /// Its output for the model.
    pub preview: Preview,
}

impl Completion {
    /// Whether it starts a turn when it finds the loop idle. What someone stopped on purpose and what a
    /// restart lost are told with the next turn, but start none.
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
    /// The messages, in order.
    pub messages: Vec<QueuedMessage>,
    /// The completions, in order.
    pub completions: Vec<Completion>,
}

impl Drained {
    /// The blocks for the conversation: a text block for each message of the person's, then one for all
    /// results.
    #[must_use]
    pub fn blocks(&self, results: Option<String>) -> Vec<Block> {
        let messages = self.messages.iter().map(|message| message.text.clone());
        messages.chain(results).map(Block::text).collect()
    }
}

impl Queue {
    /// The messages that wait, in order.
    #[must_use]
    pub fn messages(&self) -> &[QueuedMessage] {
        &self.messages
    }

    /// The completions that wait, in order.
    #[must_use]
    pub fn completions(&self) -> &[Completion] {
        &self.completions
    }

    /// Adds a message at the end.
    pub fn queue_message(&mut self, message: QueuedMessage) {
        self.messages.push(message);
    }

    /// Removes a message. An unknown one is no harm: it may have been drained just before.
    pub fn cancel_message(&mut self, id: u64) {
        self.messages.retain(|message| message.id != id);
    }

    /// Replaces a message and puts it at `place`.
    pub fn edit_message(&mut self, message: QueuedMessage, place: usize) {
        self.cancel_message(message.id);
        self.messages.insert(place.min(self.messages.len()), message);
    }

    /// Adds a completion.
    pub fn complete(&mut self, completion: Completion) {
        self.completions.push(completion);
    }

    /// Removes the completion of a task that was shown otherwise.
    pub fn consume(&mut self, task: &TaskId) {
        self.completions.retain(|completion| completion.task.id != *task);
    }

    /// Removes what a call took.
    pub fn remove(&mut self, messages: &[u64], drained: &[TaskId]) {
        self.messages.retain(|message| !messages.contains(&message.id));
        self.completions.retain(|completion| !drained.contains(&completion.task.id));
    }

    /// Whether a completion waits that may start a turn.
    #[must_use]
    pub fn wakes(&self) -> bool {
        self.completions.iter().any(Completion::wakes)
    }

    /// What a call within a turn takes: all completions, and the messages that steer.
    #[must_use]
    pub fn within_turn(&self) -> Drained {
        Drained {
            messages: self.messages.iter().filter(|message| message.steer).cloned().collect(),
            completions: self.completions.clone(),
        }
    }

    /// What the first call of a turn takes: all completions, the messages that steer, and the first of the
    /// others, so that each queued message gets a turn of its own.
    #[must_use]
    pub fn new_turn(&self) -> Drained {
        let first = self.messages.iter().find(|message| !message.steer).map(|message| message.id);
        let taken = |message: &&QueuedMessage| message.steer || Some(message.id) == first;
        Drained {
            messages: self.messages.iter().filter(taken).cloned().collect(),
            completions: self.completions.clone(),
        }
    }
}

//! Writing to a task's standard input: in turns, bounded in length and in time.

use shared::task::TaskState;
use shared::{Problem, ProblemCode, TaskId};
use tokio::io::AsyncWriteExt as _;

use super::entry::{Input, Request};
use super::handle::Tasks;

impl Tasks {
    /// Writes to a task's standard input, and closes it after the text if `eof`.
    ///
    /// # Errors
    /// No such task; it has ended, was started without `stdin`, or closed its input; the text is too long;
    /// the program does not read.
    pub async fn send_input(&self, task: &TaskId, text: String, eof: bool) -> Result<(), Problem> {
        let entry = self.context.entry(task)?;
        let limits = &self.context.limits;
        if text.len() > limits.input_bytes {
            let message = format!(
                "The text has {} bytes; at most {} are taken at once. Send it in parts.",
                text.len(),
                limits.input_bytes
            );
            return Err(Problem::new(ProblemCode::TooLarge, message));
        }
        let conflict = |message: String| Err(Problem::new(ProblemCode::Conflict, message));
        let published = entry.task();
        if published.state.is_end() {
            return conflict(format!(
                "Task {task} has ended ({}), so nobody reads its input.",
                published.state.word()
            ));
        }
        let write = async {
            let mut input = entry.input.lock().await;
            match &mut *input {
                Input::None if published.with_stdin && published.state == TaskState::Queued => {
                    let message =
                        format!("Task {task} has not started yet. Send it again once the task runs.");
                    Err(Problem::retryable(ProblemCode::Conflict, message))
                }
                Input::None => conflict(format!(
                    "Task {task} was started without an open input. Start it with stdin: true to send to it."
                )),
                Input::Closed => conflict(format!("The input of task {task} was closed before.")),
                Input::Open(pipe) => {
                    let at = entry.log.total();
                    let written = tokio::select! {
                        written = pipe.write_all(text.as_bytes()) => written,
                        () = entry.main_process_gone.cancelled() => Err(std::io::ErrorKind::BrokenPipe.into()),
                    };
                    if eof || written.is_err() {
                        *input = Input::Closed;
                    }
                    drop(input);
                    let closed = eof || written.is_err();
                    if closed {
                        self.context.input_closed(&entry);
                    }
                    // Its actor may have gone with it.
                    let _gone = entry.requests.send(Request::Answered { at, closed }).await;
                    written.or_else(|error| conflict(format!("Task {task} has closed its input ({error}).")))
                }
            }
        };
        tokio::time::timeout(limits.input_wait, write).await.unwrap_or_else(|_| {
            let message = format!("Task {task} has not read its input for {} s, and what it has not read fills the pipe. A part of the text may have been taken.", limits.input_wait.as_secs());
            Err(Problem::new(ProblemCode::TooMany, message))
        })
    }
}

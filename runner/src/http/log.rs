//! `GET /api/tasks/{task}/log`: all that is kept of a task's output, as the bytes that came, in one answer.
//!
//! It ends with what there was when it was asked for. Where the middle is no longer kept, one line says how
//! much is missing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use shared::output::OutputSlice;
use shared::{Problem, TaskId};

use crate::app::App;
use crate::refusal::Refusal;

/// How much is read at once, in bytes.
const PIECE: u32 = 256 * 1024;

/// Where the reading is.
struct Reading {
    app: Arc<App>,
    task: TaskId,
    from: u64,
    /// Where it ends.
    end: u64,
}

/// Answers with the log, or with the problem that keeps it from beginning.
pub(super) async fn whole(State(app): State<Arc<App>>, Path(task): Path<String>) -> Response {
    let task = TaskId(task);
    let first = match app.tasks.read_output(&task, 0, PIECE).await {
        Ok(first) => first,
        Err(problem) => return Refusal::from(problem).into_response(),
    };
    let mut reading = Reading { app, task, from: 0, end: first.total };
    let first = reading.take(first);
    let rest = stream::try_unfold((reading, first), |(mut reading, ready)| async move {
        let piece = match ready {
            Some(piece) => piece,
            None => match reading.next().await? {
                Some(piece) => piece,
                None => return Ok(None),
            },
        };
        Ok::<_, Problem>(Some((piece, (reading, None))))
    });
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(rest)).into_response()
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.from >= self.end {
            return Ok(None);
        }
        let slice = self.app.tasks.read_output(&self.task, self.from, PIECE).await?;
        Ok(self.take(slice))
    }

    /// Moves on behind a piece, and gives its bytes with a mark for what is missing before them.
    fn take(&mut self, slice: OutputSlice) -> Option<Bytes> {
        let missing = slice.from.saturating_sub(self.from);
        let came = slice.data.0.len() as u64;
        self.from = slice.from + came;
        if came == 0 {
            return None;
        }
        if missing == 0 {
            return Some(slice.data.0.into());
        }
        let mut bytes = format!("\n[… {missing} bytes are not kept …]\n").into_bytes();
        bytes.extend_from_slice(&slice.data.0);
        Some(bytes.into())
    }
}

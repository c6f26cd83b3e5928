//! What waits to be sent to one page, and the task that sends it.
//!
//! Nothing that puts a frame in ever waits for the page. Frames that can be had again (output, events, the
//! state of tasks) are put in only while there is room; what must be said (replies, problems) always, up to a
//! hard bound. A page that lets that much pile up, or takes no byte for [`WRITE_TIME`], is beyond hope: its
//! queue is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use bytes::Bytes;
use futures_util::{Sink, SinkExt as _};
use shared::Problem;
use shared::protocol::{ServerFrame, close};
use tokio::sync::{Notify, mpsc};

/// Below this many waiting bytes there is room.
pub(super) const SOFT_BYTES: usize = 1024 * 1024;
/// More waiting bytes than this are never kept.
pub(super) const HARD_BYTES: usize = 48 * 1024 * 1024;
/// Frames that wait are sent together up to about so many bytes.
const TOGETHER: usize = 64 * 1024;
/// How long one frame, or those sent together with it, may take to leave.
pub(super) const WRITE_TIME: Duration = Duration::from_secs(30);
/// How long a farewell may take.
const CLOSE_TIME: Duration = Duration::from_secs(1);

enum Item {
    Frame(Utf8Bytes),
    Close(u16, &'static str),
}

/// The end that frames are put into. A cheap handle.
#[derive(Clone)]
pub(super) struct SendQueue {
    items: mpsc::UnboundedSender<Item>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    bytes: AtomicUsize,
    hopeless: AtomicBool,
    changed: Notify,
}

/// The end that sends.
pub(super) struct Writer {
    items: mpsc::UnboundedReceiver<Item>,
    /// The end, once it was met behind frames.
    close: Option<Item>,
    state: Arc<State>,
}

/// A queue for one page.
pub(super) fn queue() -> (SendQueue, Writer) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let state = Arc::new(State::default());
    (SendQueue { items: sender, state: Arc::clone(&state) }, Writer { items: receiver, close: None, state })
}

impl SendQueue {
    /// Puts a frame in, unless the hard bound is reached; then the page is given up.
    pub(super) fn push(&self, frame: &ServerFrame) {
        self.push_text(encode(frame));
    }

    /// Puts a frame in that was encoded for several pages.
    pub(super) fn push_bytes(&self, frame: Bytes) {
        self.push_utf8(frame.try_into().expect("JSON is UTF-8"));
    }

    /// Puts an encoded frame in.
    pub(super) fn push_text(&self, text: String) {
        self.push_utf8(text.into());
    }

    fn push_utf8(&self, text: Utf8Bytes) {
        let bytes = text.len();
        if self.state.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > HARD_BYTES {
            self.state.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.state.hopeless.store(true, Ordering::Release);
            self.state.changed.notify_waiters();
            return;
        }
        // The writer is gone only when the socket is.
        let _ = self.items.send(Item::Frame(text));
    }

    /// Whether frames that can be had again may be put in.
    pub(super) fn has_room(&self) -> bool {
        self.state.bytes.load(Ordering::Acquire) < SOFT_BYTES
    }

    /// Whether the page was given up.
    pub(super) fn is_hopeless(&self) -> bool {
        self.state.hopeless.load(Ordering::Acquire)
    }

    /// Waits until there is room.
    pub(super) async fn room(&self) {
        self.until(Self::has_room).await;
    }

    /// Waits until the page is given up.
    pub(super) async fn hopeless(&self) {
        self.until(Self::is_hopeless).await;
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.state.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Says why, and closes.
    pub(super) fn refuse(&self, problem: Problem, code: u16) {
        self.push(&ServerFrame::Problem { problem });
        self.close(code, "see the problem before");
    }

    /// Ends the connection after everything that waits.
    pub(super) fn close(&self, code: u16, reason: &'static str) {
        let _ = self.items.send(Item::Close(code, reason));
    }
}

impl Writer {
    /// Sends until the queue is closed, given up, or the connection breaks.
    pub(super) async fn run<S: Sink<Message> + Unpin>(mut self, mut socket: S) {
        loop {
            let item = if let Some(close) = self.close.take() {
                Some(close)
            } else {
                tokio::select! {
                    biased;
                    () = given_up(&self.state) => Some(Item::Close(close::TOO_SLOW, "too slow")),
                    item = self.items.recv() => item,
                }
            };
            match item {
                Some(Item::Frame(text)) => {
                    match tokio::time::timeout(WRITE_TIME, self.send(text, &mut socket)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => break,
                        Err(_) => self.state.hopeless.store(true, Ordering::Release),
                    }
                }
                Some(Item::Close(code, reason)) => {
                    let farewell = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
                    let _ = tokio::time::timeout(CLOSE_TIME, socket.send(farewell)).await;
                    break;
                }
                None => break,
            }
        }
        // Whoever waits for room learns that there will be none.
        self.state.hopeless.store(true, Ordering::Release);
        self.state.bytes.store(0, Ordering::Release);
        self.state.changed.notify_waiters();
    }

    /// Sends a frame, and with it those small ones that wait behind it: one call of the system for all of
    /// them.
    async fn send<S: Sink<Message> + Unpin>(
        &mut self,
        first: Utf8Bytes,
        socket: &mut S,
    ) -> Result<(), S::Error> {
        let mut bytes = first.len();
        socket.feed(Message::Text(first)).await?;
        while bytes < TOGETHER
            && let Ok(item) = self.items.try_recv()
        {
            match item {
                Item::Frame(text) => {
                    bytes += text.len();
                    socket.feed(Message::Text(text)).await?;
                }
                close @ Item::Close(..) => {
                    self.close = Some(close);
                    break;
                }
            }
        }
        socket.flush().await?;
        let before = self.state.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before >= SOFT_BYTES && before - bytes < SOFT_BYTES {
            self.state.changed.notify_waiters();
        }
        Ok(())
    }
}

async fn given_up(state: &State) {
    loop {
        let changed = state.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if state.hopeless.load(Ordering::Acquire) {
            return;
        }
        changed.await;
    }
}

/// A frame as text.
pub(super) fn encode(frame: &ServerFrame) -> String {
    serde_json::to_string(frame).expect("frames are plain data with string keys")
}

#[cfg(test)]
mod tests {
    use futures_util::sink;
    use shared::Timestamp;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn frames_leave_in_order_and_the_close_is_last() {
        let (queue, writer) = queue();
        for now in 0..3 {
            queue.push(&ServerFrame::Heartbeat { now: Timestamp(now) });
        }
        queue.close(4001, "fenced");
        let sent = std::sync::Mutex::new(Vec::new());
        let socket = sink::unfold((), |(), message: Message| {
            sent.lock().unwrap().push(message);
            async { Ok::<_, ()>(()) }
        });
        timeout(SOON, writer.run(Box::pin(socket))).await.unwrap();
        let sent = sent.into_inner().unwrap();
        assert_eq!(sent.len(), 4);
        assert!(matches!(&sent[3], Message::Close(Some(frame)) if frame.code == 4001));
        assert!(matches!(&sent[1], Message::Text(text) if text.contains("\"now\":1")));
    }

    #[tokio::test]
    async fn a_page_that_takes_nothing_is_given_up() {
        let (queue, writer) = queue();
        let text = "x".repeat(SOFT_BYTES);
        assert!(queue.has_room());
        queue.push_text(text.clone());
        assert!(!queue.has_room());
        for _ in 0..HARD_BYTES / SOFT_BYTES {
            queue.push_text(text.clone());
        }
        assert!(queue.is_hopeless());
        let socket = sink::unfold((), |(), message: Message| {
            assert!(matches!(&message, Message::Close(Some(frame)) if frame.code == close::TOO_SLOW));
            async { Ok::<_, ()>(()) }
        });
        timeout(SOON, writer.run(Box::pin(socket))).await.unwrap();
        timeout(SOON, queue.hopeless()).await.unwrap();
    }

    #[tokio::test]
    async fn there_is_room_again_once_frames_have_left() {
        let (queue, writer) = queue();
        queue.push_text("x".repeat(SOFT_BYTES));
        let socket = sink::unfold((), |(), _: Message| async { Ok::<_, ()>(()) });
        let writing = tokio::spawn(async move { writer.run(Box::pin(socket)).await });
        timeout(SOON, queue.room()).await.unwrap();
        assert!(!queue.is_hopeless());
        drop(queue);
        timeout(SOON, writing).await.unwrap().unwrap();
    }
}

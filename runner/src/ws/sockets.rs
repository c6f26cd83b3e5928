//! What all sockets share.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::app::App;

/// What sockets are given, and what outlives them.
#[derive(Clone)]
pub(crate) struct Sockets {
    pub(crate) app: Arc<App>,
    /// The sockets' tasks.
    pub(crate) open: TaskTracker,
    /// The tasks of requests, which are finished when their socket has gone.
    pub(crate) requests: TaskTracker,
}

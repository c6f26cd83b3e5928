//! A place in a script where the other side waits until the test lets it go on.

use std::sync::Arc;

use tokio::sync::watch;

use crate::wait;

/// Closed at first. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    reached: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(Inner { reached: watch::Sender::new(false), open: watch::Sender::new(false) }))
    }

    /// Lets whoever waits, or will come, pass.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// Waits until someone stands before the gate.
    #[track_caller]
    pub fn reached(&self) -> impl Future<Output = ()> {
        let mut reached = self.0.reached.subscribe();
        wait::soon("a gate to be reached", async move {
            reached.wait_for(|reached| *reached).await.expect("the gate holds its own sender");
        })
    }

    /// Says that someone is there, and waits until the gate is open.
    pub(crate) async fn pass(&self) {
        self.0.reached.send_replace(true);
        let mut open = self.0.open.subscribe();
        open.wait_for(|open| *open).await.expect("the gate holds its own sender");
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

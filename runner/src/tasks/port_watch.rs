//! When ports are looked for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::context::Context;

/// Between two looks at the least: after something new.
const SHORTEST: Duration = Duration::from_millis(250);
/// Between two looks that find nothing new although tasks print.
const BUSY: Duration = Duration::from_secs(4);
/// Between two looks that find nothing new while nothing else happens.
const LONGEST: Duration = Duration::from_secs(30);

/// Looks when there is a reason to, as long as the runner lives.
pub(super) async fn watch(context: Weak<Context>) {
    let Some(ports) = context.upgrade().map(|context| Arc::clone(&context.ports)) else { return };
    loop {
        ports.wanted.notified().await;
        let mut last = Instant::now();
        let (mut pause, mut next) = (SHORTEST, last + SHORTEST);
        loop {
            tokio::select! {
                () = sleep_until(next) => {}
                () = ports.wanted.notified() => {
                    let pause = if ports.idle_and_began().1 { SHORTEST } else { pause.min(BUSY) };
                    next = next.min((Instant::now() + SHORTEST).max(last + pause));
                    continue;
                }
            }
            let Some(context) = context.upgrade() else { return };
            let (idle, began) = ports.idle_and_began();
            if idle || context.changes.receiver_count() == 0 {
                break;
            }
            let found = context.look_for_ports().await;
            pause = if began || found { SHORTEST } else { (pause * 2).min(LONGEST) };
            last = Instant::now();
            next = last + pause;
        }
    }
}

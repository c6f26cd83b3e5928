//! Where browser tests are played: one thread, a place among the few that may run, a picture when something
//! fails.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Condvar, Mutex, PoisonError};

use e2e::browser::{Browser, Options, Tab};
use e2e::stage;
use futures_util::FutureExt as _;

/// How many browser tests run at once: on two cores more would only wait for each other.
const SLOTS: usize = 2;

static TAKEN: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// A slot among those that may run; given back when dropped.
struct Slot;

impl Slot {
    fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken =
            LEFT.wait_while(taken, |taken| *taken >= SLOTS).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        LEFT.notify_one();
    }
}

/// What a test gets.
pub(crate) struct Stage {
    name: &'static str,
    browsers: RefCell<Vec<Rc<Browser>>>,
}

impl Stage {
    /// A browser.
    pub(crate) async fn browser_with(&self, options: &Options) -> Tab {
        let browser = Browser::start(options).await;
        self.browsers.borrow_mut().push(Rc::clone(&browser));
        browser.tab().await
    }

    /// Ends all browsers.
    ///
    /// # Panics
    /// If a page wrote an error to the console or violated its content security policy.
    pub(crate) async fn finish(&self) {
        for browser in self.browsers() {
            browser.finish().await;
        }
        self.browsers.borrow_mut().clear();
    }

    fn browsers(&self) -> Vec<Rc<Browser>> {
        self.browsers.borrow().clone()
    }

    /// Pictures of what every window shows, for whoever looks into a failure.
    async fn take_pictures(&self) {
        for (n, browser) in self.browsers().into_iter().enumerate() {
            let file = target().join("failures").join(format!("{}-{n}", self.name));
            browser.picture_all(&file).await;
        }
    }
}

/// Plays a test, and then looks at what its browsers have to say.
///
/// # Panics
/// If the test does, or if a page wrote an error to the console or violated its content security policy.
pub(crate) fn play(name: &'static str, test: impl AsyncFnOnce(&Stage)) {
    let _slot = Slot::take();
    stage::play(async {
        let stage = Stage { name, browsers: RefCell::default() };
        let played = AssertUnwindSafe(async {
            test(&stage).await;
            stage.finish().await;
        });
        if let Err(panic) = played.catch_unwind().await {
            stage.take_pictures().await;
            std::panic::resume_unwind(panic);
        }
    });
}

/// The workspace's target folder.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace").join("target")
}

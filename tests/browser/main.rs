//! The page in a real Chromium, with the real runner and real commands behind it.
//!
//! Every test has a browser with a fresh profile, a runner, and a workspace of its own. No test may leave an
//! error in the console or violate the content security policy. Two browsers at most run at once, whatever
//! the number of test threads.

mod approvals;
mod broken;
mod confined;
mod everyone;
mod foreign;
mod harness;
mod input;
mod kept;
mod keyboard;
mod lessons;
mod link;
mod looking_back;
mod looks;
mod models;
mod page;
mod play;
mod questions;
mod queue;
mod reading;
mod refused;
mod reload;
mod services;
mod sessions;
mod stop;
mod stranger;
mod tabs;
mod wake;
mod writing;

//! The runner as a library: [`server::run`] is everything that the binary does once its settings are known.
//!
//! What runs, from outside in: the accept loop (`http::accept`) → the checks that every request passes, whatever its
//! route (`http::gate`) → the router (`http`) → the page, pairing, the relay or a socket (`socket`) → tasks, store and
//! files. Nothing inside asks again who the client is, and nothing outside knows what a task is.

pub mod auth;
pub mod cli;
mod clock;
pub mod config;
pub mod confine;
pub mod control;
pub mod files;
#[doc(hidden)]
pub mod fuzzing;
mod homes;
pub mod http;
pub mod identity;
mod keys;
pub mod launch;
pub mod limits;
pub mod page;
pub mod pairing;
pub mod qr;
pub mod relay;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod shim;
pub mod socket;
pub mod state_dir;
pub mod store;
pub mod tasks;
mod terminal;

//! The runner as a library: `server::run` is everything that the binary does once its settings are known.
//!
//! What runs, from outside in: the accept loop (`http::accept`) → the checks that every request passes,
//! whatever its route (`http::gate`) → the router → the page, pairing, the relay (`http`) or a socket (`ws`)
//! → the services (`app::App`): tasks, files, store. Nothing inside asks again who the client is, and nothing
//! outside knows what a task is.
//!
//! Public is what the binary and the tests of this crate use; `fuzzing` opens further doors for the fuzz
//! targets.

mod app;
mod auth;
pub mod cli;
mod clock;
mod config;
mod control;
pub mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod identity;
mod keys;
pub mod launch;
pub mod limits;
mod page;
mod pairing;
pub mod panic;
mod permits;
mod qr;
mod refusal;
mod relay;
mod secret;
mod server;
pub mod sessions;
pub mod state_dir;
pub mod store;
pub mod tasks;
mod terminal;
mod ws;

pub use server::routes;

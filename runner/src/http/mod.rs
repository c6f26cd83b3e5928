//! HTTP: the accept loop, the checks that every request passes, and the routes of everything but the socket.
//!
//! `accept` takes connections and calls [`Http::answer`] for every request. That asks the `gate`, then the
//! router, and puts the headers of every answer on whatever comes out. Nothing here knows of sockets: their
//! route is handed in.

pub(crate) mod accept;
mod answer;
mod assets;
mod body;
pub(crate) mod gate;
pub(crate) mod headers;
mod log;
mod pair;
mod peer;
mod relay;
mod routes;

pub(crate) use answer::Http;
pub(crate) use routes::ROUTES;

//! The agent's loop end to end, without a browser: the real core, the real runner, real commands, and a
//! scripted model.

mod approvals;
mod cable;
mod fake;
mod faults;
mod harness;
mod link;
mod notices;
mod queue;
mod reload;
mod scene;
mod stop;
mod tools;

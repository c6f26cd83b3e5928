//! The agent's loop end to end, without a browser: the real core, the real runner, real commands, and a scripted model.

mod cable;
mod fake;

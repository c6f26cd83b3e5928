//! Tests of the core. The same ones run natively and on wasm32.

mod sim;
mod simulation;

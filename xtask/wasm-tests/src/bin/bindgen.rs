//! `wasm-bindgen` at the version of the lock file, for Trunk, which would otherwise fetch one from elsewhere.

fn main() -> anyhow::Result<()> {
    wasm_bindgen_cli::wasm_bindgen::run_cli_with_args(std::env::args_os())?;
    Ok(())
}

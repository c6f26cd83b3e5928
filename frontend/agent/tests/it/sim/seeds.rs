//! Tries seed after seed: those that `MEANWHILE_SEEDS` names (a number, or `from..to`), or as many as the
//! test wishes.

/// On as many threads as there are.
#[expect(clippy::disallowed_methods, reason = "the tests may do what the core may not")]
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn try_all(test: &str, most: u64, live: impl Fn(u64) + Sync + std::panic::RefUnwindSafe) {
    let (from, to) = seeds(most);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = std::sync::atomic::AtomicU64::new(from);
    let failed = std::sync::Mutex::new(None);
    let work = || {
        while failed.lock().is_ok_and(|failed| failed.is_none()) {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= to {
                return;
            }
            if let Err(panic) = std::panic::catch_unwind(|| live(seed)) {
                *failed.lock().unwrap() = Some((seed, message_of(panic.as_ref()).to_owned()));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    if let Some((seed, message)) = failed.into_inner().unwrap() {
        panic!(
            "seed {seed}: {message}\nagain: MEANWHILE_SEEDS={seed}..{} cargo test -p agent {test}",
            seed + 1
        );
    }
}

#[cfg(target_arch = "wasm32")]
pub(crate) fn try_all(_: &str, most: u64, live: impl Fn(u64)) {
    let (from, to) = seeds(most);
    let current = name_the_seed();
    for seed in from..to {
        current.store(seed, std::sync::atomic::Ordering::Relaxed);
        live(seed);
    }
}

/// What a test's failure says.
pub(crate) fn message_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map_or_else(|| panic.downcast_ref::<&str>().copied().unwrap_or("?"), String::as_str)
}

/// Where a panic aborts, nothing can be caught: a hook names the seed that is being tried.
#[cfg(target_arch = "wasm32")]
fn name_the_seed() -> std::sync::Arc<std::sync::atomic::AtomicU64> {
    let current = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (before, shown) = (std::panic::take_hook(), current.clone());
    std::panic::set_hook(Box::new(move |info| {
        let seed = shown.load(std::sync::atomic::Ordering::Relaxed);
        wasm_bindgen_test::console_log!("simulation: the last seed tried is {seed}");
        before(info);
    }));
    current
}

#[expect(clippy::disallowed_methods, reason = "the tests may do what the core may not")]
fn seeds(most: u64) -> (u64, u64) {
    let wish = std::env::var("MEANWHILE_SEEDS").unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().expect("MEANWHILE_SEEDS is a number or from..to");
    match wish.split_once("..") {
        Some((from, to)) => (number(from), number(to)),
        None if wish.is_empty() => (0, most),
        None => (0, number(&wish)),
    }
}

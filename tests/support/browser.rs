//! A real Chromium with a fresh profile, driven over `WebDriver`.
//!
//! What runs: one chromedriver on a free port and the browser that it starts, both found by the environment
//! variables `CHROMEDRIVER` and `CHROMIUM` or in the usual places. A [`Tab`] is a handle to one of its
//! windows; each of its methods first makes that window the current one, so two tabs can be used in turns.
//! [`Browser::finish`] fails on anything that a page wrote to the console as an error or a warning, and on
//! every violation of the content security policy. Dropping a browser ends all of its processes, which are
//! known by their profile's folder.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::env;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::common::capabilities::chromium::{ChromiumCapabilities, ChromiumLikeCapabilities as _};
use thirtyfour::prelude::*;
use thirtyfour::{BrowserLogEntry, TypingData, WindowHandle};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::process;
use crate::wait;

/// How a browser is started.
#[derive(Clone)]
pub struct Options {
    /// A SOCKS5 proxy for everything, loopback too.
    pub proxy: Option<SocketAddr>,
    /// The window's size in CSS pixels.
    pub size: (u32, u32),
    /// Whether pages are told that dark colours are preferred.
    pub dark: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { proxy: None, size: (1440, 900), dark: false }
    }
}

/// A browser.
pub struct Browser {
    driver: WebDriver,
    chromedriver: Child,
    profile: TempDir,
    expected: RefCell<Vec<String>>,
    violations: RefCell<Vec<String>>,
}

/// One of its windows or tabs.
#[derive(Clone)]
pub struct Tab {
    browser: Rc<Browser>,
    handle: WindowHandle,
}

/// Every document collects what it violates; a page is asked for it before it goes.
const COLLECT: &str = "
    window.__violations = [];
    document.addEventListener('securitypolicyviolation', event =>
        window.__violations.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sourceFile + ':' + event.lineNumber));
";

impl Browser {
    /// Starts one.
    pub async fn start(options: &Options) -> Rc<Self> {
        let profile = TempDir::with_prefix("meanwhile-browser-").expect("there is a temporary folder");
        let (chromedriver, port) = start_chromedriver(profile.path()).await;
        let capabilities = capabilities(options, profile.path()).expect("the options serialize");
        let session = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities);
        let driver = wait::soon("Chromium to start", session).await.expect("chromedriver starts Chromium");
        let browser = Self {
            driver,
            chromedriver,
            profile,
            expected: RefCell::default(),
            violations: RefCell::default(),
        };
        Rc::new(browser)
    }

    /// The tab that a fresh browser has.
    pub async fn tab(self: &Rc<Self>) -> Tab {
        let handle = self.driver.window().await.expect("a fresh browser has a window");
        self.prepare(handle).await
    }

    /// A further tab. It is not in front of the first one.
    pub async fn new_tab(self: &Rc<Self>) -> Tab {
        let handle = self.driver.new_tab().await.expect("a tab can be opened");
        self.prepare(handle).await
    }

    async fn prepare(self: &Rc<Self>, handle: WindowHandle) -> Tab {
        let tab = Tab { browser: Rc::clone(self), handle };
        tab.cdp("Page.enable", json!({})).await;
        tab.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": COLLECT})).await;
        tab
    }

    /// Console lines that hold this text are no fault: what a browser itself says of a cut line cannot be
    /// avoided.
    pub fn expect_console(&self, text: &str) {
        self.expected.borrow_mut().push(text.to_owned());
    }

    /// Ends the browser.
    ///
    /// # Panics
    /// If a page wrote an error or a warning to the console, or violated its content security policy.
    pub async fn finish(&self) {
        for handle in self.driver.windows().await.expect("the browser answers") {
            self.driver.switch_to_window(handle).await.expect("its window is there");
            self.collect().await;
        }
        let log = self.driver.browser_log().await.expect("the console is logged");
        let expected = self.expected.take();
        let grave = |entry: &&BrowserLogEntry| {
            matches!(entry.level.as_str(), "SEVERE" | "WARNING")
                && !expected.iter().any(|text| entry.message.contains(text.as_str()))
        };
        let faults: Vec<String> =
            log.iter().filter(grave).map(|entry| format!("{} {}", entry.level, entry.message)).collect();
        assert!(faults.is_empty(), "the console holds: {faults:#?}");
        let violations = self.violations.take();
        assert!(violations.is_empty(), "the content security policy was violated: {violations:#?}");
        self.driver.clone().quit().await.expect("the browser can be ended");
    }

    /// Writes a picture and the text of every window, as far as they can still be had.
    pub async fn picture_all(&self, file: &Path) {
        let Ok(windows) = self.driver.windows().await else { return };
        let Ok(()) = fs::create_dir_all(file.parent().expect("a picture lies in a folder")) else { return };
        for (n, handle) in windows.into_iter().enumerate() {
            if self.driver.switch_to_window(handle).await.is_err() {
                continue;
            }
            let name = |end: &str| PathBuf::from(format!("{}-{n}.{end}", file.display()));
            let text = self.driver.execute("return document.documentElement.outerHTML", Vec::new()).await;
            let log = self.driver.browser_log().await.unwrap_or_default();
            let log: Vec<String> =
                log.into_iter().map(|entry| format!("{} {}", entry.level, entry.message)).collect();
            // Only help for a person: the failure itself is reported anyway.
            let _drawn = self.driver.screenshot(&name("png")).await;
            let html =
                text.map(|text| text.json().as_str().unwrap_or_default().to_owned()).unwrap_or_default();
            let _written = fs::write(name("html"), html);
            let _written = fs::write(name("log"), log.join("\n"));
        }
    }

    /// Takes down what the current document violated.
    async fn collect(&self) {
        let found = self.driver.execute("return window.__violations || []", Vec::new()).await;
        let found: Vec<String> = found.and_then(|found| found.convert()).expect("a page can be asked");
        self.violations.borrow_mut().extend(found);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A session that is dropped without this would ask the driver that is killed here to end it, for a
        // minute and a half.
        let _ended = self.driver.clone().leak();
        // Fails only if it has ended already.
        let _ended = self.chromedriver.start_kill();
        let profile = self.profile.path().display().to_string();
        process::kill_all(&process::with_argument(&format!("--user-data-dir={profile}")));
    }
}

impl Tab {
    /// The browser it belongs to.
    pub fn browser(&self) -> &Rc<Browser> {
        &self.browser
    }

    async fn driver(&self) -> &WebDriver {
        let driver = &self.browser.driver;
        driver.switch_to_window(self.handle.clone()).await.expect("the tab is open");
        driver
    }

    /// Goes to an address and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        let driver = self.driver().await;
        self.browser.collect().await;
        wait::soon(url, driver.goto(url)).await.expect("the page loads");
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        let driver = self.driver().await;
        self.browser.collect().await;
        wait::soon("a reload", driver.refresh()).await.expect("the page loads again");
    }

    /// Closes the tab.
    pub async fn close(self) {
        let driver = self.driver().await;
        self.browser.collect().await;
        driver.close_window().await.expect("a tab can be closed");
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        self.driver().await.current_url().await.expect("a tab has an address").to_string()
    }

    /// Runs a script's body and returns what it returns.
    pub async fn script(&self, body: &str, arguments: &[Value]) -> Value {
        let driver = self.driver().await;
        match driver.execute(body, arguments.to_vec()).await {
            Ok(found) => found.json().clone(),
            Err(error) => panic!("the script failed: {error}\n{body}"),
        }
    }

    /// Asks a script's body again and again until it returns something true, and returns that.
    #[track_caller]
    pub fn until<'a>(
        &'a self,
        what: &'a str,
        body: &'a str,
        arguments: &'a [Value],
    ) -> impl Future<Output = Value> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let end = Instant::now() + wait::PATIENCE;
            loop {
                let found = self.script(body, arguments).await;
                if !matches!(found, Value::Null | Value::Bool(false)) {
                    return found;
                }
                let late = Instant::now() > end;
                let shown = if late { self.text().await } else { String::new() };
                assert!(!late, "{caller}: waited in vain until {what}; the page shows:\n{shown}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Waits for an element.
    #[track_caller]
    pub fn find<'a>(&'a self, selector: &'a str) -> impl Future<Output = WebElement> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let end = Instant::now() + wait::PATIENCE;
            loop {
                match self.driver().await.find(By::Css(selector)).await {
                    Ok(element) => return element,
                    Err(error) if Instant::now() > end => {
                        panic!("{caller}: no {selector}: {error}; the page shows:\n{}", self.text().await)
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
    }

    /// Waits for an element and clicks it as a person would: where it is on the screen.
    #[track_caller]
    pub fn click<'a>(&'a self, selector: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let end = Instant::now() + wait::PATIENCE;
            loop {
                let driver = self.driver().await;
                let clicked = match driver.find(By::Css(selector)).await {
                    Ok(element) => element.click().await,
                    Err(error) => Err(error),
                };
                match clicked {
                    Ok(()) => return,
                    Err(error) if Instant::now() > end => {
                        panic!(
                            "{caller}: cannot click {selector}: {error}; the page shows:\n{}",
                            self.text().await
                        )
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
    }

    /// Moves the pointer over an element.
    pub async fn point_at(&self, selector: &str) {
        let element = self.find(selector).await;
        let chain = self.driver().await.action_chain().move_to_element_center(&element);
        chain.perform().await.expect("the pointer can be moved");
    }

    /// Types into whatever has the focus.
    pub async fn type_keys(&self, keys: impl Into<TypingData>) {
        let driver = self.driver().await;
        let focused = driver.active_element().await.expect("something has the focus");
        focused.send_keys(keys).await.expect("keys can be sent");
    }

    /// Presses a key while another is held.
    pub async fn chord(&self, held: Key, key: &str) {
        let keys = self.driver().await.action_chain().key_down(held.clone()).send_keys(key).key_up(held);
        keys.perform().await.expect("keys can be pressed");
    }

    /// What a person can read on the page.
    pub async fn text(&self) -> String {
        self.script("return document.body.innerText", &[]).await.as_str().unwrap_or_default().to_owned()
    }

    /// The size of the viewport in CSS pixels, as on a device of that size.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Light or dark.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// Writes a picture of what is visible.
    pub async fn screenshot(&self, file: &Path) {
        fs::create_dir_all(file.parent().expect("a picture lies in a folder"))
            .expect("the folder can be made");
        self.driver().await.screenshot(file).await.expect("the page can be drawn");
    }

    /// A command of the `DevTools` protocol.
    pub async fn cdp(&self, method: &str, parameters: Value) -> Value {
        let cdp = self.driver().await.cdp();
        cdp.send_raw(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}

/// How often a chromedriver that ends before it serves is started again.
const DRIVER_TRIES: usize = 3;

/// On a busy machine one ends now and then before it has said anything on its standard output. Then its log
/// says why, and another is started.
async fn start_chromedriver(folder: &Path) -> (Child, u16) {
    for number in 1..=DRIVER_TRIES {
        match try_chromedriver(folder).await {
            Ok(started) => return started,
            // On the terminal also when the test passes.
            Err(why) => {
                let _told =
                    writeln!(std::io::stderr(), "chromedriver, try {number} of {DRIVER_TRIES}: {why}");
            }
        }
    }
    panic!("chromedriver did not start in {DRIVER_TRIES} tries; what it said stands above");
}

/// In the browser's own folder: a headless shell puts downloads where it was started.
async fn try_chromedriver(folder: &Path) -> Result<(Child, u16), String> {
    let program = program("CHROMEDRIVER", &["chromedriver"], &["/usr/lib/chromium/chromedriver"]);
    let mut child = Command::new(program)
        .args(["--port=0", "--log-level=SEVERE"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver can be started");
    let mut errors = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let errors = tokio::spawn(async move {
        let mut said = VecDeque::new();
        while let Ok(Some(line)) = errors.next_line().await {
            said.push_back(line);
            if said.len() > 20 {
                said.pop_front();
            }
        }
        Vec::from(said).join("\n")
    });
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut said = Vec::new();
    let port = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return port.trim_end_matches('.').parse().ok();
            }
            said.push(line);
        }
        None
    };
    if let Some(port) = wait::soon("chromedriver to say its port", port).await {
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        return Ok((child, port));
    }
    let status = wait::soon("chromedriver to end", child.wait()).await;
    let errors = errors.await.unwrap_or_default();
    Err(format!("it ended with {status:?}; it said {said:?}, and as errors {errors:?}"))
}

fn capabilities(options: &Options, profile: &Path) -> WebDriverResult<ChromiumCapabilities> {
    let mut capabilities = ChromiumCapabilities::new();
    let chromium = program("CHROMIUM", &["chromium", "chromium-browser", "google-chrome"], &[]);
    let shell = "chrome-headless-shell";
    let name = if chromium.to_string_lossy().ends_with("headless-shell") { shell } else { "chrome" };
    capabilities.set("browserName", name)?;
    capabilities.set_binary(&chromium.display().to_string())?;
    let (width, height) = options.size;
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        "--lang=en-GB",
    ]
    .map(String::from)
    .into();
    arguments.push(format!("--window-size={width},{height}"));
    arguments.push(format!("--user-data-dir={}", profile.display()));
    if options.dark {
        arguments.push("--force-dark-mode".to_owned());
    }
    if let Some(proxy) = options.proxy {
        arguments.push(format!("--proxy-server=socks5://{proxy}"));
        arguments.push("--proxy-bypass-list=<-loopback>".to_owned());
    }
    for argument in &arguments {
        capabilities.add_arg(argument)?;
    }
    capabilities.set("goog:loggingPrefs", json!({"browser": "ALL"}))?;
    Ok(capabilities)
}

/// A program by its variable, on the path, or in a usual place.
fn program(variable: &str, names: &[&str], places: &[&str]) -> PathBuf {
    if let Some(program) = env::var_os(variable) {
        return program.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let found = on_path.chain(places.iter().map(PathBuf::from)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("there is no {}; install it, or set {variable} to where it is", names[0]))
}

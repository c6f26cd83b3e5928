//! A runner to talk to, and ways to talk to it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

/// How long anything may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The binary, with nothing of this process's settings.
pub(crate) fn meanwhile() -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_meanwhile")))
}

/// The same, after lines for a shell that runs as `program`.
fn meanwhile_after(program: &[&str], lines: &str, binary: &Path) -> Command {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg("-c").arg(format!("{lines}\nexec \"$0\" \"$@\"")).arg(binary);
    prepared(command)
}

fn prepared(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("ANTHROPIC_") || text.starts_with("MEANWHILE_") || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Where the binary is.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_meanwhile"))
}

/// A runner that runs.
pub(crate) struct Runner {
    pub(crate) child: Child,
    pub(crate) port: u16,
    pub(crate) code: String,
    pub(crate) folder: TempDir,
    pub(crate) stdout: BufReader<tokio::process::ChildStdout>,
}

impl Runner {
    /// With `--port 0 --no-open` and these arguments.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[]).await
    }

    /// And these variables.
    pub(crate) async fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        Self::start_in(folder, arguments, variables).await
    }

    /// As people start it: it opens a browser.
    pub(crate) async fn start_opening(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        Self::start_as(meanwhile(), folder, &["--port", "0"], &[], variables).await
    }

    /// With so many descriptors and no more.
    /// With as few threads as on a small machine, since they take descriptors, too.
    pub(crate) async fn start_with_files(files: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        Self::start_after(
            folder,
            &["sh"],
            &format!("export TOKIO_WORKER_THREADS=2; ulimit -n {files}"),
            binary(),
        )
        .await
    }

    /// After lines for a shell that runs as `program`.
    pub(crate) async fn start_after(folder: TempDir, program: &[&str], lines: &str, binary: &Path) -> Self {
        let command = meanwhile_after(program, lines, binary);
        Self::start_as(command, folder, &["--port", "0", "--no-open"], &[], &[]).await
    }

    /// In a folder that may hold an earlier runner's state.
    pub(crate) async fn start_in(folder: TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_as(meanwhile(), folder, &["--port", "0", "--no-open"], arguments, variables).await
    }

    /// The same, where an earlier one listened.
    pub(crate) async fn start_at(folder: TempDir, port: u16) -> Self {
        Self::start_as(meanwhile(), folder, &["--port", &port.to_string(), "--no-open"], &[], &[]).await
    }

    async fn start_as(
        mut command: Command,
        folder: TempDir,
        first: &[&str],
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        command
            .args(first)
            .args(["--config", "/dev/null"])
            .arg("--workspace")
            .arg(folder.path().join("work"))
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .args(arguments)
            .env("MEANWHILE_LOG", "debug")
            .envs(variables.iter().copied());
        command.stderr(std::fs::File::create(folder.path().join("log")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        timeout(SOON, stdout.read_line(&mut line)).await.expect("no link was printed").unwrap();
        let Some((address, code)) = line.trim().split_once("/#pair=") else {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
            panic!("not a link: {line:?}\n{log}");
        };
        let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
        Self { child, port, code: code.to_owned(), folder, stdout }
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends bytes as they are, and reads until the runner closes.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("no answer").unwrap();
        Answer::parse(&bytes)
    }

    /// A request with the right Host and these further lines.
    pub(crate) async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request =
            format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.raw(&format!("{request}\r\n{body}")).await
    }

    /// A POST as the page makes it.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let origin = self.origin();
        let mut all = vec![("Origin", origin.as_str()), ("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        self.ask(&format!("POST {path}"), &all, &body.to_string()).await
    }

    /// Exchanges the code of the link that was printed at the start.
    pub(crate) async fn pair(&self) -> String {
        let answer = self.post("/api/pair", &[], &json!({"code": self.code, "name": "a test"})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["credential"].as_str().unwrap().to_owned()
    }

    /// What a subcommand says about this runner.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let output = meanwhile()
            .args(["--config", "/dev/null"])
            .arg("--state-dir")
            .arg(self.state())
            .args(arguments)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Opens a socket.
    pub(crate) async fn connect(&self, credential: &str) -> Socket {
        self.try_connect(&[("Sec-WebSocket-Protocol", &format!("meanwhile.v1, bearer.{credential}"))])
            .await
            .expect("the handshake was refused")
    }

    /// Tries to, with these headers beside Host and Origin. An error is the status of the refusal.
    pub(crate) async fn try_connect(&self, headers: &[(&str, &str)]) -> Result<Socket, u16> {
        let mut request = format!("ws://127.0.0.1:{}/ws", self.port).into_client_request().unwrap();
        request.headers_mut().insert("Origin", self.origin().parse().unwrap());
        for (name, value) in headers {
            let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match timeout(SOON, tokio_tungstenite::connect_async(request)).await.expect("no answer") {
            Ok((stream, _)) => Ok(Socket { stream }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a socket and takes the lease of a session.
    pub(crate) async fn lease(&self, credential: &str, session: Uuid) -> (Socket, Value) {
        let mut socket = self.connect(credential).await;
        let welcome = socket.hello(json!({"session": session})).await;
        (socket, welcome)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; its code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        timeout(SOON, self.child.wait()).await.expect("it did not end").unwrap().code()
    }

    /// Ends it and keeps its folder.
    pub(crate) async fn stop(mut self) -> TempDir {
        self.signal("TERM");
        assert_eq!(self.ended().await, Some(0), "{}", self.log());
        self.folder
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A WebSocket.
pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        timeout(SOON, self.stream.send(Message::text(text))).await.expect("it does not read").unwrap();
    }

    /// The next frame; an error is the code of the close.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(SOON, self.stream.next()).await.expect("no frame came") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// Reads up to the first frame of a type.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        self.find(|frame| frame["type"] == kind).await
    }

    /// Reads up to the first frame that fits.
    pub(crate) async fn find(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        self.collect(fits).await.pop().unwrap()
    }

    /// Reads up to the first frame that fits, and gives all.
    pub(crate) async fn collect(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        let all = async {
            loop {
                match self.next().await {
                    Ok(frame) => {
                        let found = fits(&frame);
                        seen.push(frame);
                        if found {
                            return;
                        }
                    }
                    Err(code) => panic!("closed with {code} after {seen:#?}"),
                }
            }
        };
        timeout(SOON, all).await.expect("the frame did not come");
        seen
    }

    /// Reads until the socket is closed; the code and the frames before.
    pub(crate) async fn closed(&mut self) -> (u16, Vec<Value>) {
        let mut seen = Vec::new();
        let all = async {
            loop {
                match self.next().await {
                    Ok(frame) => seen.push(frame),
                    Err(code) => return code,
                }
            }
        };
        let code = timeout(SOON, all).await.expect("it was not closed");
        (code, seen)
    }

    /// Says hello with these fields; the welcome.
    pub(crate) async fn hello(&mut self, fields: Value) -> Value {
        let mut hello = json!({"type": "hello", "protocol": 1});
        hello.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.send(hello).await;
        let welcome = self.next().await.unwrap();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        welcome
    }

    /// Sends a request with a fresh id; the id.
    pub(crate) async fn request(&mut self, op: Value) -> String {
        let id = Uuid::new_v4().to_string();
        self.request_as(&id, op).await;
        id
    }

    pub(crate) async fn request_as(&mut self, id: &str, op: Value) {
        self.send(json!({"type": "request", "id": id, "op": op})).await;
    }

    /// The reply to a request: `{"ok": …}` or `{"err": …}` with its id.
    pub(crate) async fn reply(&mut self, id: &str) -> Value {
        self.find(|frame| frame["type"] == "reply" && frame["id"] == id).await
    }

    /// Asks and waits for the reply; it must be good.
    pub(crate) async fn ask(&mut self, op: Value) -> Value {
        let id = self.request(op).await;
        let reply = self.reply(&id).await;
        assert!(reply.get("ok").is_some(), "{reply}");
        reply["ok"].clone()
    }

    /// Asks and waits for the refusal; its code.
    pub(crate) async fn refused(&mut self, op: Value) -> String {
        let id = self.request(op).await;
        let reply = self.reply(&id).await;
        reply["err"]["code"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    /// Starts a command; its task's id.
    pub(crate) async fn start(&mut self, command: &str) -> String {
        self.ask(json!({"op": "start", "command": command})).await["task"]["id"].as_str().unwrap().to_owned()
    }
}

/// Says that a test cannot be made here, past the harness that keeps what passing tests print: `cargo xtask test` counts it.
pub(crate) fn left_out(why: &str) {
    let _told = std::io::Write::write_all(&mut std::io::stdout(), format!("\nLEFT OUT: {why}\n").as_bytes());
}

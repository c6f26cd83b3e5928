//! A cable between a client and a server that a test can cut, stall, slow down and plug in again.
//!
//! What runs: one accept loop on a free port, and two pumps a connection, one each way. Opened with
//! [`Cable::to`] it is a plain TCP forwarder. Opened with [`Cable::socks`] it is a SOCKS5 proxy: a browser
//! that is told to use it keeps the server's own address in `Host` and `Origin`, which the runner insists
//! upon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::wait;

/// What the cable does with bytes and connections now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Bytes pass.
    Plugged,
    /// Connections stay open, and nothing passes.
    Stalled,
    /// Connections are reset, and new ones closed at once.
    Cut,
}

/// The cable. Dropping it cuts it for good.
pub struct Cable {
    address: SocketAddr,
    control: Arc<Control>,
    accepts: JoinHandle<()>,
}

struct Control {
    mode: watch::Sender<Mode>,
    delay: watch::Sender<Duration>,
    open: watch::Sender<usize>,
}

impl Cable {
    /// A forwarder to one server.
    pub async fn to(server: SocketAddr) -> Self {
        Self::start(Some(server)).await
    }

    /// A SOCKS5 proxy to any server.
    pub async fn socks() -> Self {
        Self::start(None).await
    }

    async fn start(server: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let control = Arc::new(Control {
            mode: watch::Sender::new(Mode::Plugged),
            delay: watch::Sender::new(Duration::ZERO),
            open: watch::Sender::new(0),
        });
        let accepts = tokio::spawn(accept(listener, server, Arc::clone(&control)));
        Self { address, control, accepts }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections and takes no new ones. Returns when all are gone.
    pub async fn cut(&self) {
        self.control.mode.send_replace(Mode::Cut);
        let mut open = self.control.open.subscribe();
        wait::soon("the cable's connections to be gone", async {
            open.wait_for(|open| *open == 0).await.expect("the cable holds its own sender");
        })
        .await;
    }

    /// Keeps connections open on both sides and lets nothing pass: a half-open line.
    pub fn stall(&self) {
        self.control.mode.send_replace(Mode::Stalled);
    }

    /// Lets bytes and new connections pass again.
    pub fn plug(&self) {
        self.control.mode.send_replace(Mode::Plugged);
    }

    /// Holds every piece back for so long, in both directions.
    pub fn delay(&self, by: Duration) {
        self.control.delay.send_replace(by);
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        *self.control.open.borrow()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.accepts.abort();
        self.control.mode.send_replace(Mode::Cut);
    }
}

async fn accept(listener: TcpListener, server: Option<SocketAddr>, control: Arc<Control>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if *control.mode.borrow() == Mode::Cut {
            continue;
        }
        let control = Arc::clone(&control);
        control.open.send_modify(|open| *open += 1);
        tokio::spawn(async move {
            // A connection that fails is simply over: both ends see that by themselves.
            let _over = connect(client, server, &control).await;
            control.open.send_modify(|open| *open -= 1);
        });
    }
}

async fn connect(
    mut client: TcpStream,
    server: Option<SocketAddr>,
    control: &Control,
) -> std::io::Result<()> {
    let server = match server {
        Some(server) => TcpStream::connect(server).await?,
        None => socks(&mut client).await?,
    };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let mut mode = control.mode.subscribe();
    tokio::select! {
        _ = async { tokio::join!(pump(client_reads, server_writes, control), pump(server_reads, client_writes, control)) } => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
    Ok(())
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, control: &Control) -> std::io::Result<()> {
    let mut mode = control.mode.subscribe();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut piece).await?;
        let by = *control.delay.borrow();
        if !by.is_zero() {
            tokio::time::sleep(by).await;
        }
        if mode.wait_for(|mode| *mode != Mode::Stalled).await.is_err() {
            return Ok(());
        }
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
    }
}

/// The server's side of a SOCKS5 handshake without authentication (RFC 1928), for the CONNECT command.
async fn socks(client: &mut TcpStream) -> std::io::Result<TcpStream> {
    let refused =
        |what: &str| std::io::Error::other(format!("not a SOCKS5 request that the cable knows: {what}"));
    let mut head = [0; 2];
    client.read_exact(&mut head).await?;
    let mut methods = vec![0; usize::from(head[1])];
    client.read_exact(&mut methods).await?;
    if head[0] != 5 || !methods.contains(&0) {
        return Err(refused("version or method"));
    }
    client.write_all(&[5, 0]).await?;
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let host = match request {
        [5, 1, _, 1] => {
            let mut address = [0; 4];
            client.read_exact(&mut address).await?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        [5, 1, _, 3] => {
            let length = client.read_u8().await?;
            let mut name = vec![0; usize::from(length)];
            client.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(|_| refused("name"))?
        }
        [5, 1, _, 4] => {
            let mut address = [0; 16];
            client.read_exact(&mut address).await?;
            std::net::Ipv6Addr::from(address).to_string()
        }
        _ => return Err(refused("command or address")),
    };
    let port = client.read_u16().await?;
    let server = TcpStream::connect((host.as_str(), port)).await;
    let verdict = if server.is_ok() { 0 } else { 5 };
    client.write_all(&[5, verdict, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    server
}

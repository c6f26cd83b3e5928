//! The accept loop: takes connections, bounds their number, and gives each to hyper with a clock running.
//!
//! Our own and not `axum::serve`, which waits for ever for a request's head. A connection that sends none, or
//! only a part of it, or nothing after its last answer, is closed after a while. No more than a bound
//! ([`Bounds`]) are open, sockets included; a further one evicts one that has shown no credential. So it does
//! if the system has no descriptors left, as far as there are such.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::peer::{Endpoints, Peer};
use crate::permits::{ConnectionPermit, Permits};

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most connections at once.
    pub(crate) connections: usize,
    /// How long a request's head may take, and how long a connection may be idle between requests.
    pub(crate) head_time: Duration,
    /// The largest head, in bytes; at least 8192.
    pub(crate) head_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 512, head_time: Duration::from_secs(8), head_bytes: 64 * 1024 }
    }
}

/// Between two tries to accept when the system has nothing left …
const PAUSE: Duration = Duration::from_millis(250);
/// … and once an unauthenticated peer was evicted.
const MOMENT: Duration = Duration::from_millis(5);

/// Accepts until `stop`, then closes idle connections and lets the others finish what they are at.
pub(crate) async fn serve<S, F>(
    listener: TcpListener,
    bounds: Bounds,
    answer: S,
    stop: CancellationToken,
    connections: TaskTracker,
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let permits = Permits::new(bounds.connections);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = next(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                failing = false;
                connections.spawn(connection(stream, bounds, permit, answer.clone(), stop.clone()));
            }
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                if !failing {
                    tracing::warn!("No connection can be accepted: {error}. Trying until one can.");
                }
                failing = true;
                let pause = if permits.evict() { MOMENT } else { PAUSE };
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

async fn next(listener: &TcpListener, permits: &Arc<Permits>) -> io::Result<(TcpStream, ConnectionPermit)> {
    let (stream, _) = listener.accept().await?;
    Ok((stream, permits.take().await))
}

fn is_the_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind())
}

async fn connection<S, F>(
    stream: TcpStream,
    bounds: Bounds,
    permit: ConnectionPermit,
    answer: S,
    stop: CancellationToken,
) where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // Frames are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let held = permit.clone();
    let endpoints =
        stream.peer_addr().and_then(|peer| Ok(Endpoints { peer, own: stream.local_addr()? })).ok();
    let peer = endpoints.map(Peer::new);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(permit.clone());
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time)
        .max_buf_size(bounds.head_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = held.evicted() => {
            tracing::debug!("A connection was evicted: its client was revoked, or all permits are taken and it is not authenticated.");
            return;
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("A connection broke off: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::body::Body;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn server(bounds: Bounds) -> (SocketAddr, CancellationToken, TaskTracker) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let answer = |request: Request<Incoming>| async move {
            if request.uri().path() == "/known" {
                request.extensions().get::<ConnectionPermit>().unwrap().admit(CancellationToken::new());
            }
            Response::new(Body::from("hello"))
        };
        tokio::spawn(serve(listener, bounds, answer, stop.clone(), connections.clone()));
        (address, stop, connections)
    }

    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("the connection was not closed").unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// A connection that has shown what it must.
    async fn admitted(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            assert!(timeout(SOON, stream.read_buf(&mut answer)).await.unwrap().unwrap() > 0);
        }
        stream
    }

    #[tokio::test]
    async fn silent_partial_and_idle_connections_are_closed() {
        let (address, _stop, _) =
            server(Bounds { head_time: Duration::from_millis(200), ..Bounds::default() }).await;
        for head in ["", "GET / HTT", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = rest(&mut stream).await;
            assert_eq!(answer.ends_with("hello"), head.ends_with("\r\n\r\n"), "{head:?}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let (address, _stop, _) = server(Bounds { head_bytes: 8192, ..Bounds::default() }).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        let _ = stream.write_all(head.as_bytes()).await;
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_wait_until_one_goes() {
        let (address, _stop, _) = server(Bounds { connections: 2, ..Bounds::default() }).await;
        let first = admitted(address).await;
        let _second = admitted(address).await;
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut byte = [0];
        assert!(timeout(Duration::from_millis(300), third.read(&mut byte)).await.is_err(), "it was served");
        drop(first);
        assert!(rest(&mut third).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn an_unauthenticated_peer_that_has_been_there_longest_leaves_for_a_new_one() {
        let (address, _stop, _) = server(Bounds { connections: 3, ..Bounds::default() }).await;
        let mut known = admitted(address).await;
        let mut silent = Vec::new();
        for _ in 0..50 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut good = TcpStream::connect(address).await.unwrap();
        good.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut good).await.ends_with("hello"));
        assert_eq!(rest(&mut silent[0]).await, "", "the oldest is gone");
        known.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut known).await.ends_with("hello"), "who is admitted stays");
    }

    #[tokio::test]
    async fn stopping_closes_idle_connections() {
        let (address, stop, connections) = server(Bounds::default()).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut byte = [0];
        idle.read_exact(&mut byte).await.unwrap();
        stop.cancel();
        connections.close();
        assert!(rest(&mut idle).await.ends_with("hello"));
        timeout(SOON, connections.wait()).await.unwrap();
    }
}

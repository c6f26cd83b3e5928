//! The accept loop: takes connections, bounds their number, and gives each to hyper with a clock running.
//!
//! Our own and not `axum::serve`, which waits for ever for a request's head. A connection that sends none, or only a part
//! of it, or nothing after its last answer, is closed after [`HEAD_TIME`]. No more than [`MAX_CONNECTIONS`] are open,
//! sockets included; further ones wait in the system's queue. If the system has no descriptors left, the loop waits too.

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The most connections at once.
pub const MAX_CONNECTIONS: usize = 512;
/// How long a request's head may take, and how long a connection may be idle between requests.
pub const HEAD_TIME: Duration = Duration::from_secs(15);
/// The largest head, in bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A connection's place among [`MAX_CONNECTIONS`]. In the extensions of its requests; a WebSocket keeps it.
#[derive(Clone)]
pub struct Place(#[expect(dead_code, reason = "held for its drop")] Arc<OwnedSemaphorePermit>);

/// Accepts until `stop`, then closes idle connections and lets the others finish what they are at.
pub async fn serve<S, F>(listener: TcpListener, answer: S, stop: CancellationToken, connections: TaskTracker)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = next(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                connections.spawn(connection(stream, Place(Arc::new(place)), answer.clone(), stop.clone()));
            }
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                tracing::warn!("No connection can be accepted: {error}. Trying again.");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_millis(250)) => {}
                }
            }
        }
    }
}

async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

fn is_the_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind())
}

async fn connection<S, F>(stream: TcpStream, place: Place, answer: S, stop: CancellationToken)
where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // Frames are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(place.clone());
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("A connection broke off: {error}");
    }
}

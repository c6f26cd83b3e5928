//! The cable itself: bytes pass, and stop when they should.

use std::time::Duration;

use e2e::cable::Cable;
use e2e::stage::play;
use e2e::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that sends back what it gets.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.split();
                let _over = tokio::io::copy(&mut reads, &mut writes).await;
            });
        }
    });
    address
}

async fn call(stream: &mut TcpStream, word: &[u8; 4]) -> std::io::Result<[u8; 4]> {
    stream.write_all(word).await?;
    let mut back = [0; 4];
    stream.read_exact(&mut back).await?;
    Ok(back)
}

#[test]
fn a_cut_ends_connections_until_it_is_plugged_again() {
    play(async {
        let cable = Cable::to(echo().await).await;
        let mut stream = TcpStream::connect(cable.address()).await.expect("the cable is plugged");
        assert_eq!(&call(&mut stream, b"ping").await.expect("bytes pass"), b"ping");
        cable.cut().await;
        assert!(wait::soon("the end", call(&mut stream, b"ping")).await.is_err());
        let mut refused = TcpStream::connect(cable.address()).await.expect("the cable accepts and hangs up");
        assert!(wait::soon("the end", call(&mut refused, b"ping")).await.is_err());
        cable.plug();
        let mut again = TcpStream::connect(cable.address()).await.expect("the cable is plugged");
        assert_eq!(&call(&mut again, b"pong").await.expect("bytes pass"), b"pong");
    });
}

#[test]
fn a_stalled_line_is_open_and_silent() {
    play(async {
        let cable = Cable::to(echo().await).await;
        let mut stream = TcpStream::connect(cable.address()).await.expect("the cable is plugged");
        assert_eq!(&call(&mut stream, b"ping").await.expect("bytes pass"), b"ping");
        cable.stall();
        // That nothing comes can only be seen by waiting for it.
        let silent = tokio::time::timeout(Duration::from_millis(200), call(&mut stream, b"more")).await;
        assert!(silent.is_err(), "a stalled cable let bytes through");
        assert_eq!(cable.open(), 1);
        cable.plug();
        let mut back = [0; 4];
        wait::soon("what was held back", stream.read_exact(&mut back)).await.expect("bytes pass");
        assert_eq!(&back, b"more");
    });
}

#[test]
fn a_socks_client_reaches_the_address_it_names() {
    play(async {
        let server = echo().await;
        let cable = Cable::socks().await;
        let mut stream = TcpStream::connect(cable.address()).await.expect("the cable is plugged");
        stream.write_all(&[5, 1, 0]).await.expect("the cable reads");
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await.expect("the cable answers");
        assert_eq!(chosen, [5, 0]);
        let mut request = vec![5, 1, 0, 1, 127, 0, 0, 1];
        request.extend(server.port().to_be_bytes());
        stream.write_all(&request).await.expect("the cable reads");
        let mut verdict = [0; 10];
        stream.read_exact(&mut verdict).await.expect("the cable answers");
        assert_eq!(verdict[1], 0);
        assert_eq!(&call(&mut stream, b"ping").await.expect("bytes pass"), b"ping");
    });
}

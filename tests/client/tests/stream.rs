//! Application data through the driver's records, against a TLS client that is not ours.

mod common;

use common::{Lab, server_name};
use rustls::version::{TLS12, TLS13};
use std::io::{ErrorKind, IoSlice};
use tlsgate::TlsStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio_rustls::client;

async fn connect(lab: &Lab, capacity: usize) -> (client::TlsStream<DuplexStream>, Server) {
    let (client, server) = duplex(capacity);
    let (client, server) = tokio::join!(
        lab.client().connect(server_name(), client),
        lab.acceptor.accept(server),
    );
    (client.unwrap(), server.unwrap())
}

type Server = TlsStream<DuplexStream>;

fn data() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Both directions at once, with messages after the handshake in between.
async fn exchange(lab: &Lab, capacity: usize) {
    let (client, server) = connect(lab, capacity).await;
    lab.fake.insert_post_handshake(20);
    let (mut client_read, mut client_write) = split(client);
    let (mut server_read, mut server_write) = split(server);
    let sent = data();
    let send_client = async {
        client_write.write_all(&sent).await.unwrap();
        client_write.shutdown().await.unwrap();
    };
    let send_server = async {
        server_write.write_all(&sent).await.unwrap();
        server_write.flush().await.unwrap();
    };
    let (mut at_server, mut at_client) = (Vec::new(), vec![0; sent.len()]);
    let receive_server = async { server_read.read_to_end(&mut at_server).await.unwrap() };
    let receive_client = async { client_read.read_exact(&mut at_client).await.unwrap() };
    tokio::join!(send_client, send_server, receive_server, receive_client);
    assert!(at_server == sent && at_client == sent);
    assert_eq!(lab.fake.post_handshake_legs(), 20);
}

#[tokio::test]
async fn both_directions_at_once_with_post_handshake_messages() {
    for version in [&TLS12, &TLS13] {
        for capacity in [1024, 256 * 1024] {
            exchange(&Lab::new(version).await, capacity).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_halves_may_be_on_different_threads() {
    let lab = Lab::new(&TLS13).await;
    let (client, server) = connect(&lab, 4096).await;
    lab.fake.insert_post_handshake(50);
    let sent = data();
    let (mut client_read, mut client_write) = split(client);
    let (mut server_read, mut server_write) = split(server);
    let upstream = sent.clone();
    let tasks = [
        tokio::spawn(async move {
            client_write.write_all(&upstream).await.unwrap();
            client_write.shutdown().await.unwrap();
        }),
        // An echo, so that the server's halves wait for one another.
        tokio::spawn(async move {
            tokio::io::copy(&mut server_read, &mut server_write)
                .await
                .unwrap();
            server_write.flush().await.unwrap();
        }),
    ];
    let mut received = vec![0; sent.len()];
    client_read.read_exact(&mut received).await.unwrap();
    assert!(received == sent);
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn close_notify_is_an_end_and_a_cut_is_an_error() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, mut server) = connect(&lab, 4096).await;
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);

    let (client, mut server) = connect(&lab, 4096).await;
    drop(client);
    let error = server.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn shutting_down_says_close_notify() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, mut server) = connect(&lab, 4096).await;
    let mut got = Vec::new();
    let say = async {
        server.write_all(b"the end").await.unwrap();
        server.shutdown().await.unwrap();
        server.shutdown().await.expect("once is enough");
    };
    // Without close_notify this would be an UnexpectedEof.
    let (read, ()) = tokio::join!(client.read_to_end(&mut got), say);
    assert_eq!((read.unwrap(), &got[..]), (7, &b"the end"[..]));
}

/// What would be written then, no peer would hear; reading goes on.
#[tokio::test]
async fn nothing_is_written_behind_close_notify() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, mut server) = connect(&lab, 4096).await;
    server.shutdown().await.unwrap();
    let (seals, _) = lab.fake.record_calls();
    let error = server.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(lab.fake.record_calls().0, seals);
    client.write_all(b"heard").await.unwrap();
    client.flush().await.unwrap();
    let mut heard = [0; 5];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"heard");
}

/// Whichever half hears of it: the peer must not take the beginning for the whole.
#[tokio::test]
async fn what_cannot_be_sealed_is_the_writer_s_error_and_no_clean_end() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, server) = connect(&lab, 4096).await;
    let (mut reader, mut writer) = split(server);
    client.write_all(b"heard").await.unwrap();
    client.flush().await.unwrap();
    lab.fake.refuse_next();
    writer.write_all(b"lost").await.unwrap();
    let mut heard = [0; 5];
    reader.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"heard");
    let error = writer.flush().await.unwrap_err();
    let ours = tlsgate::Error::of(&error);
    assert!(
        matches!(ours, Some(tlsgate::Error::Refused { .. })),
        "{error}"
    );
    for _ in 0..2 {
        assert!(writer.write_all(b"more").await.is_err());
        assert!(writer.shutdown().await.is_err());
    }
    drop((reader, writer));
    let cut = client.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
}

/// Where there is no close_notify, what the peer still says is heard.
#[tokio::test]
async fn without_close_notify_the_other_half_goes_on() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, server) = connect(&lab, 4096).await;
    let (mut reader, mut writer) = split(server);
    client.write_all(b"heard").await.unwrap();
    client.flush().await.unwrap();
    lab.fake.refuse_next();
    let mut heard = [0; 5];
    // The reader is polled while SHUTDOWN is on its way, and may find the reply to it.
    let (ended, read) = tokio::join!(biased; writer.shutdown(), reader.read_exact(&mut heard));
    ended.unwrap();
    read.unwrap();
    assert_eq!(&heard, b"heard");
    writer.shutdown().await.expect("it has ended");
}

/// What answers a post-handshake message would be sent where nothing may follow.
#[tokio::test]
async fn nothing_is_answered_behind_close_notify() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, mut server) = connect(&lab, 4096).await;
    server.shutdown().await.unwrap();
    lab.fake.insert_post_handshake(1);
    for part in [b"heard", b"again"] {
        client.write_all(part).await.unwrap();
        client.flush().await.unwrap();
        let mut heard = [0; 5];
        // The stream below takes nothing any more: an answer would make it fail.
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, part);
    }
    assert_eq!(lab.fake.post_handshake_legs(), 1);
}

#[tokio::test]
async fn a_record_that_was_tampered_with_fails_with_its_status() {
    let lab = Lab::new(&TLS13).await;
    let (client, mut server) = connect(&lab, 4096).await;
    let (mut raw, _) = client.into_inner();
    raw.write_all(&[&[23, 3, 3, 0, 40][..], &[0; 40]].concat())
        .await
        .unwrap();
    let error = server.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(
        error.to_string().contains("SEC_E_DECRYPT_FAILURE"),
        "{error}"
    );
}

/// What the peer said before is not lost to what came after, though one read brought both.
#[tokio::test]
async fn good_records_in_front_of_a_bad_one_are_read_first() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, mut server) = connect(&lab, 4096).await;
    client.write_all(b"good ").await.unwrap();
    client.write_all(b"data").await.unwrap();
    client.flush().await.unwrap();
    let (mut raw, _) = client.into_inner();
    raw.write_all(&[&[23, 3, 3, 0, 40][..], &[0; 40]].concat())
        .await
        .unwrap();
    let mut got = [0; 9];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"good data");
    assert_eq!(lab.fake.record_calls(), (0, 1), "one UNSEAL met all of it");
    let error = server.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn data_and_close_notify_in_one_read_are_data_and_an_end() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, mut server) = connect(&lab, 4096).await;
    client.write_all(b"the end").await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!((&got[..], lab.fake.record_calls().1), (&b"the end"[..], 1));
}

#[tokio::test]
async fn much_goes_in_few_calls() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, mut server) = connect(&lab, 1024 * 1024).await;
    let sent = vec![7; 512 * 1024];
    let mut got = vec![0; sent.len()];
    server.write_all(&sent).await.unwrap();
    server.flush().await.unwrap();
    client.read_exact(&mut got).await.unwrap();
    assert!(got == sent);
    client.write_all(&sent).await.unwrap();
    client.flush().await.unwrap();
    server.read_exact(&mut got).await.unwrap();
    let (seals, unseals) = lab.fake.record_calls();
    assert!(
        seals == 8 && unseals <= 16,
        "{seals} SEALs, {unseals} UNSEALs"
    );
}

#[tokio::test]
async fn a_vectored_write_is_one_seal() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, mut server) = connect(&lab, 1024 * 1024).await;
    let long = vec![7; 70_000];
    let parts = [&b"a"[..], b"", b"bc", &long];
    let written = server.write_vectored(&parts.map(IoSlice::new)).await;
    assert_eq!(written.unwrap(), 64 * 1024, "as much as one SEAL takes");
    server.flush().await.unwrap();
    assert_eq!(lab.fake.record_calls(), (1, 0));
    let mut got = vec![0; 64 * 1024];
    client.read_exact(&mut got).await.unwrap();
    assert!(got[..] == parts.concat()[..64 * 1024]);
}

#[tokio::test]
async fn the_session_goes_with_its_stream() {
    let lab = Lab::new(&TLS13).await;
    let (_client, server) = connect(&lab, 4096).await;
    assert_eq!(lab.fake.sessions(), 1);
    drop(server);
    assert_eq!(lab.fake.sessions(), 0);

    let (_client, server) = connect(&lab, 4096).await;
    server.close().await.unwrap();
    assert_eq!(lab.fake.sessions(), 0);
}

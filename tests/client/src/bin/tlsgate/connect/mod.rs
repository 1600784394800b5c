//! `tlsgate connect`: the standard input to a TLS server, what it says to the standard output.

mod report;

use crate::{cli, client::Client, input};
use anyhow::{Context, Result};
use report::Report;
use std::io::Write;
use tlsgate::{Driver, TlsStream};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::Receiver,
};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// Connects, and carries bytes until both sides have ended.
pub async fn run(driver: &Driver, options: &cli::Connect) -> Result<()> {
    let client = Client::new(driver, &options.server, &options.client).await?;
    for _ in 0..options.resume {
        let stream = client.connect().await?;
        tell(&client, &stream, options)?;
        end(stream).await?;
    }
    let stream = client.connect().await?;
    tell(&client, &stream, options)?;
    carry(stream).await?;
    client.release().await
}

/// Tells of the connection on the standard error: the standard output is the server's.
fn tell(client: &Client, stream: &TlsStream<TcpStream>, options: &cli::Connect) -> Result<()> {
    let address = stream.get_ref().0.peer_addr()?;
    let report = Report::new(client.server(), address, stream.connection());
    if options.json {
        eprintln!("{}", serde_json::to_string(&report)?);
    } else {
        anstream::eprint!("{}", report.text(stream.connection()));
    }
    Ok(())
}

/// Ends a connection at once. What the server still says is heard: tickets are among it.
async fn end(mut stream: TlsStream<TcpStream>) -> Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink())
        .await
        .context("the server ended the connection without saying so")?;
    stream.close().await?;
    Ok(())
}

async fn carry(stream: TlsStream<TcpStream>) -> Result<()> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut input = input::pieces();
    let (sent, heard) = {
        let saying = say(&mut input, &mut writing);
        let hearing = hear(&mut reading);
        tokio::pin!(saying, hearing);
        tokio::select! {
            sent = &mut saying => (Some(sent), hearing.await),
            // A server that has ended its side hears no more.
            heard = &mut hearing => (None, heard),
        }
    };
    let mut stream = reading.unsplit(writing);
    let ended = stream.shutdown().await;
    heard.context("the server ended the connection without saying so")?;
    sent.transpose()?;
    ended?;
    stream.close().await?;
    Ok(())
}

async fn say(
    input: &mut Receiver<Vec<u8>>,
    to: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    while let Some(piece) = input.recv().await {
        to.write_all(&piece).await?;
        to.flush().await?;
    }
    to.shutdown().await
}

async fn hear(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        let mut output = std::io::stdout().lock();
        output.write_all(&chunk[..length])?;
        output.flush()?;
    }
}

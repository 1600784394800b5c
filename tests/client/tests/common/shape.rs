// A server and a client as programs write them, to be included where `use` has named the types: those
// of tokio-rustls, or ours.

/// Serves one connection: says who came, and sends back what it says.
pub async fn serve<IO>(config: Arc<ServerConfig>, socket: IO) -> io::Result<Said>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let acceptor = TlsAcceptor::from(config);
    let mut stream: server::TlsStream<IO> = acceptor.accept(socket).await?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    let parts = [IoSlice::new(b"you said: "), IoSlice::new(&heard)];
    assert!(stream.is_write_vectored());
    let mut rest = stream.write_vectored(&parts).await?;
    for part in parts {
        let skipped = rest.min(part.len());
        stream.write_all(&part[skipped..]).await?;
        rest -= skipped;
    }
    stream.shutdown().await?;
    let (_, connection) = stream.get_ref();
    assert_eq!(connection.server_name(), Some("localhost"));
    Ok(said!(connection))
}

/// The same, where the first message chooses the configuration.
pub async fn serve_lazily<IO>(
    choose: impl FnOnce(Option<&str>) -> Arc<ServerConfig>,
    socket: IO,
) -> io::Result<Said>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
    let hello = start.client_hello();
    let alpn = hello.alpn().map(|names| names.map(<[u8]>::to_vec));
    assert!(alpn.unwrap().any(|name| name == b"http/1.1"));
    let config = choose(hello.server_name());
    let mut stream = start.into_stream(config).await?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    stream.write_all(&heard).await?;
    stream.shutdown().await?;
    Ok(said!(stream.get_ref().1))
}

/// Connects, says something, and gives back what it hears.
pub async fn connect<IO>(config: Arc<ClientConfig>, socket: IO) -> io::Result<(Vec<u8>, Said)>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let connector = TlsConnector::from(config);
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let stream: client::TlsStream<IO> = match connector.connect(name, socket).into_fallible().await {
        Ok(stream) => stream,
        Err((error, _socket)) => return Err(error),
    };
    let mut stream = either(stream);
    stream.write_all(b"hello").await?;
    stream.flush().await?;
    // Half of it ends; the other is still heard.
    stream.shutdown().await?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    let said = said!(stream.get_ref().1);
    Ok((heard, said))
}

/// One type for both sides.
fn either<IO>(stream: impl Into<TlsStream<IO>>) -> TlsStream<IO> {
    stream.into()
}

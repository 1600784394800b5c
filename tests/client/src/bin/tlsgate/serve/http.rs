//! HTTP/1.1 and HTTP/2 over a connection of the driver's.

use crate::page;
use http_body_util::{Either, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use std::convert::Infallible;
use tlsgate::{TlsStream, protocol::payload::VersionReply};
use tokio::net::TcpStream;
use tower_http::services::{ServeDir, fs::ServeFileSystemResponseBody};
use tower_service::Service;

/// A page or a file.
type Answer = Response<Either<Full<Bytes>, ServeFileSystemResponseBody>>;

/// The page that describes the connection.
pub async fn page(stream: TlsStream<TcpStream>, version: &VersionReply) {
    let mut facts = page::negotiated(stream.connection());
    facts.push(page::driver(version));
    serve(stream, |request| {
        let answer = describe(&request, &facts);
        async { Ok::<_, Infallible>(answer.map(Either::Left)) }
    })
    .await;
}

/// The files of a folder. What leads out of it, and names of devices, the library takes for files that
/// are not there.
pub async fn files(stream: TlsStream<TcpStream>, folder: &ServeDir) {
    serve(stream, |request| {
        let mut folder = folder.clone();
        async move {
            let answer = folder.call(request).await?;
            Ok::<_, Infallible>(answer.map(Either::Right))
        }
    })
    .await;
}

/// HTTP/2 for clients that begin with it, HTTP/1.1 for the others.
async fn serve<S, F, E>(stream: TlsStream<TcpStream>, answer: S)
where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Answer, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service_fn(answer));
    if let Err(error) = connection.await
        && !is_the_client_s_choice(&*error)
    {
        eprintln!("HTTP ended early: {error}");
    }
}

/// A client may go whenever it likes.
fn is_the_client_s_choice(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(|error| error.is_incomplete_message() || error.is_closed())
}

fn describe<B>(request: &Request<B>, facts: &[(&str, String)]) -> Response<Full<Bytes>> {
    let browser = request.headers().get(header::ACCEPT).is_some_and(|accept| {
        accept
            .as_bytes()
            .windows(9)
            .any(|part| part == b"text/html")
    });
    let (status, kind, body) = match *request.method() {
        Method::GET | Method::HEAD if browser => (
            StatusCode::OK,
            "text/html; charset=utf-8",
            page::html(facts),
        ),
        Method::GET | Method::HEAD => (
            StatusCode::OK,
            "text/plain; charset=utf-8",
            page::plain(facts),
        ),
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "GET only\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

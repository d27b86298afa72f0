//! `/files/...`: static files, whole or in ranges.
//!
//! # Theory of operation
//! tower-http's `ServeDir` finds, checks and streams the file; a path with `..` in it, encoded or not, is 404. What it may
//! open are files and directories ([`Plain`]): to open a FIFO waits for a writer, and a device may have no end. It does not
//! know `If-Range`, so a request with both headers is tried, and repeated without its `Range` when the file is
//! not the one that the client has (RFC 9110, section 13.1.5).

use std::convert::Infallible;
use std::fs::Metadata;
use std::io;
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use tower::ServiceExt;
use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, TokioBackend, TokioFile};

use crate::http::plain::plain;

/// How much of a file is read at a time, in bytes.
const PIECE_LEN: usize = 64 << 10;

/// Answers one request for a file below `root`; the request's path is the one below `/files`.
pub(crate) async fn serve_file(root: PathBuf, mut request: Request) -> Result<Response, Infallible> {
    let files =
        ServeDir::with_backend(root, Plain).with_buf_chunk_size(PIECE_LEN).redirect_path_prefix("/files");
    let path = request.uri().path().to_owned();
    let if_range = request.headers_mut().remove(header::IF_RANGE);
    // Only GET has ranges (RFC 9110, section 14.2).
    if request.method() != Method::GET {
        request.headers_mut().remove(header::RANGE);
    }
    let whole = without_range(&request);
    let mut response = files.clone().oneshot(request).await.into_response();
    let is_current =
        if_range.is_none_or(|validator| response.headers().get(header::LAST_MODIFIED) == Some(&validator));
    if response.status() == StatusCode::PARTIAL_CONTENT && !is_current {
        response = files.oneshot(whole).await.into_response();
    }
    if response.status() == StatusCode::NOT_FOUND {
        return Ok(plain(StatusCode::NOT_FOUND, format_args!("no file {path}")));
    }
    Ok(response)
}

/// The file system without what is neither file nor directory.
#[derive(Clone, Copy, Debug)]
struct Plain;

impl Backend for Plain {
    type File = TokioFile;
    type Metadata = Metadata;
    type OpenFuture = BoxFuture<'static, io::Result<TokioFile>>;
    type MetadataFuture = BoxFuture<'static, io::Result<Metadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let found = self.metadata(path.clone());
        Box::pin(async move {
            found.await?;
            TokioBackend.open(path).await
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        Box::pin(async move {
            let metadata = TokioBackend.metadata(path).await?;
            match metadata.is_file() || metadata.is_dir() {
                true => Ok(metadata),
                false => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }
}

/// The same request, without a body, for the whole file.
fn without_range(request: &Request) -> Request {
    let mut whole = Request::new(Body::empty());
    *whole.method_mut() = request.method().clone();
    *whole.uri_mut() = request.uri().clone();
    whole.headers_mut().clone_from(request.headers());
    whole.headers_mut().remove(header::RANGE);
    whole
}

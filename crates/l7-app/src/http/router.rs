//! The table of routes.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, patch, post, put};
use tower::service_fn;

use crate::http::files::serve_file;
use crate::http::options::HttpOptions;
use crate::http::plain::plain;
use crate::http::{auth, cookies, generated, index, inspect, status, upload};

/// Every endpoint of the service.
///
/// Where there is a GET there is a HEAD, with the same headers and no body (RFC 9110, section 9.3.2). A path without
/// an endpoint is 404, a method that an endpoint does not have is 405 with `Allow`; both say so in one plain line.
pub fn router(options: HttpOptions) -> Router {
    let root = options.root.clone();
    let router = Router::new()
        .route("/", get(index::page))
        .route("/hello", get(hello))
        .route("/get", get(inspect::get))
        .route("/post", post(inspect::with_body))
        .route("/put", put(inspect::with_body))
        .route("/patch", patch(inspect::with_body))
        .route("/delete", delete(inspect::with_body))
        .route("/anything", any(inspect::anything))
        .route("/anything/{*path}", any(inspect::anything))
        .route("/headers", get(inspect::headers))
        .route("/ip", get(inspect::ip))
        .route("/delay/{seconds}", any(inspect::delay))
        .route("/status/{list}", any(status::status))
        .route("/redirect/{count}", get(status::redirect))
        .route("/bytes/{len}", get(generated::bytes))
        .route("/range/{len}", get(generated::range))
        .route("/stream/{count}", get(generated::stream_lines))
        .route("/discard", post(upload::discard).put(upload::discard))
        .route("/cookies", get(cookies::list))
        .route("/cookies/set", get(cookies::set))
        .route("/cookies/delete", get(cookies::delete))
        .route("/basic-auth/{user}/{password}", get(auth::basic));
    let router = match root {
        None => router,
        Some(root) => router
            .nest_service("/files", service_fn(move |request: Request| serve_file(root.clone(), request))),
    };
    router.fallback(not_found).method_not_allowed_fallback(not_allowed).with_state(options)
}

/// `/hello`: nothing but its constant, so that what is measured is the stack below.
async fn hello() -> &'static str {
    "Hello, world!"
}

async fn not_found(method: Method, uri: Uri) -> Response {
    if method == Method::CONNECT {
        let no_proxy = "CONNECT is for a proxy, and this is none: ask for a path, such as GET /";
        return ([(header::ALLOW, "")], plain(StatusCode::METHOD_NOT_ALLOWED, no_proxy)).into_response();
    }
    plain(StatusCode::NOT_FOUND, format_args!("nothing at {}; / lists what there is", uri.path()))
}

async fn not_allowed(method: Method, uri: Uri) -> Response {
    plain(StatusCode::METHOD_NOT_ALLOWED, format_args!("{} does not take {method}", uri.path()))
}

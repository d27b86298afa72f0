//! `/`: one self-contained page that lists the endpoints and shows the connection it came over.

use axum::extract::Request;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::http::endpoints::ENDPOINTS;
use crate::http::peer::Peer;

const STYLE: &str = "
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, td:first-child { font-family: ui-monospace, monospace; font-size: 0.92em; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: 0.25rem 1rem 0.25rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
pre { background: #8882; padding: 0.75rem 1rem; overflow-x: auto; border-radius: 0.4rem; }
";

/// The page. It loads nothing from anywhere, so it works on a network that has only this host.
pub(crate) async fn page(request: Request) -> Response {
    let peer = Peer::of(request.extensions());
    let host =
        request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("10.0.0.2");
    let host = escape(host);
    let client = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.address.to_string());
    let listener = peer.and_then(|peer| peer.listener).filter(|address| !address.ip().is_unspecified());
    let server = listener.map_or_else(|| host.clone(), |address| address.to_string());
    let rows: String = ENDPOINTS
        .iter()
        .map(|endpoint| {
            let path = escape(endpoint.path);
            let path = match endpoint.example {
                "" => path,
                example => format!("<a href=\"{}\">{path}</a>", escape(example)),
            };
            format!(
                "<tr><td>{}</td><td><code>{path}</code></td><td>{}</td></tr>\n",
                endpoint.methods,
                escape(endpoint.text)
            )
        })
        .collect();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>netloom</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>netloom</h1>\n\
         <p>Every packet of this page went through a TCP/IP stack in a user process: ARP or NDP, IP, TCP and this \
         server. The kernel at your end saw an ordinary host.</p>\n\
         <table>\n<tr><td>you</td><td><code>{client}</code></td></tr>\n\
         <tr><td>this host</td><td><code>{server}</code></td></tr>\n</table>\n\
         <h2>Endpoints</h2>\n<table>\n<tr><th>method</th><th>path</th><th></th></tr>\n{rows}</table>\n\
         <h2>To type</h2>\n<pre>\
         curl http://{host}/get?a=1\n\
         curl -d name=value http://{host}/post\n\
         curl -o /dev/null http://{host}/bytes/100000000\n\
         curl -T FILE http://{host}/discard?sha256\n\
         curl -r 10-19 http://{host}/range/26\n\
         </pre>\n</body>\n</html>\n"
    );
    Html(page).into_response()
}

/// Makes text safe inside an element or an attribute in double quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

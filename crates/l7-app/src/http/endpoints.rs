//! The list of endpoints, for the index page and for people who read it with curl.

/// One line of the index.
pub(crate) struct Endpoint {
    pub(crate) methods: &'static str,
    pub(crate) path: &'static str,
    /// A path to try with GET, empty where a link would not do.
    pub(crate) example: &'static str,
    pub(crate) text: &'static str,
}

const fn endpoint(
    methods: &'static str,
    path: &'static str,
    example: &'static str,
    text: &'static str,
) -> Endpoint {
    Endpoint { methods, path, example, text }
}

/// Every endpoint, grouped as a person would look for them.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    endpoint("GET", "/hello", "/hello", "Hello, world!, and nothing else"),
    endpoint("GET", "/get", "/get?a=1&a=2&b=x", "the request as it arrived"),
    endpoint("POST", "/post", "", "the same with its body; also PUT /put, PATCH /patch, DELETE /delete"),
    endpoint("any", "/anything", "/anything/at/all", "the same for any method and any path below it"),
    endpoint("GET", "/headers", "/headers", "the request's headers"),
    endpoint("GET", "/ip", "/ip", "the client's address"),
    endpoint(
        "any",
        "/status/CODE",
        "/status/418",
        "that status; of a list (200,500 or 200:9,500:1) one at random",
    ),
    endpoint(
        "GET",
        "/bytes/N",
        "/bytes/1024?seed=7",
        "N random bytes, up to 10 GiB; the same for the same seed",
    ),
    endpoint("GET", "/range/N", "/range/1024", "N letters, with Range and If-Range"),
    endpoint("GET", "/stream/N", "/stream/3", "N lines of JSON, a chunk each"),
    endpoint("any", "/delay/S", "/delay/1.5", "an answer after S seconds, 10 at most"),
    endpoint(
        "POST",
        "/discard",
        "",
        "reads a body of any length and says how long it was; ?sha256 for its digest",
    ),
    endpoint("GET", "/redirect/N", "/redirect/3", "N redirects, then /get"),
    endpoint("GET", "/cookies", "/cookies", "the cookies that the client sent"),
    endpoint(
        "GET",
        "/cookies/set?k=v",
        "/cookies/set?flavour=oat",
        "sets cookies; /cookies/delete?k deletes them",
    ),
    endpoint("GET", "/basic-auth/U/P", "/basic-auth/ann/secret", "asks for user U and password P"),
    endpoint("GET", "/files/...", "/files/", "static files, when the service was given a directory"),
];

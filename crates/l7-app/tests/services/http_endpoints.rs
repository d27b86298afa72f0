//! Every HTTP endpoint, by curl.

use serde_json::{Value, json};

use crate::support::{HttpServer, is_installed, shell};

macro_rules! need_curl {
    () => {
        if !is_installed("curl") {
            return;
        }
    };
}

#[tokio::test]
async fn get_tells_what_it_got() {
    need_curl!();
    let server = HttpServer::start().await;
    let told =
        server.json(&["-H", "X-One: 1", "-H", "X-Two: a", "-H", "X-Two: b"], "/get?a=1&b=%C3%BC&a=2&c").await;
    assert_eq!(told["args"], json!({"a": ["1", "2"], "b": "ü", "c": ""}));
    assert_eq!(told["headers"]["X-One"], "1");
    assert_eq!(told["headers"]["X-Two"], "a,b");
    assert_eq!(told["headers"]["Host"], server.address.to_string());
    assert_eq!(told["origin"], "127.0.0.1");
    assert_eq!(told["url"], server.url("/get?a=1&b=%C3%BC&a=2&c"));
    let fields: Vec<_> = told.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["args", "headers", "origin", "url"]);
    assert_eq!(server.json(&[], "/ip").await, json!({"origin": "127.0.0.1"}));
    assert_eq!(server.json(&["-A", "me"], "/headers").await["headers"]["User-Agent"], "me");
}

#[tokio::test]
async fn bodies_are_taken_apart_by_their_type() {
    need_curl!();
    let server = HttpServer::start().await;
    for (method, path) in [("POST", "/post"), ("PUT", "/put"), ("PATCH", "/patch"), ("DELETE", "/delete")] {
        let told = server.json(&["-X", method, "-d", "a=1&a=2&b=x+y"], path).await;
        assert_eq!(told["form"], json!({"a": ["1", "2"], "b": "x y"}), "{path}");
        assert_eq!((&told["data"], &told["json"], &told["files"]), (&json!(""), &Value::Null, &json!({})));
        assert!(told.get("method").is_none());
    }
    let typed = ["-H", "Content-Type: application/json", "-d", r#"{"k": [1, 2]}"#];
    let told = server.json(&typed, "/post").await;
    assert_eq!((&told["json"], &told["data"]), (&json!({"k": [1, 2]}), &json!(r#"{"k": [1, 2]}"#)));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.bin");
    std::fs::write(&file, [0xff, 0x00]).unwrap();
    let part = format!("up=@{};type=image/png", file.display());
    let told = server.json(&["-F", "name=value", "-F", &part], "/post").await;
    assert_eq!(told["form"], json!({"name": "value"}));
    assert_eq!(told["files"], json!({"up": "data:image/png;base64,/wA="}));
    let data = format!("@{}", file.display());
    let told = server.json(&["-H", "Content-Type: text/x", "--data-binary", &data], "/anything/below").await;
    assert_eq!(told["data"], "data:application/octet-stream;base64,/wA=");
    assert_eq!((&told["method"], &told["url"]), (&json!("POST"), &json!(server.url("/anything/below"))));
    assert_eq!(server.json(&["-X", "LINK"], "/anything").await["method"], "LINK");
}

#[tokio::test]
async fn a_body_that_is_no_form_although_it_says_so_is_refused() {
    need_curl!();
    let server = HttpServer::start().await;
    let typed = ["-i", "-H", "Content-Type: multipart/form-data; boundary=x", "-d", "nonsense"];
    let answer = server.curl(&typed, "/post").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn statuses_come_as_asked() {
    need_curl!();
    let server = HttpServer::start().await;
    for code in ["200", "204", "299", "301", "304", "400", "401", "404", "418", "500", "599"] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let format = ["-o", "/dev/null", "-w", "%{http_code}", "-X", method];
            assert_eq!(server.curl(&format, &format!("/status/{code}")).await, code);
        }
    }
    for path in ["/status/100", "/status/600", "/status/x", "/status/200,", "/bytes/-1", "/bytes/10737418241"]
    {
        let answer = server.curl(&["-i"], path).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    let format = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert!(["200", "500"].contains(&server.curl(&format, "/status/200,500").await.as_str()));
    assert_eq!(server.curl(&format, "/status/200:0,500:1").await, "500");
    assert!(server.curl(&["-i"], "/status/302").await.contains("location: /redirect/1"));
}

#[tokio::test]
async fn redirects_are_followed_to_their_end() {
    need_curl!();
    let server = HttpServer::start().await;
    let format = ["-L", "-o", "/dev/null", "-w", "%{num_redirects} %{http_code} %{url_effective}"];
    assert_eq!(server.curl(&format, "/redirect/5").await, format!("5 200 {}", server.url("/get")));
    assert_eq!(server.curl(&["-o", "/dev/null", "-w", "%{http_code}"], "/redirect/0").await, "400");
}

#[tokio::test]
async fn cookies_are_set_shown_and_deleted() {
    need_curl!();
    let server = HttpServer::start().await;
    assert_eq!(server.json(&["-b", "a=1; b=2"], "/cookies").await, json!({"cookies": {"a": "1", "b": "2"}}));
    let set = server.json(&["-L", "-b", ""], "/cookies/set?k=v").await;
    assert_eq!(set, json!({"cookies": {"k": "v"}}));
    let deleted = server.curl(&["-i"], "/cookies/delete?k").await;
    assert!(deleted.contains("set-cookie: k=; Path=/; Max-Age=0"), "{deleted}");
    for query in ["k=a%3Bb", "k=%0d%0aX:y", "=v", "a%20b=c"] {
        let answer = server.curl(&["-i"], &format!("/cookies/set?{query}")).await;
        assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains("set-cookie"), "{query}: {answer}");
    }
}

#[tokio::test]
async fn basic_auth_takes_the_path_s_password_only() {
    need_curl!();
    let server = HttpServer::start().await;
    let told = server.json(&["-u", "ann:s:cret"], "/basic-auth/ann/s:cret").await;
    assert_eq!(told, json!({"authenticated": true, "user": "ann"}));
    for arguments in [&["-i"][..], &["-i", "-u", "ann:wrong"], &["-i", "-H", "Authorization: Basic !!"]] {
        let answer = server.curl(arguments, "/basic-auth/ann/secret").await;
        assert!(
            answer.starts_with("HTTP/1.1 401") && answer.contains("www-authenticate: Basic realm="),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn bytes_are_the_same_for_the_same_seed() {
    need_curl!();
    let server = HttpServer::start().await;
    let sum = |path: &str| shell_sum(server.url(path));
    assert_eq!(sum("/bytes/200001?seed=7").await, sum("/bytes/200001?seed=7").await);
    assert_ne!(sum("/bytes/200001?seed=7").await, sum("/bytes/200001?seed=8").await);
    assert_ne!(sum("/bytes/200001").await, sum("/bytes/200001").await);
    assert_eq!(server.curl(&["-o", "/dev/null", "-w", "%{size_download}"], "/bytes/0").await, "0");
    assert!(server.curl(&["-I"], "/bytes/10737418240").await.contains("content-length: 10737418240"));
}

async fn shell_sum(url: String) -> String {
    shell(&format!("curl -sSf '{url}' | sha256sum")).await
}

#[tokio::test]
async fn a_hundred_megabytes_go_down_and_up_unchanged() {
    need_curl!();
    let server = HttpServer::start().await;
    let (down, up) = (server.url("/bytes/100000000?seed=1"), server.url("/discard?sha256"));
    let printed = shell(&format!(
        "curl -sSf '{down}' | tee >(sha256sum >&2) | curl -sSf -T - -X POST '{up}'; sha=$(curl -sSf '{down}' | sha256sum); echo $sha"
    ))
    .await;
    let (answer, sum) = printed.split_once('\n').unwrap();
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(answer["bytes"], 100_000_000);
    assert_eq!(answer["sha256"], sum.split_whitespace().next().unwrap());
}

#[tokio::test]
async fn discard_counts_any_framing() {
    need_curl!();
    let server = HttpServer::start().await;
    assert_eq!(server.curl(&["-d", "12345"], "/discard").await, "{\"bytes\": 5}\n");
    assert_eq!(server.curl(&["-X", "POST"], "/discard").await, "{\"bytes\": 0}\n");
    let chunked = ["-H", "Transfer-Encoding: chunked", "-d", "12345"];
    assert_eq!(server.curl(&chunked, "/discard").await, "{\"bytes\": 5}\n");
    let empty =
        "{\"bytes\": 0, \"sha256\": \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}\n";
    assert_eq!(server.curl(&["-X", "PUT"], "/discard?sha256").await, empty);
}

#[tokio::test]
async fn stream_sends_lines_of_json() {
    need_curl!();
    let server = HttpServer::start().await;
    let answer = server.curl(&["-i"], "/stream/3?x=1").await;
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    let lines: Vec<Value> = answer
        .split_once("\r\n\r\n")
        .unwrap()
        .1
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.iter().map(|line| line["id"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(lines.iter().all(|line| line["args"]["x"] == "1"));
}

#[tokio::test]
async fn delay_waits_and_tells() {
    need_curl!();
    let server = HttpServer::start().await;
    let answer = server.curl(&["-d", "a=1", "-w", "\n%{time_total}"], "/delay/0.4").await;
    let (body, seconds) = answer.rsplit_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["form"]["a"], "1");
    assert!(seconds.parse::<f64>().unwrap() >= 0.4, "{seconds}");
}

#[tokio::test]
async fn ranges_of_letters_fit_together() {
    need_curl!();
    let server = HttpServer::start().await;
    let whole = server.curl(&[], "/range/100").await;
    assert_eq!(whole, "abcdefghijklmnopqrstuvwxyz".repeat(4)[..100]);
    let mut joined = String::new();
    for range in ["0-9", "10-49", "50-"] {
        let answer = server.curl(&["-i", "-r", range], "/range/100").await;
        assert!(answer.starts_with("HTTP/1.1 206"), "{answer}");
        joined.push_str(answer.split_once("\r\n\r\n").unwrap().1);
    }
    assert_eq!(joined, whole);
    let answer = server.curl(&["-i", "-r", "100-"], "/range/100").await;
    assert!(answer.starts_with("HTTP/1.1 416") && answer.contains("content-range: bytes */100"), "{answer}");
    let format = ["-w", " %{http_code}", "-r", "0-4", "-H"];
    let current = [&format[..], &["If-Range: \"range100\""]].concat();
    assert_eq!(server.curl(&current, "/range/100").await, "abcde 206");
    let outdated = [&format[..], &["If-Range: \"range99\""]].concat();
    assert_eq!(server.curl(&outdated, "/range/100").await, format!("{whole} 200"));
    assert_eq!(server.curl(&["-r", "0-1,3-4"], "/range/100").await, whole);
    // Far beyond what fits in memory, and at the right letter.
    let tail = server.curl(&["-r", "10737418239-"], "/range/10737418240").await;
    assert_eq!(tail.as_bytes(), [b'a' + u8::try_from(10_737_418_239_u64 % 26).unwrap()]);
}

#[tokio::test]
async fn files_come_whole_and_in_ranges_and_from_the_root_only() {
    need_curl!();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::write(directory.path().join("secret"), "secret").unwrap();
    std::fs::write(root.join("a.txt"), "0123456789").unwrap();
    std::fs::write(root.join("sub/index.html"), "<p>index").unwrap();
    let server = HttpServer::with_root(root).await;

    assert_eq!(server.curl(&[], "/files/a.txt").await, "0123456789");
    let answer = server.curl(&["-i"], "/files/a.txt").await;
    assert!(
        answer.contains("content-type: text/plain") && answer.contains("accept-ranges: bytes"),
        "{answer}"
    );
    assert_eq!(server.curl(&["-r", "3-5", "-w", " %{http_code}"], "/files/a.txt").await, "345 206");
    let answer = server.curl(&["-i", "-r", "10-"], "/files/a.txt").await;
    assert!(answer.starts_with("HTTP/1.1 416") && answer.contains("content-range: bytes */10"), "{answer}");
    assert_eq!(server.curl(&["-L"], "/files/sub").await, "<p>index");
    assert!(server.curl(&["-I"], "/files/a.txt").await.contains("content-length: 10"));

    let headers = server.curl(&["-I"], "/files/a.txt").await;
    let modified = headers.lines().find_map(|line| line.strip_prefix("last-modified: ")).unwrap();
    let ranged = |validator: String| {
        let server = &server;
        async move { server.curl(&["-r", "0-1", "-H", &format!("If-Range: {validator}")], "/files/a.txt").await }
    };
    assert_eq!(ranged(modified.to_owned()).await, "01");
    assert_eq!(ranged("Thu, 01 Jan 1970 00:00:00 GMT".to_owned()).await, "0123456789");
    assert_eq!(ranged("\"etag\"".to_owned()).await, "0123456789");

    for path in [
        "/files/../secret",
        "/files/%2e%2e/secret",
        "/files/..%2fsecret",
        "/files/sub/../../secret",
        "/files//etc/passwd",
        "/files/%2fetc/passwd",
        "/files/missing",
        "/files/a.txt%00",
    ] {
        let answer = server.curl(&["-i", "--path-as-is"], path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.ends_with("secret") && !answer.contains("root:"), "{path}: {answer}");
    }
    let answer = server.curl(&["-i", "-d", "x"], "/files/a.txt").await;
    assert!(
        answer.starts_with("HTTP/1.1 405") && answer.to_lowercase().contains("allow: get,head"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_neither_file_nor_directory_is_not_opened() {
    need_curl!();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    // Nobody writes to it: whoever opens it to read waits.
    shell(&format!("mkfifo {}", root.join("fifo").display())).await;
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", root.join("device")).unwrap();
    std::os::unix::fs::symlink("fifo", root.join("link")).unwrap();
    std::fs::create_dir(root.join("sub")).unwrap();
    shell(&format!("mkfifo {}", root.join("sub/index.html").display())).await;
    let server = HttpServer::with_root(root.to_owned()).await;
    for name in ["fifo", "fifo/", "socket", "device", "link", "sub/"] {
        for arguments in [&["-i", "--max-time", "5"][..], &["-i", "-r", "0-1", "--max-time", "5"], &["-I"]] {
            let answer = server.curl(arguments, &format!("/files/{name}")).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{name} {arguments:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn without_a_root_there_are_no_files() {
    need_curl!();
    let server = HttpServer::start().await;
    for path in ["/files", "/files/", "/files/etc/passwd", "/nothing", "/get/more"] {
        let answer = server.curl(&["-i"], path).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("text/plain"), "{answer}");
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.lines().count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_there_is_named_with_those_that_are() {
    need_curl!();
    let server = HttpServer::start().await;
    for (method, path, allow) in [
        ("POST", "/get", "GET,HEAD"),
        ("GET", "/post", "POST"),
        ("GET", "/discard", "POST,PUT"),
        ("PUT", "/hello", "GET,HEAD"),
    ] {
        let answer = server.curl(&["-i", "-X", method], path).await;
        assert!(
            answer.starts_with("HTTP/1.1 405") && answer.contains(&format!("allow: {allow}\r\n")),
            "{answer}"
        );
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, format!("{path} does not take {method}\n"));
    }
}

#[tokio::test]
async fn a_request_for_a_proxy_is_refused_in_a_sentence() {
    let server = HttpServer::start().await;
    let answer = server.raw("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 405") && head.to_lowercase().contains("\r\nallow: \r\n"), "{answer}");
    assert_eq!(body, "CONNECT is for a proxy, and this is none: ask for a path, such as GET /\n");
}

#[tokio::test]
async fn the_index_needs_nothing_else_and_every_link_works() {
    need_curl!();
    let server = HttpServer::start().await;
    let page = server.curl(&["-H", "Host: a\"><script>x</script>"], "/").await;
    assert!(!page.contains("<script") && !page.contains("src=") && page.contains("127.0.0.1:"), "{page}");
    let page = server.curl(&[], "/").await;
    assert!(page.contains(&server.address.to_string()));
    let links: Vec<&str> =
        page.split("href=\"/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links.into_iter().filter(|link| !link.starts_with("files")) {
        let path = format!("/{link}").replace("&amp;", "&");
        let status = server.curl(&["-o", "/dev/null", "-w", "%{http_code}"], &path).await;
        assert!(["200", "302", "401", "418"].contains(&status.as_str()), "{path}: {status}");
    }
}

#[tokio::test]
async fn hello_is_exactly_that() {
    need_curl!();
    let server = HttpServer::start().await;
    let answer = server.curl(&["-i"], "/hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nHello, world!"), "{answer}");
}

#[tokio::test]
async fn a_hundred_curls_at_once_are_all_served() {
    need_curl!();
    let server = HttpServer::start().await;
    let url = server.url("/bytes/10000?seed=[1-100]");
    let codes = shell(&format!(
        "curl -sS --parallel --parallel-immediate --parallel-max 100 -w '%{{http_code}} %{{size_download}}\\n' -o /dev/null '{url}'"
    ))
    .await;
    assert_eq!(codes.lines().filter(|line| *line == "200 10000").count(), 100, "{codes}");
}

//! The transport layer does not know which version of IP carries it.

use super::finding::Finding;
use super::source::{Source, TokenKind};

/// The crate that is blind to the version.
pub(crate) const BLIND_CRATE: &str = "netloom-l4-transport";

/// Every name in code, tests aside, that speaks of a version of IP.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for token in source.code_tokens() {
        if token.kind == TokenKind::Ident && names_version(&token.text) {
            let message =
                format!("`{}` names a version of IP: the transport layer sees IpAddr only", token.text);
            findings.push(Finding::new(&source.path, token.line, message));
        }
    }
    findings
}

/// `V4`, `Ipv6Addr`, `is_ipv4`, `mss_v6`, `AF_INET6`; but not `Rev4` or `ipv`.
fn names_version(name: &str) -> bool {
    let lower = name.to_lowercase();
    if ["ipv4", "ipv6", "inet6", "icmp6", "icmpv6"].iter().any(|word| lower.contains(word)) {
        return true;
    }
    lower.split('_').any(|word| matches!(word, "v4" | "v6" | "ip4" | "ip6")) || has_camel_word(name)
}

/// A `V4` or `V6` that begins a word of a CamelCase name.
fn has_camel_word(name: &str) -> bool {
    ["V4", "V6"].iter().any(|version| {
        name.match_indices(version).any(|(index, _)| {
            let next = name[index + version.len()..].chars().next();
            next.is_none_or(|next| !next.is_ascii_digit() && !next.is_lowercase())
        })
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn count(text: &str) -> usize {
        check(&Source::parse(Path::new("src/lib.rs"), text.to_owned(), false).unwrap()).len()
    }

    #[test]
    fn names_of_a_version_are_flagged() {
        for text in [
            "fn f() { match a { IpAddr::V4(_) => {} } }",
            "use core::net::Ipv6Addr;",
            "fn f() { a.is_ipv4() }",
            "const MSS_V6: u16 = 1220;",
            "fn default_mss_v4() {}",
            "struct AddrV6;",
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn other_names_comments_and_tests_are_not() {
        for text in [
            "// IpAddr::V4\n/// Ipv6\nconst A: &str = \"V4\";",
            "use core::net::IpAddr;",
            "struct Rev4; fn v42() {} fn ipv() {}",
            "#[cfg(test)] mod tests { use core::net::Ipv4Addr; }",
        ] {
            assert_eq!(count(text), 0, "{text}");
        }
    }
}

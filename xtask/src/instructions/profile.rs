//! Callgrind's output: which function took how many instructions itself.

use std::collections::HashMap;

/// The parts of the stack in the order in which a packet meets them.
pub(crate) const LAYERS: &[&str] = &["wire", "l2-link", "l3-internet", "l4-transport", "stack", "base"];
/// Functions of the C library and of crates that others wrote, copies and memory above all.
pub(crate) const ELSEWHERE: &str = "libraries";
/// What stands for devices and applications.
pub(crate) const EXCHANGE: &str = "exchange";

/// The layer that a function belongs to, by its crate.
pub(crate) fn layer_of(function: &str) -> &'static str {
    crate_of(function).map_or(ELSEWHERE, |name| layer_of_crate(name).unwrap_or(EXCHANGE))
}

/// The first crate of ours in the name of a function, which a method of another's type has in it too.
pub(crate) fn crate_of(function: &str) -> Option<&str> {
    let name = function.get(function.find("netloom")?..)?;
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(name.len());
    name.get(..end)
}

/// The layer that a crate of ours is, if it is one.
pub(crate) fn layer_of_crate(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("netloom_")?;
    LAYERS.iter().copied().find(|layer| name == layer.replace('-', "_"))
}

/// Every function with what it took itself, in pieces: a function may come more than once.
///
/// Of the format (Callgrind Format Specification 1.0) this knows what callgrind writes without options: `fn=` begins a
/// function, a line that begins with a position is a cost of it, and the cost after `calls=` is the callee's.
pub(crate) fn self_costs(text: &str) -> Vec<(String, f64)> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut costs: Vec<(String, f64)> = Vec::new();
    let mut is_callees = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            // `(12) name` the first time, `(12)` from then on.
            let (id, name) = name.split_once(' ').unwrap_or((name, ""));
            let name = if name.is_empty() { names.get(id).copied().unwrap_or_default() } else { name };
            names.insert(id, name);
            if line.starts_with("fn=") {
                costs.push((name.to_owned(), 0.0));
            }
        } else if line.starts_with("calls=") {
            is_callees = true;
        } else if line.starts_with(|letter: char| letter.is_ascii_digit() || "+-*".contains(letter)) {
            let count = line.split(' ').nth(1).and_then(|count| count.parse::<f64>().ok());
            if let (false, Some(count), Some((_, cost))) = (is_callees, count, costs.last_mut()) {
                *cost += count;
            }
            is_callees = false;
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_takes_what_its_callees_do_not() {
        let text = "version: 1\nevents: Ir\n\nob=(1) /bin/x\nfl=(1) a.rs\nfn=(1) netloom_wire::sum\n16 400\n+2 5\n\
                    cfi=(2) b.rs\ncfn=(2) memcpy\ncalls=3 40\n* 9000\nfi=(3) core.rs\n-1 7\n\nfn=(2)\n5 60\n\ntotals: 9472\n";
        let costs = self_costs(text);
        assert_eq!(costs, [("netloom_wire::sum".to_owned(), 412.0), ("memcpy".to_owned(), 60.0)]);
    }

    #[test]
    fn a_function_belongs_to_the_first_crate_of_ours_in_its_name() {
        for (function, layer) in [
            ("netloom_l4_transport::tcp::layer::Tcp::settle", "l4-transport"),
            ("<netloom_wire::checksum::Checksum as core::fmt::Debug>::fmt", "wire"),
            ("core::ptr::drop_in_place<netloom_base::byte_queue::ByteQueue>", "base"),
            ("netloom_packets::Host::send", EXCHANGE),
            ("netloom_packets'2", EXCHANGE),
            ("malloc", ELSEWHERE),
            ("core::hash::BuildHasher::hash_one", ELSEWHERE),
        ] {
            assert_eq!(layer_of(function), layer, "{function}");
        }
    }
}

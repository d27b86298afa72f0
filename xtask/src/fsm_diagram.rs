//! `cargo xtask fsm-diagram`: docs/tcp-state.svg, drawn from the table of states.
//!
//! # Theory of operation
//! The example `transitions` of `netloom-l4-transport` prints what its `next` says for every state and input. The states
//! and the ways between them have places by hand ([`layout`]), after figure 5 of RFC 9293; which ways there are, and what they
//! are called, comes from the table. A way without a place, or a place without a way, is an error: so the picture cannot
//! differ from the code.
//!
//! Resets and aborts lead to CLOSED from almost everywhere; they are told in words below.

mod layout;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::compliance::Mode;
use crate::steps::cargo;

use layout::{BOX_HEIGHT, BOX_WIDTH, HEIGHT, PLACES, ROUTES, STYLE, WIDTH};

const FILE: &str = "docs/tcp-state.svg";

/// Writes the picture, or compares it with what is there; true if all is well.
pub(crate) fn run(mode: Mode) -> Result<bool> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cargo metadata does not read the workspace")?;
    let file = metadata.workspace_root.as_std_path().join(FILE);
    let output = cargo(&["run", "--quiet", "--package", "netloom-l4-transport", "--example", "transitions"])
        .output()
        .context("cargo cannot run the example")?;
    if !output.status.success() {
        bail!("the table of states is not printed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let picture = draw(&Table::parse(&String::from_utf8_lossy(&output.stdout))?)?;
    match mode {
        Mode::Write => {
            fs::write(&file, picture).with_context(|| format!("{FILE} cannot be written"))?;
            println!("fsm-diagram: {FILE} written");
        }
        Mode::Check if fs::read_to_string(&file).ok().as_deref() != Some(&picture) => {
            println!("{FILE} is not what the code says: cargo xtask fsm-diagram");
            return Ok(false);
        }
        Mode::Check => println!("fsm-diagram: {FILE} is what the code says"),
    }
    Ok(true)
}

/// What leads from one state to another.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    states: BTreeSet<String>,
    /// Inputs, by the states that they lead from and to.
    ways: BTreeMap<(String, String), Vec<String>>,
    /// Where a reset leads to CLOSED from.
    reset: BTreeSet<String>,
    /// Where an abort leads to CLOSED from.
    abort: BTreeSet<String>,
}

impl Table {
    fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        for line in text.lines() {
            let [from, input, to] = line.split('\t').collect::<Vec<_>>()[..] else {
                bail!("`{line}` is not a state, an input and a state");
            };
            table.states.extend([from.to_owned(), to.to_owned()]);
            match (input, to) {
                ("Reset", "CLOSED") => drop(table.reset.insert(from.to_owned())),
                ("Abort", "CLOSED") => drop(table.abort.insert(from.to_owned())),
                _ => table.ways.entry((from.to_owned(), to.to_owned())).or_default().push(label(input)?),
            }
        }
        Ok(table)
    }

    /// What a set leaves out, CLOSED aside.
    fn all_but(&self, set: &BTreeSet<String>) -> String {
        let rest: Vec<&str> =
            self.states.difference(set).map(String::as_str).filter(|state| *state != "CLOSED").collect();
        match rest.as_slice() {
            [] => "every state".to_owned(),
            rest => format!("every state but {}", rest.join(", ")),
        }
    }
}

/// What an input is called in the picture: calls of the user in italics.
fn label(input: &str) -> Result<String> {
    let label = match input {
        "PassiveOpen" => "<tspan class=\"call\">listen</tspan>",
        "ActiveOpen" => "<tspan class=\"call\">connect</tspan>",
        "Close" => "<tspan class=\"call\">close</tspan>",
        "Syn" => "SYN",
        "SynAck" => "SYN, ACK of SYN",
        "AckOfSyn" => "ACK of SYN",
        "Fin" => "FIN",
        "AckOfFin" => "ACK of FIN",
        "TimeWaitOver" => "2 MSL",
        _ => bail!("the picture has no word for the input `{input}`"),
    };
    Ok(label.to_owned())
}

fn draw(table: &Table) -> Result<String> {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
        role=\"img\" aria-labelledby=\"title\">\n\
        <!-- Drawn by `cargo xtask fsm-diagram` from crates/l4-transport/src/tcp/state.rs. -->\n\
        <title id=\"title\">The states of a TCP connection, and what leads from one to the next</title>\n\
        <style>{STYLE}</style>\n\
        <defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" \
        orient=\"auto-start-reverse\"><path class=\"tip\" d=\"M0 1 10 5 0 9z\"/></marker></defs>\n\
        <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"12\"/>\n"
    );
    draw_ways(&mut svg, table)?;
    draw_states(&mut svg, table)?;
    let notes = [
        format!(
            "A reset leads to CLOSED from {}; an abort, or a limit, from {}.",
            table.all_but(&table.reset),
            table.all_but(&table.abort)
        ),
        "Upright: what the peer sends, and time. Italic: calls of the user.".to_owned(),
    ];
    for (line, note) in (0..).zip(notes) {
        let _ = writeln!(
            svg,
            "<text class=\"note\" x=\"{}\" y=\"{}\">{note}</text>",
            WIDTH / 2,
            HEIGHT - 42 + 20 * line
        );
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn draw_ways(svg: &mut String, table: &Table) -> Result<()> {
    for ((from, to), labels) in &table.ways {
        let Some(route) = ROUTES.iter().find(|route| (route.from, route.to) == (from.as_str(), to.as_str()))
        else {
            bail!("the way from {from} to {to} has no place in xtask/src/fsm_diagram/layout.rs");
        };
        let (x, y, anchor) = route.label;
        let _ = writeln!(svg, "<path class=\"way\" marker-end=\"url(#tip)\" d=\"{}\"/>", route.path);
        let _ = writeln!(
            svg,
            "<text class=\"label\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
            labels.join(" or ")
        );
    }
    for route in ROUTES {
        if !table.ways.contains_key(&(route.from.to_owned(), route.to.to_owned())) {
            bail!("nothing leads from {} to {} any more, but it has a place", route.from, route.to);
        }
    }
    Ok(())
}

fn draw_states(svg: &mut String, table: &Table) -> Result<()> {
    for state in &table.states {
        if !PLACES.iter().any(|place| place.state == state) {
            bail!("the state {state} has no place in xtask/src/fsm_diagram/layout.rs");
        }
    }
    for place in PLACES {
        if !table.states.contains(place.state) {
            bail!("there is no state {}, but it has a place", place.state);
        }
        let (x, y) = (place.x - BOX_WIDTH / 2, place.y - BOX_HEIGHT / 2);
        let _ = writeln!(
            svg,
            "<rect class=\"state {}\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"8\"/>\
            <text class=\"name\" x=\"{}\" y=\"{}\">{}</text>",
            place.phase,
            place.x,
            place.y + 5,
            place.state
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the example prints it, from the places alone.
    fn whole() -> String {
        let inputs =
            |from: &str, to: &str| if (from, to) == ("CLOSED", "LISTEN") { "PassiveOpen" } else { "Syn" };
        ROUTES
            .iter()
            .map(|route| format!("{}\t{}\t{}\n", route.from, inputs(route.from, route.to), route.to))
            .collect()
    }

    #[test]
    fn inputs_of_one_way_share_its_label() {
        let table =
            Table::parse(&format!("{}CLOSED\tActiveOpen\tLISTEN\nLISTEN\tReset\tCLOSED\n", whole())).unwrap();
        let svg = draw(&table).unwrap();
        assert!(svg.contains("listen</tspan> or <tspan class=\"call\">connect</tspan></text>"), "{svg}");
        assert_eq!(table.all_but(&table.reset).matches("LISTEN").count(), 0);
        assert_eq!(table.all_but(&table.states), "every state");
    }

    #[test]
    fn a_way_without_a_place_or_a_place_without_a_way_is_an_error() {
        for (text, error) in [
            (format!("{}LISTEN\tFin\tTIME-WAIT\n", whole()), "the way from LISTEN to TIME-WAIT has no place"),
            (
                whole().lines().skip(1).map(|line| format!("{line}\n")).collect(),
                "any more, but it has a place",
            ),
            (format!("{}LISTEN\tFin\n", whole()), "is not a state, an input and a state"),
            (format!("{}LISTEN\tNew\tCLOSED\n", whole()), "no word for the input `New`"),
        ] {
            let found = Table::parse(&text).and_then(|table| draw(&table)).unwrap_err().to_string();
            assert!(found.contains(error), "{found}");
        }
    }

    #[test]
    fn no_two_states_overlap_and_all_are_on_the_page() {
        for (index, one) in PLACES.iter().enumerate() {
            assert!(
                one.x > BOX_WIDTH / 2
                    && one.x + BOX_WIDTH / 2 < WIDTH
                    && one.y + BOX_HEIGHT / 2 < HEIGHT - 50
            );
            for other in PLACES.iter().skip(index + 1) {
                let apart = one.x.abs_diff(other.x) > BOX_WIDTH || one.y.abs_diff(other.y) > BOX_HEIGHT;
                assert!(apart, "{} and {}", one.state, other.state);
            }
        }
    }
}

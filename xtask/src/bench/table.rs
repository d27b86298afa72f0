//! The table in docs/performance.md.

use std::fmt::Write;

use super::figures::{Better, FIGURES, Figure, Measured, Side};

/// The table as Markdown, below what it is of; lines without any figure are left out.
pub(super) fn render(measured: &Measured, description: &str) -> String {
    let mut text = format!(
        "{description}\n\n| | netloom | kernel | smoltcp | mirror | netloom / kernel | netloom / smoltcp | smoltcp / kernel | mirror / kernel |\n|---|---|---|---|---|---|---|---|---|\n"
    );
    for figure in FIGURES {
        let medians = Side::ALL.map(|side| measured.median(side, figure));
        if medians.iter().all(Option::is_none) {
            continue;
        }
        let [netloom, kernel, smoltcp, mirror] = medians.map(|value| cell(value, figure.digits));
        let ratio = |side: Side, to: Side| match figure.better {
            Better::One => "-".to_owned(),
            Better::More | Better::Less => cell(measured.ratio(side, to, figure), 2),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {netloom} | {kernel} | {smoltcp} | {mirror} | {} | {} | {} | {} |",
            name(figure),
            ratio(Side::Netloom, Side::Kernel),
            ratio(Side::Netloom, Side::Smoltcp),
            ratio(Side::Smoltcp, Side::Kernel),
            ratio(Side::Mirror, Side::Kernel)
        );
    }
    text
}

fn name(figure: &Figure) -> String {
    let less = if figure.better == Better::Less { ", less is better" } else { "" };
    let unit = if figure.unit.is_empty() { String::new() } else { format!(", {}", figure.unit) };
    format!("{}{unit}{less}", figure.title)
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_medians_and_ratios() {
        let mut measured = Measured::default();
        measured.add(Side::Netloom, "ping", "p50_us 12\n");
        measured.add(Side::Kernel, "ping", "p50_us 4\n");
        measured.add(Side::Netloom, "bulk-up-8", "jain 0.99\n");
        let text = render(&measured, "measured");
        assert!(text.starts_with("measured\n\n| | netloom |"), "{text}");
        assert!(
            text.contains(
                "\n| ping, half within, us, less is better | 12 | 4 | - | - | 3.00 | - | - | - |\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("\n| upload, 8 streams, Jain's index | 0.990 | - | - | - | - | - | - | - |\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 6, "{text}");
    }
}

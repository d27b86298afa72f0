//! The chart docs/performance.svg: how many times the kernel's figure each stack reaches, on a scale of doublings.

use std::fmt::Write;

use super::figures::{Better, FIGURES, Figure, Measured, Side};

const WIDTH: u32 = 860;
const TOP: u32 = 92;
const LINE_HEIGHT: u32 = 30;
/// Where the scale begins and ends.
const SCALE: (f64, f64) = (330.0, 830.0);
/// Doublings to each side of the kernel; what lies beyond ends at the edge, with its figure.
const DOUBLINGS: f64 = 4.0;

const STYLE: &str = "\
text{font-family:ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px;fill:#1f2328}\
.page{fill:#ffffff}.title{font-size:15px;font-weight:600}.name{text-anchor:end}.tick{text-anchor:middle;fill:#57606a}\
.grid{stroke:#d0d7de}.kernel{stroke:#1f2328;stroke-width:1.5}.netloom{fill:#2da44e}.smoltcp{fill:#8c959f}.left{text-anchor:end}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.tick{fill:#9da7b1}.grid{stroke:#30363d}\
.kernel{stroke:#e6edf3}.netloom{fill:#3fb950}.smoltcp{fill:#6e7781}}";

/// The chart of all figures that have a ratio.
pub(super) fn draw(measured: &Measured) -> String {
    let figures: Vec<&Figure> = FIGURES
        .iter()
        .filter(|figure| {
            figure.better != Better::One && measured.ratio(Side::Netloom, Side::Kernel, figure).is_some()
        })
        .collect();
    let lines = u32::try_from(figures.len()).unwrap_or(0);
    let height = TOP + LINE_HEIGHT * lines + 20;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title\">\n\
         <!-- Drawn by `cargo xtask bench`. -->\n\
         <title id=\"title\">netloom and smoltcp as multiples of the kernel</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"12\"/>\n\
         <text class=\"title\" x=\"24\" y=\"32\">How many times as good as the kernel over veth: right is better</text>\n\
         <rect class=\"netloom\" x=\"24\" y=\"46\" width=\"12\" height=\"12\"/><text x=\"42\" y=\"56\">netloom</text>\n\
         <rect class=\"smoltcp\" x=\"110\" y=\"46\" width=\"12\" height=\"12\"/><text x=\"128\" y=\"56\">smoltcp</text>\n"
    );
    draw_scale(&mut svg, height);
    for (line, figure) in (0..).zip(figures) {
        let y = TOP + LINE_HEIGHT * line;
        // A line without a unit of its own continues the load above it, which a picture does not show.
        let title = title_alone(figure);
        let _ =
            writeln!(svg, "<text class=\"name\" x=\"{}\" y=\"{}\">{title}</text>", SCALE.0 - 60.0, y + 15);
        draw_bar(&mut svg, y + 3, "netloom", goodness(measured, Side::Netloom, figure));
        draw_bar(&mut svg, y + 14, "smoltcp", goodness(measured, Side::Smoltcp, figure));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The figure's title where no other line stands above it.
fn title_alone(figure: &Figure) -> String {
    match figure.title.strip_prefix("the same") {
        Some(rest) => format!("{}{rest}", figure.row),
        None => figure.title.to_owned(),
    }
}

/// How many times as good as the kernel: of what should be little, the kernel's share of it.
fn goodness(measured: &Measured, side: Side, figure: &Figure) -> Option<f64> {
    let ratio = measured.ratio(side, Side::Kernel, figure).filter(|ratio| *ratio > 0.0)?;
    Some(if figure.better == Better::Less { ratio.recip() } else { ratio })
}

/// Where a multiple of the kernel stands.
fn place(multiple: f64) -> f64 {
    let (left, right) = SCALE;
    let doublings = multiple.log2().clamp(-DOUBLINGS, DOUBLINGS);
    left + (right - left) * (doublings + DOUBLINGS) / (2.0 * DOUBLINGS)
}

fn draw_scale(svg: &mut String, height: u32) {
    for (multiple, label) in [
        (0.0625, "1/16"),
        (0.125, "1/8"),
        (0.25, "1/4"),
        (0.5, "1/2"),
        (1.0, "kernel"),
        (2.0, "2"),
        (4.0, "4"),
        (8.0, "8"),
        (16.0, "16"),
    ] {
        let x = place(multiple);
        let class = if label == "kernel" { "kernel" } else { "grid" };
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{}\">{label}</text>",
            TOP - 4,
            height - 16,
            TOP - 10
        );
    }
}

fn draw_bar(svg: &mut String, y: u32, class: &str, multiple: Option<f64>) {
    let Some(multiple) = multiple else { return };
    let (middle, end) = (place(1.0), place(multiple));
    let (x, width) = (middle.min(end), (middle - end).abs().max(1.0));
    let (side, label) = if end < middle { ("left", end - 4.0) } else { ("right", end + 4.0) };
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"10\"/>\
         <text class=\"{side}\" x=\"{label:.1}\" y=\"{}\">{multiple:.2}</text>",
        y + 9
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_the_middle_and_doublings_are_even() {
        let middle = f64::midpoint(SCALE.0, SCALE.1);
        assert!((place(1.0) - middle).abs() < 1e-9);
        assert!((place(2.0) - middle - (middle - place(0.5))).abs() < 1e-9);
        assert!((place(1e9) - SCALE.1).abs() < 1e-9);
    }

    #[test]
    fn a_title_that_goes_on_from_the_line_above_names_its_row() {
        let titles: Vec<String> = FIGURES.iter().map(title_alone).collect();
        for title in ["rr-1, half within", "HTTP, the same axum application"] {
            assert!(titles.iter().any(|it| it == title), "{title}");
        }
    }

    #[test]
    fn what_should_be_little_is_better_when_it_is() {
        let mut measured = Measured::default();
        measured.add(Side::Netloom, "ping", "p50_us 2\n");
        measured.add(Side::Kernel, "ping", "p50_us 4\n");
        let svg = draw(&measured);
        assert!(svg.contains(">2.00</text>"), "{svg}");
        assert_eq!(svg.matches("class=\"netloom\"").count(), 2, "{svg}");
    }
}

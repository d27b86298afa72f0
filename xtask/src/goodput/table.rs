//! The figures of a run, their medians, and the tables that are made of them.

use std::fmt::Write;

use crate::report::median;

/// One link: Mb/s of each round.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// From kernel to kernel.
    pub(super) kernel: Vec<f64>,
    /// The same the other way.
    pub(super) kernel_back: Vec<f64>,
    /// From netloom to the kernel.
    pub(super) sending: Vec<f64>,
    /// From the kernel to netloom.
    pub(super) receiving: Vec<f64>,
}

impl Row {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, kernel: Vec::new(), kernel_back: Vec::new(), sending: Vec::new(), receiving: Vec::new() }
    }
}

/// Two flows that share a bottleneck: Mb/s of each, in each round.
pub(super) struct FairRow {
    pub(super) name: &'static str,
    pub(super) runs: Vec<Vec<f64>>,
}

impl FairRow {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, runs: Vec::new() }
    }
}

/// Jain's index of fairness: 1 if all have the same, 1/n if one has all.
pub(super) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let count = u32::try_from(shares.len()).unwrap_or(u32::MAX);
    if squares > 0.0 { sum * sum / (f64::from(count) * squares) } else { 0.0 }
}

/// The tables as Markdown, below what they are of.
pub(super) fn render(rows: &[Row], fair: &[FairRow], description: &str) -> String {
    let mut text = format!("{description}\n");
    if !rows.is_empty() {
        text.push_str(
            "\n| faults | kernel to kernel | netloom to kernel | kernel to kernel, back | kernel to netloom, back |\n\
             |---|---|---|---|---|\n",
        );
    }
    for Row { name, kernel, kernel_back, sending, receiving } in rows {
        let kernel = median(kernel.iter().copied());
        let kernel_back = median(kernel_back.iter().copied());
        let cell = |figures: &[f64], kernel: f64| {
            let figure = median(figures.iter().copied());
            let ratio = if kernel > 0.0 { figure / kernel } else { 0.0 };
            format!("{figure:.1} ({ratio:.2})")
        };
        // Writing to a String cannot fail.
        let (sent, received) = (cell(sending, kernel), cell(receiving, kernel_back));
        let _ = writeln!(text, "| {name} | {kernel:.1} | {sent} | {kernel_back:.1} | {received} |");
    }
    if !fair.is_empty() {
        text.push_str(
            "\nTwo flows for 30 seconds over a bottleneck of 100 Mb/s, 20 ms there and back that swing by 60 us each way, a \
             queue of 170 packets:\n\n\
             | flows | Mb/s of each | Jain's index |\n|---|---|---|\n",
        );
    }
    for FairRow { name, runs } in fair {
        let count = runs.first().map_or(0, Vec::len);
        let shares: Vec<String> = (0..count)
            .map(|place| median(runs.iter().filter_map(|run| run.get(place).copied())))
            .map(|share| format!("{share:.1}"))
            .collect();
        let index = median(runs.iter().map(|run| jain(run)));
        let _ = writeln!(text, "| {name} | {} | {index:.3} |", shares.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_judged_by_jains_index() {
        assert!((jain(&[50.0, 50.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[100.0, 0.0]) - 0.5).abs() < 1e-9);
        assert!((jain(&[75.0, 25.0]) - 0.8).abs() < 1e-9);
        assert!(jain(&[]).abs() < 1e-9);
    }

    #[test]
    fn tables_hold_medians_and_ratios() {
        let row = Row {
            name: "loss 1%",
            kernel: vec![6.0, 100.0, 4.0],
            kernel_back: vec![4.0],
            sending: vec![12.0, 9.0, 1.0],
            receiving: vec![3.0; 3],
        };
        let fair = FairRow { name: "both", runs: vec![vec![60.0, 40.0], vec![50.0, 50.0], vec![50.0, 50.0]] };
        let text = render(&[row], &[fair], "measured");
        assert!(text.starts_with("measured\n\n| faults |"), "{text}");
        assert!(text.contains("\n| loss 1% | 6.0 | 9.0 (1.50) | 4.0 | 3.0 (0.75) |\n"), "{text}");
        assert!(text.ends_with("| both | 50.0, 50.0 | 1.000 |\n"), "{text}");
    }
}

//! What came of it, as text for a terminal and as Markdown for people.

use std::fmt::Write as _;

use crate::machine::Machine;

/// What stands below the tables; what targets that are not met, or prove wrong, are about.
const NOTES: &str = include_str!("../notes.md");

pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) sections: Vec<Section>,
}

/// One measure.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// How it was measured.
    pub(crate) how: String,
    /// What the baseline's column holds.
    pub(crate) baseline: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// One figure, beside its baselines.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) baseline: String,
    pub(crate) ratio: String,
    pub(crate) python: String,
    pub(crate) target: String,
    /// Without a target there is none.
    pub(crate) met: Option<bool>,
}

impl Row {
    fn cells(&self) -> [&str; 7] {
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        [&self.what, &self.ours, &self.baseline, &self.ratio, &self.python, &self.target, verdict]
    }
}

impl Section {
    fn heads(&self) -> [&str; 7] {
        ["", "Meanwhile", self.baseline, "ratio", "Python form", "target", ""]
    }

    /// Columns side by side.
    pub(crate) fn as_text(&self) -> String {
        let table: Vec<[&str; 7]> =
            std::iter::once(self.heads()).chain(self.rows.iter().map(Row::cells)).collect();
        let widths: [usize; 7] = std::array::from_fn(|column| {
            table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        });
        let mut text = String::new();
        for row in table {
            let mut line = String::from("    ");
            for (cell, width) in row.into_iter().zip(widths).filter(|(_, width)| *width > 0) {
                line.push_str(&format!("{cell:width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn as_markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n", self.title, wrapped(&self.how));
        text.push_str(&format!("| {} |\n|{}\n", self.heads().join(" | "), "---|".repeat(7)));
        for row in &self.rows {
            text.push_str(&format!("| {} |\n", row.cells().join(" | ")));
        }
        text
    }
}

impl Report {
    pub(crate) const fn new(machine: Machine) -> Self {
        Self { machine, sections: Vec::new() }
    }

    /// How many targets were met, and how many were not.
    pub(crate) fn verdicts(&self) -> (usize, usize) {
        let verdicts = || self.sections.iter().flat_map(|section| &section.rows).filter_map(|row| row.met);
        (verdicts().filter(|met| *met).count(), verdicts().filter(|met| !met).count())
    }

    pub(crate) fn as_markdown(&self) -> String {
        let (met, missed) = self.verdicts();
        let mut text = String::from("# Benchmarks\n\n");
        text.push_str(&wrapped(
            "`cargo xtask bench` measures these figures and writes this file. Each stands beside a baseline \
             that was measured in the same run, in turns with it; compare ratios, not figures, with those of \
             another machine.",
        ));
        text.push('\n');
        let _ = writeln!(text, "{met} targets are met, {missed} are missed.\n");
        text.push_str(&self.machine.as_markdown());
        for section in &self.sections {
            text.push('\n');
            text.push_str(&section.as_markdown());
        }
        text.push('\n');
        text.push_str(NOTES);
        text
    }
}

/// A paragraph in lines of at most 110 characters, as all prose of the repository.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let longer = width + 1 + word.chars().count();
        let fits = width > 0 && longer <= 110;
        if width > 0 {
            lines.push(if fits { ' ' } else { '\n' });
        }
        lines.push_str(word);
        width = if fits { longer } else { word.chars().count() };
    }
    lines + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_at_spaces() {
        let text = format!("{} {} c", "ä".repeat(60), "b".repeat(49));
        assert_eq!(wrapped(&text), format!("{} {}\nc\n", "ä".repeat(60), "b".repeat(49)));
        assert_eq!(wrapped(&"x".repeat(120)), format!("{}\n", "x".repeat(120)));
    }

    #[test]
    fn a_table_is_aligned_and_says_what_is_missed() {
        let row = |what: &str, met| Row { what: what.into(), ours: "1".into(), met, ..Row::default() };
        let section = Section {
            title: "Title",
            how: "How.".into(),
            baseline: "limit",
            rows: vec![row("a", Some(true)), row("longer", Some(false)), row("b", None)],
        };
        let text = section.as_text();
        let lines: Vec<_> = text.lines().collect();
        let column = |line: &str| line.find('1');
        assert_eq!((column(lines[1]), lines.len()), (column(lines[2]), 4), "{text}");
        assert!(lines[2].ends_with("**missed**") && lines[1].ends_with("met"), "{text}");
        assert!(section.as_markdown().contains("\n| longer | 1 |"), "{}", section.as_markdown());
    }
}

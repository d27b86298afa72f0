//! Every requirement with where it is met, and the gate.

use crate::tidy::requirements::{Requirement, Table};

use super::exceptions::{Exception, Exceptions, FILE as EXCEPTIONS};
use super::marks::{Marks, Places};

/// Of these every MUST is met or excepted: the core of TCP.
pub(crate) const GATED: &[&str] = &["9293", "5961", "6298", "5681", "7323", "2018", "8985", "7413"];

/// Every requirement with what became of it, in the table's order.
pub(crate) struct Trace<'a> {
    pub(crate) entries: Vec<Entry<'a>>,
}

pub(crate) struct Entry<'a> {
    pub(crate) requirement: &'a Requirement,
    pub(crate) places: Places,
    pub(crate) exception: Option<&'a Exception>,
}

/// What became of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Cited in code and in a test.
    Met,
    /// Cited in code, and in no test.
    Untested,
    /// Cited in a test, and nowhere in code.
    OnlyTested,
    /// Not met, with a reason.
    Excepted,
    /// Cited nowhere.
    Missing,
}

/// How much a requirement asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// MUST, MUST NOT, and what an RFC requires without such a word.
    Must,
    /// SHOULD and SHOULD NOT.
    Should,
    /// MAY.
    May,
}

impl<'a> Trace<'a> {
    pub(crate) fn join(table: &'a Table, marks: &Marks, exceptions: &'a Exceptions) -> Self {
        let entries = table
            .rows
            .iter()
            .map(|requirement| Entry {
                requirement,
                places: marks.places(&requirement.id),
                exception: exceptions.get(&requirement.id),
            })
            .collect();
        Self { entries }
    }

    /// What is wrong: holes in the gate, exceptions that except nothing.
    pub(crate) fn problems(&self, table: &Table, table_path: &str, exceptions: &Exceptions) -> Vec<String> {
        let holes = self.entries.iter().filter(|entry| entry.is_hole()).map(|entry| {
            let Requirement { id, level, text, section, .. } = entry.requirement;
            format!("{table_path}: [{id}] {level} (section {section}) is {}: {text}", entry.status().word())
        });
        let stale =
            self.entries.iter().filter(|entry| entry.exception.is_some() && entry.is_met()).map(|entry| {
                format!("{EXCEPTIONS}: [{}] is met, and needs no exception", entry.requirement.id)
            });
        let unknown = exceptions
            .ids()
            .filter(|id| !table.knows(id))
            .map(|id| format!("{EXCEPTIONS}: there is no requirement [{id}]"));
        holes.chain(stale).chain(unknown).collect()
    }
}

impl Entry<'_> {
    fn is_met(&self) -> bool {
        !self.places.code.is_empty() && !self.places.tests.is_empty()
    }

    pub(crate) fn status(&self) -> Status {
        match (self.exception, self.places.code.is_empty(), self.places.tests.is_empty()) {
            (_, false, false) => Status::Met,
            (Some(_), _, _) => Status::Excepted,
            (None, false, true) => Status::Untested,
            (None, true, false) => Status::OnlyTested,
            (None, true, true) => Status::Missing,
        }
    }

    pub(crate) fn weight(&self) -> Weight {
        match self.requirement.level.as_str() {
            "MAY" => Weight::May,
            "SHOULD" | "SHOULD NOT" => Weight::Should,
            _ => Weight::Must,
        }
    }

    /// Whether the gate fails on it: a level word of the RFC's own, not one of our reading.
    fn is_hole(&self) -> bool {
        let is_must = self.requirement.level.starts_with("MUST");
        let is_open = matches!(self.status(), Status::Untested | Status::OnlyTested | Status::Missing);
        is_must && is_open && GATED.contains(&self.requirement.rfc.as_str())
    }
}

impl Status {
    /// As the page says it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Untested => "not tested",
            Self::OnlyTested => "not marked in code",
            Self::Excepted => "excepted",
            Self::Missing => "missing",
        }
    }
}

//! Requirements that are not met, each with its reason: specs/exceptions.tsv.

use std::collections::BTreeMap;

/// Where they stand, from the root of the workspace.
pub(crate) const FILE: &str = "specs/exceptions.tsv";

const HEADER: &str = "id\treason\tdecision";

/// Why a requirement is not met.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) reason: String,
    /// The page that decided it, from the root of the workspace.
    pub(crate) decision: Option<String>,
}

/// Every exception, by the id as it is cited.
#[derive(Debug, Default)]
pub(crate) struct Exceptions(BTreeMap<String, Exception>);

impl Exceptions {
    /// Reads the table, with what is wrong in it; `exists` says whether a page does.
    pub(crate) fn parse(text: &str, exists: &dyn Fn(&str) -> bool) -> (Self, Vec<String>) {
        let mut exceptions = BTreeMap::new();
        let mut problems = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let mut report = |message: &str| problems.push(format!("{FILE}:{}: {message}", index + 1));
            if index == 0 {
                if line != HEADER {
                    report("the first line names the columns: id, reason, decision");
                }
                continue;
            }
            let [id, reason, decision] = line.split('\t').collect::<Vec<_>>()[..] else {
                report("a row has three columns with a tab between them");
                continue;
            };
            if reason.len() < 20 {
                report("an exception says why, in a sentence");
            }
            if !decision.is_empty() && !exists(decision) {
                report("the page of the decision is not there");
            }
            let decision = (!decision.is_empty()).then(|| decision.to_owned());
            let exception = Exception { reason: reason.to_owned(), decision };
            if exceptions.insert(id.to_owned(), exception).is_some() {
                report("the id stands here a second time");
            }
        }
        (Self(exceptions), problems)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Exception> {
        self.0.get(id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

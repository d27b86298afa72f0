//! What was traced, collected: every cause that is counted is traced as often.

use core::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

use crate::tcp::*;

/// An event: its message, the cause that it names, and for how many segments it stands.
#[derive(Debug, Default)]
struct Trace {
    message: String,
    cause: String,
    parts: u64,
}

impl Visit for Trace {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "parts" {
            self.parts = value;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "cause" | "reason" | "fallback" | "now" => self.cause = format!("{value:?}"),
            _ => {}
        }
    }
}

struct Collector(Arc<Mutex<Vec<Trace>>>);

impl Subscriber for Collector {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut trace = Trace { parts: 1, ..Trace::default() };
        event.record(&mut trace);
        self.0.lock().unwrap().push(trace);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// What this thread has traced since this was made.
pub(super) struct Traces {
    seen: Arc<Mutex<Vec<Trace>>>,
    _guard: DefaultGuard,
}

impl Traces {
    pub(super) fn begin() -> Self {
        let seen = Arc::default();
        let guard = tracing::subscriber::set_default(Collector(Arc::clone(&seen)));
        Self { seen, _guard: guard }
    }

    /// How often something was traced, whatever its cause.
    pub(super) fn count(&self, message: &str) -> u64 {
        self.sum(message, None)
    }

    fn sum(&self, message: &str, cause: Option<&str>) -> u64 {
        let seen = self.seen.lock().unwrap();
        let is_meant = |it: &&Trace| it.message == message && cause.is_none_or(|cause| it.cause == cause);
        seen.iter().filter(is_meant).map(|it| it.parts).sum()
    }

    /// Every cause was traced as often as it was counted, from the first event on.
    #[track_caller]
    pub(super) fn assert_as_counted(&self, counters: &TcpCounters) {
        let check = |message: &str, cause: &str, counted: u64| {
            assert_eq!(self.sum(message, Some(cause)), counted, "traced and counted: {message}, {cause}");
        };
        for &cause in RetransmitCause::ALL {
            check("sent again", cause.name(), counters.retransmits(cause));
        }
        for &cause in SendBlockedBy::ALL {
            check("blocked by", cause.name(), counters.blocked(cause));
        }
        for &cause in FastOpenFallback::ALL {
            check("not opened fast", cause.name(), counters.fast_open_fallbacks(cause));
        }
        for &cause in EndReason::ALL {
            check("over", cause.name(), counters.ended(cause));
        }
        for &cause in IcmpIgnored::ALL {
            check("ICMP error ignored", cause.name(), counters.icmp_ignored(cause));
        }
        for &cause in RtoCause::ALL {
            check("timeout", cause.name(), counters.timeouts(cause));
        }
        for &cause in ProbeCause::ALL {
            check("probe", cause.name(), counters.probes(cause));
        }
        for &cause in ResetCause::ALL {
            check("reset", cause.name(), counters.resets(cause));
        }
        for &cause in ChallengeCause::ALL {
            check("challenge", cause.name(), counters.challenges(cause));
        }
        for (message, counted) in [
            ("challenge limited", counters.challenge_acks_limited.get()),
            ("reply dropped", counters.replies_dropped.get()),
            ("TIME-WAIT evicted", counters.time_wait_evicted.get()),
            ("no memory", counters.memory_refusals.get()),
        ] {
            assert_eq!(self.count(message), counted, "traced and counted: {message}");
        }
    }
}

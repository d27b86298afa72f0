//! TCP as a whole: segments in, segments out, in virtual time.
//!
//! `lab` holds one stack against hand-made segments, `pair` two stacks on a link with faults.
#![expect(clippy::cast_possible_truncation, reason = "tests know their numbers")]

mod answers;
mod auto_cork;
mod buffers;
mod causes;
mod closing;
mod congestion;
mod cookies;
mod cork;
mod deciding;
mod documented;
mod ecn;
mod fast_open;
mod fast_open_pair;

mod handshake;
mod heavy_loss;
mod hostile;
mod icmp;
mod lab;
mod listening;
mod local_ends;
mod loss;
mod options;
mod pair;
mod path_mtu;
mod rack;
mod reading;
mod reductions;
mod robustness;
mod sack;
mod seeded;
mod sharing;
mod stall;
mod states;
mod statistics;
mod super_segments;
mod time_wait;
mod timers;
mod traces;
mod transfer;
mod window;

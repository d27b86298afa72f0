//! Prints TCP's table of states: a line for each input that a state has a rule for, `state<TAB>input<TAB>state`.
#![expect(clippy::disallowed_macros, reason = "it prints a table")]

use netloom_l4_transport::{TcpInput, TcpState, next_state};

fn main() {
    for state in TcpState::ALL {
        for input in TcpInput::ALL {
            if let Ok(next) = next_state(state, input) {
                println!("{state}\t{input:?}\t{next}");
            }
        }
    }
}

//! Every packet script in `scripts/`, over both versions of IP, each a test of its own: `rfc9293/active_open.pkt v4`. It runs
//! against a whole host and one of two shards.
//!
//! `cargo test -p netloom-conformance --test script -- rfc5961` runs those of one folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use libtest_mimic::{Arguments, Failed, Trial};
use netloom_conformance::script::{Family, Script};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut files = Vec::new();
    find_scripts(&root, &mut files).expect("the scripts' folder can be read");
    files.sort();
    assert!(!files.is_empty(), "there are scripts in {}", root.display());
    let trials = files.iter().flat_map(|file| trials_of(&root, file)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn find_scripts(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_scripts(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            files.push(path);
        }
    }
    Ok(())
}

/// Scripts about a bound that each shard has for itself: of two, as many again.
const FOR_A_WHOLE_HOST: &[&str] = &[
    "rfc4987/half_open_handshakes_are_bounded.pkt",
    "rfc9293/full_backlog_ignores_a_syn.pkt",
    "rfc9293/handshake_that_finds_a_full_backlog_waits.pkt",
];

/// A script once for each version of IP that it is for; one that cannot be read is a test that fails.
fn trials_of(root: &Path, file: &Path) -> Vec<Trial> {
    let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
    let script = fs::read_to_string(file)
        .map_err(|error| format!("{name}: {error}"))
        .and_then(|text| Script::parse(&name, &text).map_err(|error| error.to_string()));
    match script {
        Ok(script) => script
            .families()
            .iter()
            .map(|&family| {
                let script = script.clone();
                let shard_counts = if FOR_A_WHOLE_HOST.contains(&name.as_str()) { 1..=1 } else { 1..=2 };
                let version = match family {
                    Family::V4 => "v4",
                    Family::V6 => "v6",
                };
                let run = move |shard_count| {
                    let run = script.run(family, shard_count);
                    run.map_err(|error| Failed::from(format!("shards: {shard_count}; {error}")))
                };
                Trial::test(format!("{name} {version}"), move || shard_counts.into_iter().try_for_each(run))
            })
            .collect(),
        Err(error) => vec![Trial::test(name, move || Err(Failed::from(error)))],
    }
}

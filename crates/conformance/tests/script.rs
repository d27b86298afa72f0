//! Every packet script in `scripts/`, over both versions of IP, each a test of its own: `rfc9293/active_open.pkt v4`. Each
//! runs against a whole host, and against one of two shards, where each packet comes to the wrong one and is handed over.
//!
//! `cargo test -p netloom-conformance --test script -- rfc5961` runs those of one folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use libtest_mimic::{Arguments, Failed, Trial};
use netloom_conformance::script::{Family, Script};

/// Of how many shards the hosts are.
const SHARD_COUNTS: [u16; 2] = [1, 2];

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
                let version = match family {
                    Family::V4 => "v4",
                    Family::V6 => "v6",
                };
                Trial::test(format!("{name} {version}"), move || {
                    SHARD_COUNTS.iter().try_for_each(|&count| {
                        script
                            .run(family, count)
                            .map_err(|error| format!("of {count} shards: {error}").into())
                    })
                })
            })
            .collect(),
        Err(error) => vec![Trial::test(name, move || Err(Failed::from(error)))],
    }
}

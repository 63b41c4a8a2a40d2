//! The simulator held against the provider's own client library and types.
//!
//! `tests/official/setup.sh` installs them. Whatever is missing fails the test; nothing is skipped.
#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap is what it found")]

use std::path::{Path, PathBuf};
use std::process::Command;

use stripe_sim::{Options, Sim};

const MISSING: &str = "what the simulator is held against is missing: run `cargo xtask test`, which installs it";

fn tools() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(".tools/stripe-sim");
    assert!(path.join("node_modules/stripe").exists(), "{MISSING}");
    path
}

/// What it printed, both ways, when it succeeded.
fn output(command: &mut Command) -> String {
    let output = command.current_dir(tools()).output().unwrap_or_else(|it| panic!("{command:?}: {it}; {MISSING}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{said}");
    said
}

#[test]
fn the_official_client_and_its_types_find_nothing_wrong() {
    let sim = Sim::start(&Options::default()).unwrap();
    let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official/flows.mjs");
    // The compiler looks for packages beside and above the file.
    let recorded = tools().join("recorded.mts");
    let said = output(Command::new("node").arg(flows).arg(sim.url()).arg("whsec_official").arg(&recorded));
    assert!(said.contains("objects of"), "{said}");
    let (is_right, said) = compiles(&recorded);
    assert!(is_right, "{said}");

    // And the types would have found something: a member by another name, and one that is left out.
    let text = std::fs::read_to_string(&recorded).unwrap();
    for (member, other) in [("\"amount_received\"", "\"amount_taken\""), ("\"payment_status\": \"paid\",", "")] {
        let spoiled = tools().join("spoiled.mts");
        std::fs::write(&spoiled, text.replace(member, other)).unwrap();
        assert!(!compiles(&spoiled).0, "{member} is not missed");
    }
}

/// Whether the compiler agrees, and what it said.
fn compiles(file: &Path) -> (bool, String) {
    let settings = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--types", "node"];
    let mut tsc = Command::new("node");
    tsc.current_dir(tools()).arg("node_modules/typescript/bin/tsc").args(settings).arg(file);
    let output = tsc.output().unwrap_or_else(|it| panic!("{it}; {MISSING}"));
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

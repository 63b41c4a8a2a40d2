//! The HTTP API against its own OpenAPI document: schemathesis generates requests, good and bad, and checks that
//! every answer is one the document promises.
//!
//! Invariants: the same code gives the same requests (fixed seed, no store of earlier examples); nothing leaves the
//! loopback; the run ends within `TIME_MAX`.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::process::{self, Outcome, Problem, command, root};
use crate::served::{Scratch, Served};
use crate::setup;

const TIME_MAX: Duration = Duration::from_secs(240);

/// Chosen so that the whole API fits well into `TIME_MAX` on two cores.
const EXAMPLES_PER_OPERATION: &str = "25";
const SEED: &str = "20260101";

/// Everything schemathesis can check but for three:
/// - `positive_data_acceptance`: a well-formed request may be refused for a reason no schema knows (402, 404, 409);
/// - `use_after_free`: what is deleted here keeps its history and can still be read;
/// - `object_level_authorization`: asks for two users, and a key of the platform may act for every account.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,missing_required_header,\
    unsupported_method,allow_header_conformance,ensure_resource_availability,ignored_auth";

/// Those that xtask/schemathesis/config.toml counts on.
const ACCOUNTS: &[&str] = &["acme", "doomed"];

pub fn run() -> Outcome {
    let program = setup::schemathesis()?;
    let scratch = Scratch::new()?;
    let served = Served::start_selling()?;
    for account in ACCOUNTS {
        register(&served, account)?;
    }
    let child = command(&program)
        .arg("--config-file")
        .arg(root().join("xtask/schemathesis/config.toml"))
        .args(["run", &format!("{}/openapi.json", served.url())])
        .args(["--header", &format!("Authorization: Bearer {}", served.key())])
        .args(["--checks", CHECKS, "--continue-on-failure"])
        .args(["--seed", SEED, "--generation-database", "none"])
        .args(["--max-examples", EXAMPLES_PER_OPERATION, "--request-timeout", "10", "--max-redirects", "0"])
        // It streams until the client goes, so a generated request would only wait; `tests/it` follows it.
        .args(["--exclude-operation-id", "followAccount"])
        .args(["--suppress-health-check", "all", "--no-color"])
        // What it keeps goes away.
        .current_dir(scratch.path())
        .env("NO_PROXY", "*")
        .spawn()
        .map_err(|error| Problem::new(format!("cannot run {}: {error}", program.display())))?;
    match ended_in_time(child)? {
        Ending::Passed => Ok(()),
        Ending::Failed => Err(Problem::new(format!(
            "schemathesis found answers that the OpenAPI document does not promise (above). The server said:\n{}",
            served.log_tail()
        ))),
        Ending::Unusable => {
            Err(Problem::new(format!("schemathesis could not test (above). The server said:\n{}", served.log_tail())))
        }
        Ending::TookTooLong => Err(Problem::new(format!(
            "schemathesis was stopped after {} seconds: an operation has become slow, or EXAMPLES_PER_OPERATION in \
             xtask/src/schemathesis.rs is too high for so many operations",
            TIME_MAX.as_secs()
        ))),
    }
}

fn register(served: &Served, account: &str) -> Outcome {
    let profile = r#"{"name":"Acme","email":"billing@acme.example","currency":"eur","timezone":"Europe/Berlin"}"#;
    process::run(
        command("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--output", "/dev/null", "--request", "PUT"])
            .args(["--header", &format!("Authorization: Bearer {}", served.key())])
            .args(["--header", "Content-Type: application/json", "--data", profile])
            .arg(format!("{}/v1/accounts/{account}", served.url())),
    )
}

enum Ending {
    Passed,
    Failed,
    /// It did not get to testing.
    Unusable,
    TookTooLong,
}

fn ended_in_time(mut child: Child) -> Outcome<Ending> {
    let started = Instant::now();
    loop {
        let status = child.try_wait().map_err(|error| Problem::new(format!("lost sight of schemathesis: {error}")))?;
        match status {
            Some(status) if status.success() => return Ok(Ending::Passed),
            Some(status) if status.code() == Some(1) => return Ok(Ending::Failed),
            Some(_) => return Ok(Ending::Unusable),
            None if TIME_MAX < started.elapsed() => {
                // It may have ended by itself since the last look, which comes to the same.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Ending::TookTooLong);
            }
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

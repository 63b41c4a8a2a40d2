//! Files into a running server, as they are typed: looked at first, interrupted, sent again; each row done once.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::served::{ADMIN, Served};

struct Desk {
    served: Served,
    directory: TempDir,
}

impl Desk {
    fn open() -> Desk {
        let served = Served::sandbox();
        assert_eq!(served.post("/v1/test-clock/advance", "", &json!({"to": "2031-03-10T12:00:00Z"})).status, 200);
        Desk { served, directory: TempDir::new().unwrap() }
    }
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
    fn command(&self, what: &str, file: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip"));
        command.args(["import", what]).arg(file).args(more).env("SCRIP_URL", &self.served.url).env("SCRIP_KEY", ADMIN);
        command
    }
    fn import(&self, what: &str, file: &Path, more: &[&str]) -> Output {
        self.command(what, file, more).output().unwrap()
    }
    /// The same as JSON, whether or not rows were refused.
    fn tally(&self, what: &str, file: &Path, more: &[&str]) -> Value {
        let output = self.import(what, file, &[more, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
    }
    fn used(&self, account: &str) -> Value {
        self.served.get(&format!("/v1/accounts/{account}/usage?from=2031-02-01T00:00:00Z")).json()["total"].clone()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn counts(tally: &Value) -> [u64; 4] {
    ["rows", "accepted", "duplicates", "refused"].map(|it| tally[it].as_u64().unwrap())
}

const HEADER: &str = "account,project,meter,at,dimensions.model,quantities.input_tokens,idempotency_key\n";

fn row(number: u64) -> String {
    // A credit each, one every few minutes from the first of March.
    let at = "2031-03-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap()
        + jiff::SignedDuration::from_mins(i64::try_from(number).unwrap());
    format!("ada,shop,ai_chat,{at},gpt-6.1-terra,8000,k{number}\n")
}

#[test]
fn bad_rows_stop_no_good_ones_and_are_reported_with_their_line() {
    let desk = Desk::open();
    desk.served.account("ada");
    let mut csv = HEADER.to_owned();
    csv.push_str(&row(1));
    csv.push_str("ada,shop,ai_chat,2031-03-01T00:00:00Z,gpt-0,8000,k2\n");
    csv.push_str("nobody,shop,ai_chat,2031-03-01T00:00:00Z,gpt-6.1-terra,8000,k3\n");
    csv.push_str("ada,shop,ai_chat,2031-03-01T00:00:00Z,gpt-6.1-terra,many,k4\n");
    csv.push_str("ada,shop,ai_chat\n");
    csv.push_str("ada,\"a project, \"\"quoted\"\"\",ai_chat,2031-03-01T00:00:00Z,gpt-6.1-terra,8000,k6\n");
    csv.push_str("ada,shop,ai_chat,2031-01-01T00:00:00Z,gpt-6.1-terra,8000,k7\n");
    csv.push_str(&row(8));
    let file = desk.file("march.csv", &csv);
    // Looked at first: nothing happens, and nothing is left behind but the report.
    let rehearsed = desk.tally("usage", &file, &["--dry-run"]);
    // (How late row 8 is only its server knows.)
    assert_eq!((counts(&rehearsed), &rehearsed["credits"]), ([8, 3, 0, 5], &json!("3")), "{rehearsed}");
    assert_eq!(desk.used("ada"), "0");
    let strict = desk.import("usage", &file, &["--strict"]);
    assert_eq!(strict.status.code(), Some(1));
    assert!(text(&strict.stderr).contains("line 3: `dimensions.model` has no price for `gpt-0`"));
    assert!(text(&strict.stderr).contains("nothing was sent"));
    assert_eq!(desk.used("ada"), "0");

    let output = desk.import("usage", &file, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("6 of 8 rows refused"), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).starts_with("8 rows: 2 charged, 0 done before, 6 refused\n2 credits"),
        "{}",
        text(&output.stdout)
    );
    let report = std::fs::read_to_string(desk.directory.path().join("march.csv.errors.csv")).unwrap();
    let lines: Vec<Vec<&str>> = report.lines().map(|it| it.splitn(4, ',').collect()).collect();
    let seen: Vec<[&str; 3]> = lines.iter().map(|it| [it[0], it[1], it[2]]).collect();
    assert_eq!(
        seen,
        [
            ["line", "code", "field"],
            ["3", "unpriced", "dimensions.model"],
            ["4", "account_not_found", ""],
            ["5", "invalid_request", "quantities.input_tokens"],
            ["6", "invalid_row", ""],
            ["7", "invalid_request", "project"],
            ["8", "invalid_request", "at"],
        ],
        "{report}"
    );
    assert_eq!(desk.used("ada"), "2");
    // Mended in place and sent again, what was done is not done again. Work is counted when it happened.
    let file = desk.file("march.csv", &csv.replace("gpt-0", "gpt-6.1-terra"));
    let again = desk.tally("usage", &file, &[]);
    assert_eq!((counts(&again), &again["credits"]), ([8, 1, 2, 5], &json!("1")));
    let days = desk.served.get("/v1/accounts/ada/usage?from=2031-02-01T00:00:00Z&interval=day").json();
    assert_eq!(days["buckets"][0]["start"], "2031-03-01T00:00:00.000Z");
    assert_eq!((days["buckets"].as_array().unwrap().len(), &days["total"]), (1, &json!("3")));
}

#[test]
fn an_import_that_is_killed_goes_on_and_does_each_row_once() {
    let desk = Desk::open();
    desk.served.account("ada");
    let grant = json!({"credits": "100000", "source": "adjustment", "reason": "x"});
    assert_eq!(desk.served.post("/v1/accounts/ada/grants", "g", &grant).status, 201);
    let rows = 4_000;
    let csv: String = std::iter::once(HEADER.to_owned()).chain((0..rows).map(row)).collect();
    let file = desk.file("big.csv", &csv);
    let mut child =
        desk.command("usage", &file, &["--batch", "20"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let progress = desk.directory.path().join("big.csv.import.json");
    let began = Instant::now();
    // As soon as it has come some way.
    while desk.used("ada") == "0" || !progress.is_file() {
        assert!(began.elapsed().as_secs() < 60);
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let used: u64 = desk.used("ada").as_str().unwrap().parse().unwrap();
    assert!(0 < used && used < rows, "{used} of {rows} were done");
    let kept: Value = serde_json::from_slice(&std::fs::read(&progress).unwrap()).unwrap();
    assert!(0 < kept["offset"].as_u64().unwrap());
    let finished = desk.tally("usage", &file, &["--batch", "1000"]);
    assert_eq!(finished["rows"], rows, "{finished}");
    assert_eq!(finished["refused"], 0);
    assert_eq!(desk.used("ada"), rows.to_string());
    assert!(!progress.exists(), "nothing is left to go on with");
    // And once more from the beginning.
    assert_eq!(counts(&desk.tally("usage", &file, &[])), [rows, 0, rows, 0]);
    assert_eq!(desk.used("ada"), rows.to_string());
}

/// What the server alone can refuse, in the midst of a group: there it stops with nothing done after it, and goes on
/// when the row was mended.
#[test]
fn a_strict_import_stops_at_the_row_that_was_refused() {
    let desk = Desk::open();
    desk.served.account("ada");
    // More than there is.
    let dear = row(4).replace(",8000,", ",80000000,");
    let csv = [HEADER.to_owned(), row(1), row(2), row(3), dear, row(5), row(6)].concat();
    let file = desk.file("strict.csv", &csv);
    let import = |more: &[&str]| desk.import("usage", &file, &[&["--strict", "--batch", "3"], more].concat());
    for _ in 0..2 {
        let stopped = import(&[]);
        assert_eq!(stopped.status.code(), Some(1));
        assert!(text(&stopped.stderr).contains("stopped at line 5"), "{}", text(&stopped.stderr));
        let kept = std::fs::read(desk.directory.path().join("strict.csv.import.json")).unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        assert_eq!((&kept["line"], &kept["tally"]["rows"]), (&json!(5), &json!(3)));
    }
    // None of those after it was done.
    assert_eq!(desk.used("ada"), "3");
    // Before the row it stopped at, nothing may have moved: half a row is nobody's work.
    desk.file("strict.csv", &csv.replace("shop", "a-longer-name"));
    let refused = import(&[]);
    assert!(text(&refused.stderr).contains("no longer what it was up to line 5"), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("--anew"));
    assert_eq!(desk.used("ada"), "3");
    desk.file("strict.csv", &csv.replace(",80000000,", ",8000,"));
    let done = desk.tally("usage", &file, &["--strict", "--batch", "3"]);
    assert_eq!((counts(&done), desk.used("ada")), ([6, 6, 0, 0], json!("6")));
    assert!(!desk.directory.path().join("strict.csv.errors.csv").exists(), "nothing is wrong any more");
    assert_eq!(counts(&desk.tally("usage", &file, &["--anew"])), [6, 0, 6, 0]);
    // Nor is any account registered where one is wrong.
    assert_eq!(desk.served.put("/v1/accounts/old", &json!({"currency": "eur"})).status, 201);
    let file = desk.file("people.csv", "account,email\nnew,a@example.com\nold,nobody\nnewer,b@example.com\n");
    let stopped = desk.import("accounts", &file, &["--strict"]);
    assert!(text(&stopped.stderr).contains("line 3: `email` must be"), "{}", text(&stopped.stderr));
    assert_eq!(desk.served.get("/v1/accounts/new").status, 404);
}

/// Accounts are looked up for it, each once.
#[test]
fn a_dry_run_knows_who_has_an_account() {
    let desk = Desk::open();
    desk.served.account("ada");
    desk.served.account("eve");
    assert_eq!(desk.served.post("/v1/accounts/eve/close", "c", &json!({})).status, 201);
    let csv = [HEADER.to_owned(), row(1), row(2).replace("ada", "eve"), row(3).replace("ada", "bob"), row(4)].concat();
    let file = desk.file("who.csv", &csv);
    assert_eq!(counts(&desk.tally("usage", &file, &["--dry-run"])), [4, 2, 0, 2]);
    let strict = desk.import("usage", &file, &["--strict"]);
    assert!(text(&strict.stderr).contains("line 3: the account is closed"), "{}", text(&strict.stderr));
    assert_eq!(counts(&desk.tally("usage", &file, &[])), [4, 2, 0, 2]);
    let file = desk.file("people.csv", "account,email\nada,a@example.com\neve,e@example.com\nbob,b@example.com\n");
    assert_eq!(counts(&desk.tally("accounts", &file, &["--dry-run"])), [3, 1, 1, 1]);
    assert_eq!(counts(&desk.tally("accounts", &file, &[])), [3, 1, 1, 1]);
}

#[test]
fn rows_without_a_name_are_named_by_what_they_say() {
    let desk = Desk::open();
    desk.served.account("ada");
    let line = |points: u64| {
        json!({"account": "ada", "meter": "infra_plan", "quantities": {"points": points}, "at": "2031-03-02T10:00:00Z"})
            .to_string()
    };
    let file = desk.file("plans.ndjson", &format!("{}\n\n{}\n{}\nnot json\n", line(8), line(8), line(30)));
    let done = desk.tally("usage", &file, &[]);
    assert_eq!((counts(&done), &done["credits"]), ([4, 3, 0, 1], &json!("45")));
    assert_eq!(counts(&desk.tally("usage", &file, &[])), [4, 0, 3, 1]);
    // What says something else is other work.
    let file = desk.file("plans.ndjson", &format!("{}\n\n{}\n{}\n", line(8), line(9), line(30)));
    assert_eq!(counts(&desk.tally("usage", &file, &[])), [3, 1, 2, 0]);
    // Where a row stands says nothing of it, nor do those that are gone and those that are new.
    let rows = [line(30), line(7), line(8), line(9), line(8), line(8)];
    let file = desk.file("plans.ndjson", &format!("not json\n{}\n", rows.join("\n")));
    assert_eq!(counts(&desk.tally("usage", &file, &[])), [7, 2, 4, 1]);
    // Another month may say the same, and so has another name.
    let file = desk.file("april.ndjson", &format!("{}\n", line(8)));
    assert_eq!(counts(&desk.tally("usage", &file, &[])), [1, 1, 0, 0]);
    // A column of another name.
    let row = |event: &str| format!("ada,infra_plan,8,2031-03-02T10:00:00Z,{event}\n");
    let csv = format!("account,meter,quantities.points,at,event\n{}{}{}", row("e1"), row("e1"), row(""));
    let file = desk.file("events.csv", &csv);
    assert_eq!(counts(&desk.tally("usage", &file, &["--key-column", "event"])), [3, 1, 1, 1]);
    let unknown = desk.import("usage", &file, &[]);
    assert!(text(&unknown.stderr).contains("a column `event`"), "{}", text(&unknown.stderr));
}

#[test]
fn accounts_bring_their_balance_along_once() {
    let desk = Desk::open();
    let mut csv = "account,name,email,currency,timezone,credits,address.country\n".to_owned();
    for number in 0..120 {
        let _ = writeln!(csv, "acct_{number},Customer {number},c{number}@example.com,eur,Europe/Vilnius,{number}.5,LT");
    }
    csv.push_str("acct_x,X,x@example.com,eur,Europe/Atlantis,,\nacct_y,Y,,euro,,,\na b,Z,,,,,\nacct_z,Z,,,,-3,\n");
    csv.push_str("acct_v,V,nobody,,,,\nacct_w,W,w@example.com,,,,XX\n");
    let file = desk.file("customers.csv", &csv);
    let rehearsed = desk.tally("accounts", &file, &["--dry-run"]);
    assert_eq!(counts(&rehearsed), [126, 120, 0, 6]);
    assert_eq!(desk.served.get("/v1/accounts/acct_7").status, 404);
    let done = desk.tally("accounts", &file, &[]);
    assert_eq!((counts(&done), &done["credits"]), ([126, 120, 0, 6], &json!("7200")));
    let account = desk.served.get("/v1/accounts/acct_7").json();
    assert_eq!((&account["name"], &account["address"]), (&json!("Customer 7"), &json!({"country": "LT"})));
    assert_eq!(desk.served.available("acct_7"), "607.5");
    assert_eq!(counts(&desk.tally("accounts", &file, &["--dry-run"])), [126, 0, 120, 6]);
    assert_eq!(counts(&desk.tally("accounts", &file, &[])), [126, 0, 120, 6]);
    assert_eq!(desk.served.available("acct_7"), "607.5");
    let away = Command::new(env!("CARGO_BIN_EXE_scrip")).args(["import", "accounts", "--help"]).output().unwrap();
    assert!(text(&away.stdout).contains("customers.csv:"));
}

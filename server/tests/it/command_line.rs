//! The command line, as it is typed.
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::served::{ADMIN, Served, chat};

fn scrip(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrip"));
    command.env_remove("SCRIP_URL").env_remove("SCRIP_KEY").args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_said(output: &Output) -> Value {
    serde_json::from_str(&said(output)).unwrap()
}

fn failed(output: &Output, status: i32, why: &str) {
    assert_eq!(output.status.code(), Some(status));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(why), "{text}");
}

#[test]
fn artefacts_are_measured_and_priced_without_a_server() {
    let words = ["measure", "chat", "--model", "gpt-6.1-terra", "--text", "What does a B-tree cost?", "--json"];
    let measured = json_said(&scrip(&words));
    assert_eq!(measured["meter"], "ai_chat");
    let tokens = format!("input_tokens={}", measured["quantities"]["input_tokens"]);
    let words = ["quote", "--meter", "ai_chat", "--dimension", "model=gpt-6.1-terra", "--quantity", &tokens, "--json"];
    assert_eq!(json_said(&scrip(&words))["rate_card"], 1);
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("main.rs"), "fn main() {}\n// nothing\n").unwrap();
    let path = directory.path().to_str().unwrap();
    assert_eq!(json_said(&scrip(&["measure", "repository", path, "--json"]))["quantities"]["code_lines"], 1);
    let snapshot = directory.path().join("before.json");
    let snapshot = snapshot.to_str().unwrap();
    let before = json_said(&scrip(&["measure", "repository", path, "--snapshot", snapshot, "--json"]));
    std::fs::write(directory.path().join("lib.rs"), "fn a() {}\nfn b() {}\n").unwrap();
    let since = json_said(&scrip(&["measure", "repository", path, "--since", snapshot, "--json"]));
    assert_eq!((&since["quantities"]["code_lines"], &since["quantities"]["files"]), (&json!(2), &json!(1)));
    assert_eq!(since["dimensions"]["since"], before["dimensions"]["tree"]);
    let forged = std::fs::read_to_string(snapshot).unwrap().replace("main.rs", "mine.rs");
    std::fs::write(snapshot, forged).unwrap();
    failed(&scrip(&["measure", "repository", path, "--since", snapshot]), 1, "is not what --snapshot wrote");
    let mut plan = Command::new(env!("CARGO_BIN_EXE_scrip"))
        .args(["measure", "plan", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    plan.stdin.take().unwrap().write_all(b"services:\n  web:\n    image: nginx\n").unwrap();
    assert!(said(&plan.wait_with_output().unwrap()).contains("infra_plan"));
    failed(&scrip(&["measure", "plan", "/nowhere.json"]), 1, "cannot read /nowhere.json");
    failed(
        &scrip(&["quote", "--meter", "ai_chat", "--dimension", "model=gpt-0", "--quantity", "input_tokens=1"]),
        1,
        "gpt-0",
    );
    failed(&scrip(&["quote", "--meter", "ai_chat", "--quantity", "input_tokens=-1"]), 2, "whole number");
    failed(&scrip(&["meter"]), 2, "meter");
}

/// The example of the help, as it stands there.
#[test]
fn the_lifecycle_in_the_help_is_one() {
    let help = said(&scrip(&["measure", "server", "--help"]));
    assert!(!help.contains("scrip price"), "{help}");
    let (begin, end) = (help.find('{').unwrap(), help.rfind('}').unwrap());
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("lifecycle.json");
    std::fs::write(&path, &help[begin..=end]).unwrap();
    let measured = json_said(&scrip(&["measure", "server", path.to_str().unwrap(), "--json"]));
    let seconds =
        |place: usize| (&measured[place]["dimensions"]["tier"], &measured[place]["quantities"]["runtime_seconds"]);
    assert_eq!(seconds(0), (&json!("business"), &json!(3_600)), "{measured}");
    assert_eq!(seconds(1), (&json!("enterprise"), &json!(7_200)), "{measured}");
}

#[test]
fn reports_are_read_from_a_terminal() {
    let server = Served::start();
    server.account("ada");
    server.charge(&chat("ada", "m1", 8_000));
    let report = |which: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip"));
        let words = ["report", which];
        said(&command.env("SCRIP_URL", &server.url).env("SCRIP_KEY", ADMIN).args(words).output().unwrap())
    };
    let has = |text: &str, lines: &[(&str, &str)]| {
        for (number, what) in lines {
            assert!(text.contains(&format!("{number:>20}  {what}\n")), "{number} {what}: {text}");
        }
    };
    has(&report("ledger"), &[("-600", "issuance:welcome"), ("599", "grants"), ("1", "usage:ai_chat")]);
    has(&report("ledger"), &[("0", "sum, of 3 transactions")]);
    let revenue = report("revenue");
    assert!(revenue.starts_with("Revenue of 20") && revenue.contains("\nCredits used\n"), "{revenue}");
    has(&revenue, &[("600", "welcome"), ("1", "ai_chat"), ("0", "expired"), ("599", "outstanding")]);
    let liability = report("liability");
    assert!(liability.starts_with("Owed to customers at 20"), "{liability}");
    has(&liability, &[("599", "credits outstanding")]);
}

/// Programs read why, too.
#[test]
fn with_json_a_failure_is_json() {
    let told = |words: &[&str]| {
        let output = scrip(words);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true));
        serde_json::from_slice::<Value>(&output.stderr).unwrap()
    };
    let directory = TempDir::new().unwrap();
    let chat = directory.path().join("chat.json");
    std::fs::write(&chat, json!({"model": "m", "usage": {"prompt_tokens": -1}}).to_string()).unwrap();
    let found = told(&["measure", "chat", chat.to_str().unwrap(), "--json"]);
    assert_eq!((&found["code"], &found["field"]), (&json!("invalid_usage"), &json!("usage.prompt_tokens")));
    for (words, code) in [
        (&["measure", "plan", "/dev/null", "--json"][..], "unknown_plan"),
        (&["measure", "plan", "/nowhere", "--json"], "failed"),
        (&["quote", "--meter", "nope", "--json"], "unpriced"),
        (&["balance", "ada", "--json"], "failed"),
        (&["balance", "ada", "--key", "x", "--url", "http://127.0.0.1:1", "--json"], "no_answer"),
        (&["verify", "--data-dir", "/nowhere", "--json"], "failed"),
    ] {
        let found = told(words);
        assert_eq!(found["code"], code);
        assert!(found["detail"].as_str().is_some_and(|it| 10 < it.len()), "{found}");
    }
    let card = directory.path().join("card.toml");
    std::fs::write(&card, "version = 1\n[meters]\nx = 1\n").unwrap();
    let found = told(&["rate-card", "check", card.to_str().unwrap(), "--json"]);
    assert_eq!(found["code"], "invalid_rate_card");
    assert!(found["faults"].as_array().unwrap().iter().any(|it| it["line"] == 3), "{found}");
    // Of what was not understood, too; and who did not ask for JSON reads words.
    for words in
        [&["balance", "--json"][..], &["rate-card", "check", "--json"], &["measure", "--json"], &["x", "--json"]]
    {
        let output = scrip(words);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true), "{words:?}");
        let found: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(found["code"], "misunderstood");
        assert!(found["detail"].as_str().is_some_and(|it| 10 < it.len() && !it.contains('\n')), "{found}");
    }
    failed(&scrip(&["balance", "--", "--json", "x"]), 2, "Usage: scrip balance");
}

/// Where nobody reads any more, nobody is told; and where no terminal is, no bar is drawn.
#[test]
fn closed_ends_and_files_are_no_terminals() {
    let shell = |line: &str| {
        let line = line.replace("scrip", env!("CARGO_BIN_EXE_scrip"));
        Command::new("sh").args(["-c", &line]).output().unwrap()
    };
    assert_eq!(said(&shell("scrip verify --data-dir /nowhere 2>/dev/full; echo $?")), "1\n");
    assert_eq!(shell("{ scrip rate-card show; echo $? >&2; } | true").stderr, b"0\n");
    failed(&shell("scrip rate-card show >/dev/full"), 1, "cannot write to standard output");
    let json = shell(
        "scrip quote --meter ai_chat --dimension model=gpt-6.1-terra --quantity input_tokens=1 --json >/dev/full",
    );
    assert_eq!(serde_json::from_slice::<Value>(&json.stderr).unwrap()["code"], "failed");
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("main.rs"), "fn main() {}\n".repeat(3)).unwrap();
    let path = directory.path().to_str().unwrap();
    let measured = scrip(&["measure", "repository", path]);
    assert!(said(&measured).contains("3  code_lines") && measured.stderr.is_empty());
    let too_many = scrip(&["measure", "repository", path, "--files-max", "0"]);
    failed(&too_many, 1, "more than 0 files; measure a folder of it, or allow more with --files-max and --bytes-max");
    assert!(said(&scrip(&["help", "measure"])).contains("scrip measure repository ."));
}

#[test]
fn a_server_is_asked_from_a_terminal() {
    let server = Served::start();
    server.account("ada");
    let ask = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip"));
        command.env("SCRIP_URL", &server.url).env("SCRIP_KEY", ADMIN).args(words).output().unwrap()
    };
    let charge = [
        "charge",
        "ada",
        "--meter",
        "ai_chat",
        "--dimension",
        "model=gpt-6.1-terra",
        "--quantity",
        "input_tokens=8000",
        "--idempotency-key",
        "m1",
    ];
    assert!(said(&ask(&charge)).contains("1 credits"));
    assert!(said(&ask(&["balance", "ada"])).contains("599  available"));
    let work = ["--meter", "ai_chat", "--dimension", "model=gpt-6.1-terra", "--quantity", "input_tokens=8000"];
    let quoted = said(&ask(&[&["quote", "--account", "ada"], &work[..]].concat()));
    assert!(quoted.contains("\naffordable\nafter it, at this pace used up 20"), "{quoted}");
    assert_eq!(json_said(&ask(&["usage", "ada", "--json"]))["total"], "1");
    failed(&ask(&["balance", "nobody"]), 1, "account_not_found");
    let why: Value = serde_json::from_slice(&ask(&["balance", "nobody", "--json"]).stderr).unwrap();
    assert_eq!((&why["code"], &why["status"]), (&json!("account_not_found"), &json!(404)));
    let rows = server.directory.path().join("rows.ndjson");
    std::fs::write(&rows, format!("{}\n", json!({"account": "ada", "meter": "ai_chat"}))).unwrap();
    for more in [&["--dry-run"][..], &["--strict"], &[]] {
        let words = ["import", "usage", rows.to_str().unwrap(), "--json", "--key", "wrong"];
        let why: Value = serde_json::from_slice(&ask(&[&words[..], more].concat()).stderr).unwrap();
        assert_eq!((&why["code"], &why["status"]), (&json!("unauthenticated"), &json!(401)));
    }
    // What is typed is a name, not a place on the server.
    failed(&ask(&["balance", "../accounts/ada/usage?"]), 1, "(");
    failed(&ask(&["balance", "ada", "--key", "wrong"]), 1, "unauthenticated");
    failed(&ask(&["report", "ledger", "--csv", "--key", "wrong"]), 1, "unauthenticated");
    let directory = TempDir::new().unwrap();
    let card = directory.path().join("card.toml");
    std::fs::write(&card, said(&ask(&["rate-card", "show"]))).unwrap();
    let card = card.to_str().unwrap();
    assert!(said(&ask(&["rate-card", "check", card])).contains("version 1 is whole"));
    let checked = json_said(&ask(&["rate-card", "check", card, "--json"]));
    assert_eq!((&checked["version"], checked["meters"].as_array().unwrap().len()), (&json!(1), 4));
    let shown = json_said(&ask(&["rate-card", "show", "--json"]));
    assert_eq!(shown["meters"], json_said(&ask(&["rate-card", "show", "--in-force", "--json"]))["meters"]);
    assert_eq!(said(&ask(&["rate-card", "diff", card])).trim(), "no price changes");
    failed(&ask(&["rate-card", "upload", card, "--dry-run"]), 1, "version");
    let next = std::fs::read_to_string(card).unwrap().replace("version = 1\n", "version = 2\n");
    std::fs::write(card, next.replace("effective_at = 2026-01-01T", "effective_at = 2099-01-01T")).unwrap();
    let uploaded = |more: &[&str]| json_said(&ask(&[&["rate-card", "upload", card, "--json"], more].concat()));
    let expected = |is_dry_run: bool| {
        let effective_at = "2099-01-01T00:00:00.000Z";
        json!({"version": 2, "effective_at": effective_at, "dry_run": is_dry_run, "differences": []})
    };
    assert_eq!(uploaded(&["--dry-run"]), expected(true));
    // Sent again, as where an answer was lost, it is answered as it was.
    assert_eq!([uploaded(&[]), uploaded(&[])], [expected(false), expected(false)]);
    std::fs::write(card, "version = 1\n[meters]\nx = 1\n").unwrap();
    failed(&ask(&["rate-card", "check", card]), 1, "line 3");
}

/// What stands before a server has errors of its own, which are none of the server's.
#[test]
fn an_answer_of_another_is_no_answer() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
        while head.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let body = r#"{"error":"bad gateway"}"#;
        write!(stream, "HTTP/1.1 502 Bad Gateway\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    let output = scrip(&["balance", "ada", "--key", "x", "--url", &url, "--json"]);
    answering.join().unwrap();
    let why: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((output.status.code(), &why["code"]), (Some(1), &json!("no_answer")));
}

#[test]
fn a_store_is_verified_backed_up_and_restored() {
    let server = Served::start();
    server.account("ada");
    assert_eq!(server.charge(&chat("ada", "m1", 8_000)).status, 201);
    let place = |name: &str| server.directory.path().join(name).to_str().unwrap().to_owned();
    let (live, copy, fresh) = (place("data"), place("copy.db"), place("fresh"));
    // While the server runs: a copy of one moment.
    said(&scrip(&["backup", "--data-dir", &live, &copy]));
    failed(&scrip(&["backup", "--data-dir", &live, &copy]), 1, "exists already");
    assert_eq!(
        json_said(&scrip(&["restore", &copy, "--data-dir", &fresh, "--json"]))["store"],
        format!("{fresh}/scrip.db")
    );
    let report = json_said(&scrip(&["verify", "--data-dir", &fresh, "--json"]));
    assert_eq!((&report["transactions"], &report["difference_count"]), (&json!(3), &json!(0)));
    failed(&scrip(&["verify", "--data-dir", "/nowhere"]), 1, "there is no store");
    // A store is made where it is to be served from, not where a name is misspelt.
    assert!(said(&scrip(&["migrate", "--data-dir", &fresh])).contains("is up to date"));
    let misspelt = place("fersh");
    failed(&scrip(&["migrate", "--data-dir", &misspelt]), 1, "there is no store at");
    assert!(!std::path::Path::new(&misspelt).exists());
    // What the line names is meant, whatever the environment does.
    let mut named = Command::new(env!("CARGO_BIN_EXE_scrip"));
    named.env("SCRIP_DATABASE_URL", "sqlite:/nowhere/scrip.db");
    failed(&named.arg("verify").output().unwrap(), 1, "/nowhere/scrip.db");
    said(&named.args(["--data-dir", &fresh]).output().unwrap());
    // A copy that was left by a process that was killed.
    let left = format!("{live}/verify-1");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(format!("{left}/in-use"), "").unwrap();
    // The running server's own, as it is at this moment; nothing is left of the copy.
    assert!(said(&scrip(&["verify", "--data-dir", &live])).contains("3 transactions of 1 account\n"));
    assert_eq!(std::fs::read_dir(&live).unwrap().filter(|it| it.as_ref().unwrap().path().is_dir()).count(), 0);
    let directory = server.stop();
    let live = directory.path().join("data");
    assert!(said(&scrip(&["verify", "--data-dir", live.to_str().unwrap()])).contains("3 transactions of 1 account\n"));
}

/// A key that could not be told would open nothing to anybody.
#[test]
fn the_first_key_is_made_when_it_can_be_told() {
    let directory = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let serve = |listen: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip"));
        command.env_remove("SCRIP_ADMIN_KEY").env_remove("SCRIP_DATABASE_URL");
        command.args(["serve", "--listen", listen, "--data-dir"]).arg(directory.path());
        command
    };
    failed(&serve(&taken.local_addr().unwrap().to_string()).output().unwrap(), 1, "is it in use?");
    let mut child = serve("127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: Vec<String> = lines.take(2).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said[1].starts_with("First API key, shown once: scrip_"), "{said:?}");
}

#[test]
fn a_wrong_configuration_stops_the_start_and_says_where() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("scrip.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\nwelcom = []\n").unwrap();
    failed(&scrip(&["serve", "--config", file.to_str().unwrap()]), 1, "line 2");
    let data = directory.path().to_str().unwrap();
    failed(&scrip(&["serve", "--data-dir", data, "--admin-key", "short"]), 1, "32 visible characters");
    failed(&scrip(&["serve", "--database-url", "mysql:x"]), 1, "sqlite:PATH");
    failed(&scrip(&["serve", "--data-dir", data, "--sandbox", "off"]), 1, "SCRIP_SANDBOX is 1 or 0, not `off`");
    // To guess would be to begin another ledger.
    let mut torn = Command::new(env!("CARGO_BIN_EXE_scrip"));
    torn.args(["serve", "--data-dir", data]).env("SCRIP_DATABASE_URL", "postgres://localhost/scrip");
    failed(&torn.output().unwrap(), 1, "say one of them");
    failed(&scrip(&["serve", "--data-dir", data, "--database-url", "sqlite:x"]), 2, "cannot be used with");
}

/// Made-up customers go into no store but the demonstration's own, and whoever named another is told so.
#[test]
fn the_demonstration_leaves_a_store_that_is_somebodys_alone() {
    let directory = TempDir::new().unwrap();
    let (own, other) = (directory.path().join("demo"), directory.path().join("other.db"));
    let mut demo = Command::new(env!("CARGO_BIN_EXE_scrip"))
        .args(["demo", "--listen", "127.0.0.1:0", "--data-dir", own.to_str().unwrap()])
        .env("SCRIP_DATABASE_URL", format!("sqlite:{}", other.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(demo.stderr.take().unwrap());
    let mut told = String::new();
    errors.read_line(&mut told).unwrap();
    let began = Instant::now();
    while !own.join("scrip.db").is_file() && began.elapsed().as_secs() < 60 {
        std::thread::yield_now();
    }
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert!(told.contains("SCRIP_DATABASE_URL is left alone"), "{told}");
    assert!(own.join("scrip.db").is_file() && !other.exists());
}

/// The first thing that anybody runs. Killed and started again, it is what it was, and tells nothing twice.
#[test]
fn the_demonstration_tells_two_months_to_the_end_and_once() {
    let directory = TempDir::new().unwrap();
    let place = directory.path().to_str().unwrap();
    let told = || {
        let (output, input) = std::io::pipe().unwrap();
        let mut demo = Command::new(env!("CARGO_BIN_EXE_scrip"))
            .args(["demo", "--listen", "127.0.0.1:0", "--data-dir", place])
            .env_remove("SCRIP_DATABASE_URL")
            .stdout(input.try_clone().unwrap())
            .stderr(input)
            .spawn()
            .unwrap();
        let mut told = String::new();
        for line in BufReader::new(output).lines() {
            told += &(line.unwrap() + "\n");
            if ["Stop with Ctrl-C.", "could not be told"].iter().any(|it| told.contains(it)) {
                break;
            }
        }
        demo.kill().unwrap();
        demo.wait().unwrap();
        assert!(told.contains("Settings > Billing") && told.contains("Stop with Ctrl-C."), "{told}");
        json_said(&scrip(&["verify", "--data-dir", place, "--json"]))
    };
    let (first, again) = (told(), told());
    assert_eq!((&first["difference_count"], &again["difference_count"]), (&json!(0), &json!(0)), "{first} {again}");
    let (first, again) = (first["transactions"].as_u64().unwrap(), again["transactions"].as_u64().unwrap());
    // Its servers may have run on into another hour.
    assert!(2_000 < first && again < first + 100, "{first} and then {again} transactions");
}

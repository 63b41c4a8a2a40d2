//! E-mails, as a mail server that others wrote is handed them: over TLS and without, tried again, sent once, and in
//! nobody's way.
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use billing::id::Name;
use billing::time::{Span, Timestamp};
use serde_json::{Value, json};
use server::app::{App, Settings};
use server::notify::MailRoute;
use server::rate_card;
use server::service::{AccountProfile, ChargeOrder, Order, Registration};
use store::sqlite::{Options, Sqlite};
use store::{Change, Document, Kinds, Store};
use tempfile::TempDir;

use crate::served::{Served, chat};
use crate::webhooks::Ear;

/// Longer than anything here takes, so that a fault shows as one.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
public_url = "https://billing.example.com"
purchase_url = "https://app.example.com/billing?for={account}"
low_balance_credits = "150"
webhooks_anywhere = true
[mail]
from = "Acme Cloud <billing@acme.example>"
reply_to = "help@acme.example"
[pages]
brand = "Acme <Cloud>"
"#;

/// What `tests/mail/setup.sh` installs, where nobody has yet.
fn tools() -> &'static PathBuf {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let tools = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/mail"));
        if !tools.join("server.pem").is_file() {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail/setup.sh");
            let done = Command::new("sh").arg(script).status().unwrap();
            assert!(done.success(), "{script} does not install the mail server");
        }
        tools
    })
}

/// A mail server.
pub struct Office {
    child: Child,
    stdin: ChildStdin,
    port: u16,
    said: Receiver<Value>,
}

impl Office {
    pub fn open(security: &str) -> Office {
        Office::at(security, 0)
    }

    fn at(security: &str, port: u16) -> Office {
        let tools = tools();
        let mut child = Command::new(tools.join("venv/bin/python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail/smtpd.py"))
            .arg(security)
            .arg(tools)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let port = first.strip_prefix("port ").unwrap().parse().unwrap();
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if say.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take().unwrap();
        Office { child, stdin, port, said }
    }

    pub fn next(&self) -> Value {
        self.said.recv_timeout(PATIENCE).expect("a mail comes in time")
    }
    /// Answers so from now on.
    fn answer(&mut self, answer: &str) {
        writeln!(self.stdin, "{answer}").unwrap();
        assert_eq!(self.next()["answers"], answer);
    }
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The header of a mail, unfolded, and its text and HTML, decoded.
pub struct Letter {
    pub head: String,
    pub text: String,
    pub html: String,
}

pub fn opened(mail: &Value) -> Letter {
    let content = mail["content"].as_str().unwrap().replace("\r\n", "\n");
    let (head, body) = content.split_once("\n\n").unwrap();
    let head = head.replace("\n ", " ").replace("\n\t", " ");
    let boundary = head.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let parts: Vec<String> = body.split(&format!("--{boundary}")).map(decoded).collect();
    Letter { head, text: parts[1].clone(), html: parts[2].clone() }
}

/// A part without its header, of whatever encoding it has.
fn decoded(part: &str) -> String {
    let (head, body) = part.trim_start().split_once("\n\n").unwrap_or(("", part));
    if head.contains("base64") {
        use base64::Engine;
        let text: String = body.split_whitespace().collect();
        return String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap();
    }
    if !head.contains("quoted-printable") {
        return body.to_owned();
    }
    let (mut bytes, mut rest) = (Vec::new(), body.replace("=\n", "").into_bytes().into_iter());
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let pair = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn server(directory: &Arc<TempDir>, smtp: &str) -> Served {
    Served::start_with(Arc::clone(directory), &[("SCRIP_SANDBOX", "1"), ("SMTP_URL", smtp)], CONFIG)
}

fn fresh(smtp: &str) -> Served {
    server(&Arc::new(TempDir::new().unwrap()), smtp)
}

impl Served {
    fn contact(&self, account: &str, name: &str) {
        let profile = json!({"name": name, "email": format!("{account}@example.com"), "timezone": "Europe/Vilnius"});
        assert!(self.put(&format!("/v1/accounts/{account}"), &profile).status < 300);
    }
    /// From 600, below 150.
    fn runs_low(&self, account: &str) {
        assert_eq!(self.charge(&chat(account, "low", 460 * 8_000)).status, 201);
    }
    pub fn emails(&self, account: &str) -> Vec<Value> {
        self.get(&format!("/v1/accounts/{account}/emails")).json()["data"].as_array().unwrap().clone()
    }
    /// The newest e-mail, once it is as it should be.
    fn email_until(&self, account: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let all = self.emails(account);
            if let Some(newest) = all.first().filter(|it| is_so(it)) {
                return newest.clone();
            }
            assert!(began.elapsed() < PATIENCE, "{all:#?}");
            std::thread::yield_now();
        }
    }
    fn move_to(&self, to: &str) {
        let moved = self.post("/v1/test-clock/advance", "", &json!({"to": to}));
        assert_eq!(moved.status, 200, "{}", moved.text);
    }
}

fn tries(email: &Value) -> usize {
    email["tries"].as_array().unwrap().len()
}

#[test]
fn a_low_balance_is_written_about_once_in_text_and_html() {
    let office = Office::open("plain");
    let server = fresh(&office.url());
    server.contact("ada", "Ada <b>\"Lovelace\"</b>");
    server.runs_low("ada");
    let mail = office.next();
    assert_eq!((&mail["from"], &mail["to"]), (&json!("billing@acme.example"), &json!(["ada@example.com"])));
    let letter = opened(&mail);
    for header in [
        "Subject: Your credits are running low",
        "From: \"Acme Cloud\" <billing@acme.example>",
        "Reply-To: help@acme.example",
        "To: ada@example.com",
        "Auto-Submitted: auto-generated",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "List-Unsubscribe: <https://billing.example.com/emails/unsubscribe?token=",
    ] {
        assert!(letter.head.contains(header), "{header} in {}", letter.head);
    }
    // Credits with their money; the way to buy; what was typed is only text.
    assert!(letter.text.contains("Left: 140 credits (€1.40)"), "{}", letter.text);
    assert!(letter.text.contains("https://app.example.com/billing?for=ada"));
    assert!(letter.html.contains("140 credits (€1.40)"), "{}", letter.html);
    assert!(!letter.html.contains("<b>") && letter.html.contains("Acme &#60;Cloud&#62;"), "{}", letter.html);
    let email = server.email_until("ada", |it| it["status"] == "delivered");
    assert_eq!((&email["event"], &email["subject"]), (&json!("balance.low"), &json!("Your credits are running low")));
    assert_eq!(email["tries"][0]["to"], "a…@example.com");
    assert!(email["tries"][0]["answer"].as_str().unwrap().starts_with("250"));
    assert!(letter.head.contains(&format!("Message-ID: <{}@acme.example>", email["id"].as_str().unwrap())));
    // Sent again by hand, it is the same mail.
    let path = format!("/v1/accounts/ada/emails/{}/resend", email["id"].as_str().unwrap());
    let again = server.post(&path, "again", &json!({}));
    assert_eq!(again.json()["status"], "pending");
    assert_eq!(opened(&office.next()).html, letter.html);
    server.email_until("ada", |it| it["tries"].as_array().unwrap().len() == 2);
    let repeated = server.post(&path, "again", &json!({}));
    assert_eq!((repeated.header("idempotent-replay"), &repeated.text), (Some("true"), &again.text));
    assert_eq!(server.emails("ada").len(), 1, "told once");
    assert_eq!(
        server.post("/v1/accounts/ada/emails/delivery_0t417hxwjz1qn6v66pe0000003/resend", "", &json!({})).status,
        404
    );
}

#[test]
fn a_mail_is_tried_for_three_days_and_not_at_all_where_nobody_is() {
    let mut office = Office::open("plain");
    office.answer("451 try again later");
    let server = fresh(&office.url());
    server.contact("ada", "Ada");
    server.runs_low("ada");
    office.next();
    let mut email = server.email_until("ada", |it| tries(it) == 1);
    assert_eq!(
        (&email["status"], &email["tries"][0]["answer"].as_str().unwrap().contains("451")),
        (&json!("pending"), &true)
    );
    for count in 2..=4 {
        server.move_to(email["next_try_at"].as_str().unwrap());
        office.next();
        email = server.email_until("ada", |it| tries(it) == count);
    }
    office.answer("ok");
    server.move_to(email["next_try_at"].as_str().unwrap());
    office.next();
    assert_eq!(tries(&server.email_until("ada", |it| it["status"] == "delivered")), 5);
    // A mailbox that is not there is not tried again.
    office.answer("RCPT 550 no such mailbox");
    server.contact("bob", "Bob");
    server.runs_low("bob");
    let email = server.email_until("bob", |it| it["status"] == "failed");
    assert_eq!((tries(&email), &email["next_try_at"]), (1, &Value::Null));
    // Nor is one that cannot be an address, and none whose account was closed.
    assert_eq!(server.put("/v1/accounts/eve", &json!({"email": "eve,x@example.com"})).status, 201);
    server.runs_low("eve");
    assert!(
        server.email_until("eve", |it| it["status"] == "failed")["tries"][0]["answer"]
            .as_str()
            .unwrap()
            .contains("address")
    );
    assert_eq!(server.post("/v1/accounts/bob/close", "c", &json!({})).status, 201);
    let path = format!("/v1/accounts/bob/emails/{}/resend", email["id"].as_str().unwrap());
    assert_eq!(server.post(&path, "", &json!({})).status, 200);
    server.email_until("bob", |it| it["status"] == "canceled");
}

#[test]
fn a_mail_is_given_up_where_its_address_is_refused_and_not_where_the_server_takes_none() {
    let mut office = Office::open("plain");
    let server = fresh(&office.url());
    // Never three of the server's own in a row: then it would rest.
    for (number, (answer, status)) in [
        ("BANNER 554 not today", "pending"),
        ("RCPT 550 5.4.5 daily quota exceeded", "pending"),
        ("MAIL 550 5.7.1 not from you", "pending"),
        ("RCPT 550 5.1.1 no such user", "failed"),
        ("554 5.7.1 looks like spam", "pending"),
    ]
    .into_iter()
    .enumerate()
    {
        office.answer(answer);
        let account = format!("acct_{number}");
        server.contact(&account, "Somebody");
        server.runs_low(&account);
        let email = server.email_until(&account, |it| 1 <= tries(it));
        assert_eq!(email["status"], status, "{answer}: {email}");
    }
}

#[test]
fn a_mail_server_that_is_down_holds_up_nobody_and_gets_everything_when_it_is_back() {
    let office = Office::open("plain");
    let port = office.port;
    drop(office);
    let server = fresh(&format!("smtp://127.0.0.1:{port}"));
    let ear = Ear::open(200);
    server.endpoint(&ear, &["balance.low"]);
    for number in 0..12 {
        let account = format!("acct_{number}");
        server.contact(&account, "Somebody");
        server.runs_low(&account);
    }
    // All webhooks come while no mail goes.
    for _ in 0..12 {
        ear.next();
    }
    let waiting = server.email_until("acct_0", |it| 1 <= tries(it));
    assert_eq!(waiting["status"], "pending");
    let office = Office::at("plain", port);
    let later: jiff::Timestamp = waiting["tries"][0]["at"].as_str().unwrap().parse().unwrap();
    server.move_to(&(later + jiff::SignedDuration::from_hours(2)).to_string());
    let mut to: Vec<String> = (0..12).map(|_| office.next()["to"][0].as_str().unwrap().to_owned()).collect();
    to.sort();
    to.dedup();
    assert_eq!(to.len(), 12, "{to:?}");
}

#[test]
fn mails_go_over_tls_to_who_can_prove_who_they_are() {
    let authority = tools().join("authority.pem");
    let authority = authority.to_str().unwrap();
    for (security, scheme, more) in [("starttls", "smtp", "&tls=required"), ("smtps", "smtps", "")] {
        let office = Office::open(security);
        let url = format!("{scheme}://scrip:s%2Bcret%40word@localhost:{}?ca={authority}{more}", office.port);
        let server = fresh(&url);
        server.contact("ada", "Ada");
        server.runs_low("ada");
        let mail = office.next();
        assert_eq!((&mail["tls"], &mail["user"]), (&json!(true), &json!("scrip")), "{security}");
        // Without its authority the server is nobody's, and a wrong password is no reason to give up.
        for url in [
            format!("{scheme}://scrip:s%2Bcret%40word@localhost:{}?{}", office.port, more.trim_start_matches('&')),
            format!("{scheme}://scrip:wrong@localhost:{}?ca={authority}{more}", office.port),
        ] {
            let server = fresh(&url);
            server.contact("ada", "Ada");
            server.runs_low("ada");
            assert_eq!(server.email_until("ada", |it| tries(it) == 1)["status"], "pending", "{url}");
        }
        assert!(office.said.try_recv().is_err());
    }
}

#[test]
fn nobody_is_written_to_about_what_they_do_not_want() {
    let office = Office::open("plain");
    let server = fresh(&office.url());
    server.contact("ada", "Ada");
    let shown = server.get("/v1/accounts/ada/notice-preferences").json();
    let all =
        json!({"receipts": true, "balance": true, "budgets": true, "expiry": true, "renewals": true, "digest": true});
    assert_eq!(shown, all);
    let changed = server.put("/v1/accounts/ada/notice-preferences", &json!({"digest": false}));
    assert_eq!(
        (changed.status, &changed.json()["digest"], &changed.json()["balance"]),
        (200, &json!(false), &json!(true))
    );
    assert_eq!(server.put("/v1/accounts/ada/notice-preferences", &json!({"adverts": true})).status, 422);
    server.runs_low("ada");
    let letter = opened(&office.next());
    let link = letter.head.split("List-Unsubscribe: <https://billing.example.com").nth(1).unwrap();
    let link = link.split('>').next().unwrap();
    assert!(letter.text.contains(link) && letter.html.contains(link), "the same link in all of it");
    // Looking changes nothing: guards of mailboxes look at every link.
    let page = server.browse(link, "");
    assert!(page.status == 200 && page.text.contains("Low balance and runway"), "{}", page.text);
    assert_eq!(server.get("/v1/accounts/ada/notice-preferences").json()["balance"], true);
    // One click, as mail programs post it: no cookie, no mark.
    let done = server.submit(link, "", "List-Unsubscribe=One-Click");
    assert_eq!(done.status, 200, "{}", done.text);
    let shown = server.get("/v1/accounts/ada/notice-preferences").json();
    assert_eq!((&shown["balance"], &shown["receipts"]), (&json!(false), &json!(true)));
    assert_eq!(server.submit(&format!("{link}x"), "", "").status, 404);
    // A link of one kind opens nothing of another.
    let token = link.split('=').next_back().unwrap();
    assert_eq!(server.browse(&format!("/emails/confirm?token={token}"), "").status, 404);
    let grant = json!({"credits": "300", "source": "adjustment", "reason": "x"});
    assert_eq!(server.post("/v1/accounts/ada/grants", "g", &grant).status, 201);
    assert_eq!(server.charge(&chat("ada", "again", 300 * 8_000)).status, 201);
    server.contact("bob", "Bob");
    server.runs_low("bob");
    assert_eq!(office.next()["to"], json!(["bob@example.com"]), "and nothing more to ada");
    assert_eq!(server.emails("ada").len(), 1);
}

#[test]
fn mondays_tell_of_last_week_once_each() {
    let office = Office::open("plain");
    let server = fresh(&office.url());
    // A Wednesday.
    server.move_to("2031-03-12T09:00:00Z");
    server.contact("ada", "Ada");
    server.contact("idle", "Idle");
    server.contact("deaf", "Deaf");
    assert_eq!(server.put("/v1/accounts/ada/projects/shop", &json!({"name": "The <shop>"})).status, 201);
    assert_eq!(server.put("/v1/accounts/deaf/notice-preferences", &json!({"digest": false})).status, 200);
    let mut charge = chat("ada", "1", 80 * 8_000);
    charge["project"] = json!("shop");
    assert_eq!(server.charge(&charge).status, 201);
    assert_eq!(server.charge(&chat("deaf", "1", 8_000)).status, 201);
    server.move_to("2031-03-17T12:00:00Z");
    let letter = opened(&office.next());
    assert!(letter.head.contains("Subject: Last week in credits: 10 Mar to 16 Mar"), "{}", letter.head);
    // Dated as it is sent, by the clock of the world outside, and not by the week that it is about.
    let date = letter.head.lines().find_map(|it| it.strip_prefix("Date: ")).unwrap();
    let date = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
    let age = server::clock::Clock::default().now().millis() - date.as_millisecond();
    assert!((-1_000..600_000).contains(&age), "{date}");
    assert!(letter.text.contains("AI conversations: 80 credits (€0.80)"), "{}", letter.text);
    assert!(letter.html.contains("Project The &#60;shop&#62;"), "{}", letter.html);
    server.email_until("ada", |it| it["status"] == "delivered");
    // The week after nothing was used; the one after that, something was.
    server.move_to("2031-03-24T12:00:01Z");
    server.move_to("2031-03-26T12:00:00Z");
    assert_eq!(server.charge(&chat("ada", "2", 10 * 8_000)).status, 201);
    server.move_to("2031-03-31T12:00:00Z");
    let letter = opened(&office.next());
    assert!(letter.head.contains("24 Mar to 30 Mar"), "{}", letter.head);
    assert_eq!((server.emails("ada").len(), server.emails("idle").len(), server.emails("deaf").len()), (2, 0, 0));
}

#[test]
fn a_late_summary_that_somebody_wrote_already_is_over() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = TempDir::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Sqlite::open(&directory.path().join("scrip.db"), Options::default()).unwrap());
        // Nobody is there; what is to be sent is written down all the same.
        let mail = Some(MailRoute::parse("smtp://127.0.0.1:9?tls=none", "billing@acme.example", None).unwrap());
        let settings = Settings { mail, is_sandbox: true, ..Settings::default() };
        let card = rate_card::parse_toml(rate_card::DEFAULT).unwrap();
        let app = Arc::new(App::open(Arc::<Sqlite>::clone(&store), settings, &card).unwrap());
        let ada: Name = "ada".parse().unwrap();
        let profile = AccountProfile { email: Some("ada@example.com".to_owned()), ..AccountProfile::default() };
        let registration = Registration { id: ada.clone(), profile, fingerprints: Vec::new() };
        app.register(&registration, &"test".into()).unwrap();
        let order = Order {
            meter: "ai_chat".into(),
            quantities: vec![("input_tokens".into(), 80_000)],
            dimensions: vec![("model".into(), "gpt-6.1-terra".into())],
            ..Order::default()
        };
        app.charge(ChargeOrder { account: ada.clone(), order, key: "a".into(), by: "test".into() }).await.unwrap();
        let round = store.document(Document::HOUSE, "digest_round", "1").unwrap().unwrap();
        let ahead = round.due_at.unwrap().millis() - app.now().millis();
        app.clock().advance(Span::from_millis(ahead));
        app.work(100).unwrap();
        let number = app.account(&ada).unwrap().number;
        let emails = || store.documents(number, "email", None, 9).unwrap().len();
        assert_eq!(emails(), 1);
        // Another node could not write it in its round, and left it for later.
        let (kind, id, at) = ("digest_late".to_owned(), "1".to_owned(), app.now());
        let body = "null".to_owned();
        let late = Document { account: number, kind, id, version: 1, at, due_at: Some(at), body };
        store.commit(&[Change::Document(late)]).unwrap();
        app.work(100).unwrap();
        assert!(store.documents_due(Kinds::Of(&["digest_late"]), Timestamp::NEVER, 9).unwrap().is_empty());
        assert_eq!(emails(), 1);
        app.close();
    });
}

#[test]
fn a_mail_that_cannot_be_written_is_put_off_like_any_job_that_fails() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = TempDir::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Sqlite::open(&directory.path().join("scrip.db"), Options::default()).unwrap());
        let mail = Some(MailRoute::parse("smtp://127.0.0.1:9?tls=none", "billing@acme.example", None).unwrap());
        let public_url = Some("https://billing.example.com".to_owned());
        let settings = Settings { mail, public_url, is_sandbox: true, ..Settings::default() };
        let card = rate_card::parse_toml(rate_card::DEFAULT).unwrap();
        let app = Arc::new(App::open(Arc::<Sqlite>::clone(&store), settings, &card).unwrap());
        let ada: Name = "ada".parse().unwrap();
        let profile = AccountProfile { email: Some("ada@example.com".to_owned()), ..AccountProfile::default() };
        let registration = Registration { id: ada.clone(), profile, fingerprints: Vec::new() };
        app.register(&registration, &"test".into()).unwrap();
        let number = app.account(&ada).unwrap().number;
        let put = |account, kind: &str, due_at, body: Value| {
            let (kind, id, at) = (kind.to_owned(), "1".to_owned(), app.now());
            let document = Document { account, kind, id, version: 1, at, due_at, body: body.to_string() };
            store.commit(&[Change::Document(document)]).unwrap();
        };
        // No link can be sealed.
        put(Document::HOUSE, "seal", None, json!("broken"));
        let email = json!({"what": "balance.low", "about": {}, "state": "pending", "tries": 0, "log": []});
        put(number, "email", Some(app.now()), email);
        app.work(100).unwrap();
        let put_off = store.document(number, "email", "1").unwrap().unwrap();
        assert_eq!(put_off.version, 2);
        let soon = app.now() + Span::SECOND.times(10);
        assert!(put_off.due_at.is_some_and(|it| it < soon), "longer each time, and not for the time of a claim");
        app.close();
    });
}

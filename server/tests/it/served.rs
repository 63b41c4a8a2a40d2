//! A server process for one test, and a client as small as one can be.
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use server::database::Database;
use store::Store;
use tempfile::TempDir;

use crate::cluster::Schema;

pub const ADMIN: &str = "scrip_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What the tests reckon with, whatever a new installation grants.
const WELCOME: &str = r#"
[[welcome]]
credits = "500"
reason = "Welcome"
[[welcome]]
credits = "100"
meters = ["server"]
days = 30
reason = "Welcome to servers"
"#;

pub struct Served {
    child: Child,
    pub url: String,
    pub key: String,
    pub directory: Arc<TempDir>,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub text: String,
    headers: Vec<(String, String)>,
}

impl Served {
    pub fn start() -> Served {
        Served::start_with(Arc::new(TempDir::new().unwrap()), &[], "")
    }
    pub fn sandbox() -> Served {
        Served::start_with(Arc::new(TempDir::new().unwrap()), &[("SCRIP_SANDBOX", "1")], "")
    }
    pub fn configured(config: &str) -> Served {
        Served::start_with(Arc::new(TempDir::new().unwrap()), &[], config)
    }

    /// Starts on the data of `directory`, and waits for the line that says where.
    pub fn start_with(directory: Arc<TempDir>, environment: &[(&str, &str)], config: &str) -> Served {
        let (child, line) = spawn(&directory, environment, config);
        let url =
            line.split_whitespace().find(|it| it.starts_with("http")).expect("it says where it serves").to_owned();
        Served { child, url, key: ADMIN.to_owned(), directory }
    }

    /// A server on the data of `directory` none of whose files may grow beyond so many blocks of 512 bytes: who tries
    /// is told instead of killed.
    pub fn on_a_little_disk(directory: TempDir, blocks: u32) -> Served {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_scrip"), "serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.path())
            .env("SCRIP_ADMIN_KEY", ADMIN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|it| it.starts_with("http")).expect("it serves").to_owned();
        Served { child, url, key: ADMIN.to_owned(), directory: Arc::new(directory) }
    }

    /// A start on the data of `directory` that comes to nothing: what its log says.
    pub fn refused_start(directory: &Arc<TempDir>) -> String {
        let (mut child, line) = spawn(directory, &[], "");
        // One that serves, against what was expected, is not to be waited for.
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(line, "", "it does not serve");
        std::fs::read_to_string(directory.path().join("log")).unwrap()
    }

    /// Tells it to stop, and waits until it has.
    pub fn stop(mut self) -> Arc<TempDir> {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(self.child.wait().unwrap().success(), "it stops in good order");
        Arc::clone(&self.directory)
    }

    /// SIGKILL, which nothing can catch.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What posting a charge comes to; None when the server is not there to say.
    pub fn try_charge(&self, charge: &Value) -> Option<Reply> {
        let request = self.agent().post(format!("{}/v1/charges", self.url)).header("authorization", self.bearer());
        let answer = request.header("content-type", "application/json").send(charge.to_string().as_bytes());
        answer.is_ok().then(|| reply(answer))
    }

    pub fn get(&self, path: &str) -> Reply {
        let request = self.agent().get(format!("{}{path}", self.url)).header("authorization", self.bearer());
        reply(request.call())
    }
    /// What came of a request that brings an id, and the id it was called by.
    pub fn called(&self, path: &str, id: &str) -> (u16, String) {
        let request = self.agent().get(format!("{}{path}", self.url)).header("authorization", self.bearer());
        let reply = reply(request.header("x-request-id", id).call());
        (reply.status, reply.header("x-request-id").unwrap().to_owned())
    }
    pub fn get_by(&self, secret: &str, path: &str) -> Reply {
        let request = self.agent().get(format!("{}{path}", self.url));
        reply(request.header("authorization", format!("Bearer {secret}")).call())
    }
    /// A file, byte by byte; the reply has its headers and no text.
    pub fn download(&self, path: &str) -> (Reply, Vec<u8>) {
        let request = self.agent().get(format!("{}{path}", self.url)).header("authorization", self.bearer());
        let (parts, mut body) = request.call().unwrap().into_parts();
        let headers = parts.headers.iter().map(|(name, it)| (name.to_string(), it.to_str().unwrap().to_owned()));
        let reply = Reply { status: parts.status.as_u16(), text: String::new(), headers: headers.collect() };
        (reply, body.read_to_vec().unwrap())
    }
    pub fn get_csv(&self, path: &str) -> Reply {
        let request = self.agent().get(format!("{}{path}", self.url)).header("authorization", self.bearer());
        reply(request.header("accept", "text/csv").call())
    }
    pub fn get_lines(&self, path: &str) -> Reply {
        let request = self.agent().get(format!("{}{path}", self.url)).header("authorization", self.bearer());
        reply(request.header("accept", "application/x-ndjson").call())
    }
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        let request = self.agent().put(format!("{}{path}", self.url)).header("authorization", self.bearer());
        reply(request.send_json(body))
    }
    pub fn delete(&self, path: &str) -> Reply {
        let request = self.agent().delete(format!("{}{path}", self.url)).header("authorization", self.bearer());
        reply(request.call())
    }
    /// Posts under an idempotency key.
    pub fn post(&self, path: &str, key: &str, body: &Value) -> Reply {
        self.send(path, key, "application/json", &body.to_string())
    }
    /// Posts a body as it is.
    pub fn send(&self, path: &str, key: &str, content_type: &str, body: &str) -> Reply {
        self.send_bytes(path, key, content_type, body.as_bytes())
    }
    pub fn send_bytes(&self, path: &str, key: &str, content_type: &str, body: &[u8]) -> Reply {
        let request = self.agent().post(format!("{}{path}", self.url)).header("authorization", self.bearer());
        let request = if key.is_empty() { request } else { request.header("idempotency-key", key) };
        reply(request.header("content-type", content_type).send(body))
    }

    /// A page, as a browser with this cookie asks for it.
    pub fn browse(&self, path: &str, cookie: &str) -> Reply {
        reply(self.browser().get(format!("{}{path}", self.url)).header("cookie", cookie).call())
    }
    /// As a browser asks that follows what somebody typed.
    pub fn browse_html(&self, path: &str) -> Reply {
        reply(self.browser().get(format!("{}{path}", self.url)).header("accept", "text/html,*/*;q=0.8").call())
    }
    /// A form, as a browser with this cookie sends it.
    pub fn submit(&self, path: &str, cookie: &str, body: &str) -> Reply {
        self.submit_as(path, cookie, "application/x-www-form-urlencoded", body)
    }
    pub fn submit_as(&self, path: &str, cookie: &str, content_type: &str, body: &str) -> Reply {
        let request = self.browser().post(format!("{}{path}", self.url)).header("cookie", cookie);
        reply(request.header("content-type", content_type).send(body))
    }
    /// An event stream, as it comes.
    pub fn follow(&self, path: &str, last_seen: Option<&str>) -> impl Read + use<> {
        let request = self.agent().get(format!("{}{path}", self.url)).header("authorization", self.bearer());
        let request = last_seen.into_iter().fold(request, |it, id| it.header("last-event-id", id));
        request.call().unwrap().into_body().into_reader()
    }
    /// Moves the sandbox's clock forward, from where the account `ada` sees it.
    pub fn advance(&self, seconds: i64) {
        let to = json!({"to": self.later(seconds)});
        assert_eq!(self.post("/v1/test-clock/advance", "", &to).status, 200);
    }
    /// The instant so much later than now, as the account `ada` sees it.
    pub fn later(&self, seconds: i64) -> String {
        let now: jiff::Timestamp =
            self.get("/v1/accounts/ada/balance").json()["as_of"].as_str().unwrap().parse().unwrap();
        now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap().to_string()
    }

    /// Registers an account with its welcome credits: 500 for anything, 100 for servers.
    pub fn account(&self, id: &str) {
        assert_eq!(self.put(&format!("/v1/accounts/{id}"), &json!({})).status, 201);
    }
    pub fn charge(&self, charge: &Value) -> Reply {
        self.post("/v1/charges", "", charge)
    }
    pub fn available(&self, account: &str) -> String {
        let balance = self.get(&format!("/v1/accounts/{account}/balance")).json();
        balance["available"].as_str().unwrap().to_owned()
    }
    /// The same server, asked with another key.
    pub fn minted(&self, name: &str, scopes: &[&str]) -> String {
        let minted = self.post("/v1/api-keys", "", &json!({"name": name, "scopes": scopes}));
        assert_eq!(minted.status, 201, "{}", minted.text);
        minted.json()["secret"].as_str().unwrap().to_owned()
    }
    pub fn as_key<T>(&mut self, key: &str, ask: impl FnOnce(&Served) -> T) -> T {
        let own = std::mem::replace(&mut self.key, key.to_owned());
        let answer = ask(self);
        self.key = own;
        answer
    }

    fn browser(&self) -> ureq::Agent {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build()
            .into()
    }
    fn agent(&self) -> ureq::Agent {
        ureq::Agent::config_builder().http_status_as_error(false).build().into()
    }
    fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }
}

/// A server process, and the first line it says: none from one that ended first.
fn spawn(directory: &Arc<TempDir>, environment: &[(&str, &str)], config: &str) -> (Child, String) {
    let file = directory.path().join("scrip.toml");
    let data = directory.path().join("data");
    std::fs::write(&file, format!("data_dir = {data:?}\n{config}\n{WELCOME}")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_scrip"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .env("SCRIP_ADMIN_KEY", ADMIN)
        .env_remove("SCRIP_DATABASE_URL")
        .envs(database_of(directory).map(|it| ("SCRIP_DATABASE_URL", it)))
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(log_in(directory))
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

/// The stories are told twice: on files, and, where `SCRIP_TEST_STORE` says so, on a PostgreSQL. A directory stands for
/// the same store each time.
fn database_of(directory: &Arc<TempDir>) -> Option<String> {
    static SCHEMAS: Mutex<Vec<(PathBuf, Schema)>> = Mutex::new(Vec::new());
    if std::env::var("SCRIP_TEST_STORE").ok()? != "postgres" {
        return None;
    }
    let mut schemas = SCHEMAS.lock().unwrap();
    if !schemas.iter().any(|it| it.0 == directory.path()) {
        schemas.push((directory.path().to_owned(), Schema::new()));
    }
    schemas.iter().find(|it| it.0 == directory.path()).map(|it| it.1.url())
}

/// The store of a directory whose server was stopped, for what no server would write by itself.
pub fn store_of(directory: &Arc<TempDir>) -> Arc<dyn Store> {
    let file = || Database::Sqlite(directory.path().join("data/scrip.db"));
    database_of(directory).map_or_else(file, Database::Postgres).open().unwrap()
}

/// `scrip verify` on the store of a directory whose server was stopped: everything is as the journal says.
#[track_caller]
pub fn assert_verified(directory: &Arc<TempDir>) {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_scrip"));
    verify.arg("verify").env_remove("SCRIP_DATABASE_URL");
    match database_of(directory) {
        Some(url) => verify.args(["--database-url", &url]),
        None => verify.arg("--data-dir").arg(directory.path().join("data")),
    };
    let verified = verify.output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// What a server says on the way, for tests that read it.
fn log_in(directory: &TempDir) -> Stdio {
    let log = std::fs::File::options().create(true).append(true).open(directory.path().join("log"));
    log.unwrap().into()
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reply(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Reply {
    let mut response = answer.unwrap();
    let mut text = String::new();
    let status = response.status().as_u16();
    let headers = response.headers().iter().map(|(name, it)| (name.to_string(), it.to_str().unwrap().to_owned()));
    let headers = headers.collect();
    response.body_mut().as_reader().read_to_string(&mut text).unwrap();
    Reply { status, text, headers }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|it| panic!("{it}: {}", self.text))
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|it| it.0 == name).map(|it| &*it.1)
    }
    /// Status, code and field of a problem, checked to be one.
    pub fn problem(&self) -> (u16, String, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("type"), format!("/docs/problems#{}", text("code")));
        assert!(!text("detail").is_empty() && !text("title").is_empty());
        (self.status, text("code"), text("field"))
    }
}

/// A chat of `input_tokens`: 8 000 of them cost a credit.
pub fn chat(account: &str, key: &str, input_tokens: u64) -> Value {
    json!({
        "account": account, "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
        "quantities": {"input_tokens": input_tokens}, "idempotency_key": key,
    })
}

/// The reply as it would read on any day: ids and times differ from run to run.
pub fn timeless(value: &Value) -> String {
    fn settle(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(settle),
            Value::Object(entries) => entries.values_mut().for_each(settle),
            Value::String(text) => {
                let is_id = text.split_once('_').is_some_and(|(kind, rest)| {
                    ["charge", "grant", "hold", "entry", "quote"].contains(&kind) && 26 <= rest.len()
                });
                let is_time = text.len() == 24 && text.ends_with('Z');
                if is_id {
                    *text = format!("{}_…", text.split('_').next().unwrap());
                } else if is_time {
                    *text = "…Z".to_owned();
                }
            }
            _ => {}
        }
    }
    let mut value = value.clone();
    settle(&mut value);
    format!("{value:#}")
}

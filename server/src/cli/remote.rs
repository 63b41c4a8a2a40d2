//! `scrip charge`, `balance`, `usage`: a running server, asked from a terminal.
use clap::Args;
use serde_json::{Map, Value, json};

use super::{Failure, Outcome, pair, part, quantity, say};

/// Which server, and who asks.
#[derive(Clone, Debug, Args)]
pub struct Server {
    /// The server
    #[arg(long, env = "SCRIP_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API key of it
    #[arg(long, env = "SCRIP_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl Server {
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent().get(self.at(path));
        answer(path, request.header("authorization", self.authorization()?).call())
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent().post(self.at(path));
        answer(path, request.header("authorization", self.authorization()?).send_json(body))
    }

    pub fn get_csv(&self, path: &str) -> Result<String, Failure> {
        let request = self.agent().get(self.at(path)).header("accept", "text/csv");
        let sent = request.header("authorization", self.authorization()?).call();
        if sent.as_ref().is_ok_and(|it| it.status().is_success()) {
            let text = sent.map_err(|it| Trouble::away(unanswered(path, &it)))?.body_mut().read_to_string();
            return Ok(text.map_err(|it| format!("{path}: {it}"))?);
        }
        // What was refused is not CSV.
        answer(path, sent).map(|it| it.to_string())
    }

    /// Posts a document as it is, under a key.
    pub fn post_text(&self, path: &str, key: &str, content_type: &str, text: &str) -> Result<Value, Failure> {
        let request = self.agent().post(self.at(path)).header("content-type", content_type);
        let request = request.header("idempotency-key", key);
        answer(path, request.header("authorization", self.authorization()?).send(text))
    }

    pub fn url(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// Like [`Server::get`], for who may try again.
    pub fn try_get(&self, path: &str) -> Result<Value, Trouble> {
        let request = self.agent().get(self.at(path));
        let authorization = self.authorization().map_err(Trouble::lasting)?;
        tried(path, request.header("authorization", authorization).call()).map(|it| it.1)
    }
    /// Like [`Server::post_text`], for who may try again.
    pub fn try_post(&self, path: &str, content_type: &str, text: &str) -> Result<Value, Trouble> {
        let request = self.agent().post(self.at(path)).header("content-type", content_type);
        let authorization = self.authorization().map_err(Trouble::lasting)?;
        tried(path, request.header("authorization", authorization).send(text)).map(|it| it.1)
    }
    pub fn try_post_keyed(&self, path: &str, key: &str, body: &Value) -> Result<Value, Trouble> {
        let request = self.agent().post(self.at(path)).header("idempotency-key", key);
        let authorization = self.authorization().map_err(Trouble::lasting)?;
        tried(path, request.header("authorization", authorization).send_json(body)).map(|it| it.1)
    }
    /// Whether what was put is new.
    pub fn try_put(&self, path: &str, body: &Value) -> Result<bool, Trouble> {
        let request = self.agent().put(self.at(path));
        let authorization = self.authorization().map_err(Trouble::lasting)?;
        tried(path, request.header("authorization", authorization).send_json(body)).map(|it| it.0 == 201)
    }

    fn agent(&self) -> ureq::Agent {
        ureq::Agent::config_builder().http_status_as_error(false).build().into()
    }
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }
    fn authorization(&self) -> Result<String, String> {
        let key = self.key.as_ref().ok_or("set SCRIP_KEY or --key to an API key of the server")?;
        Ok(format!("Bearer {key}"))
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
pub struct Trouble {
    text: String,
    /// The same may go well in a moment.
    pub is_passing: bool,
    /// What the server said; null where it said nothing.
    pub problem: Value,
}

impl Trouble {
    fn lasting(text: String) -> Trouble {
        Trouble { text, is_passing: false, problem: Value::Null }
    }
    /// There was no answer, or it was not the server's.
    fn away(text: String) -> Trouble {
        Trouble { text, is_passing: true, problem: Value::Null }
    }
    /// As what a command has to say in the end, with what to do then.
    pub fn and(mut self, advice: &str) -> Failure {
        self.text = format!("{}; {advice}", self.text);
        self.into()
    }
}

/// What the server said is told as it said it.
impl From<Trouble> for Failure {
    fn from(it: Trouble) -> Failure {
        match it.problem {
            Value::Null if it.is_passing => Failure::of("no_answer", it.text),
            Value::Null => it.text.into(),
            told => Failure { text: it.text, told },
        }
    }
}

/// The answers of a large batch are larger than it.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

fn tried(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, Value), Trouble> {
    let mut response = answer.map_err(|it| Trouble::away(unanswered(path, &it)))?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_json::<Value>();
    let body = body.map_err(|it| Trouble::away(format!("{path} was answered {status}, not JSON: {it}")))?;
    if status < 400 {
        return Ok((status, body));
    }
    // Its problems have a code; what has none is of something that stands before it.
    let Some(code) = body["code"].as_str() else {
        return Err(Trouble::away(format!("{path} was answered {status}, but not by Scrip; is SCRIP_URL right?")));
    };
    let text = format!("{} ({status} {code})", body["detail"].as_str().unwrap_or_default());
    Err(Trouble { text, is_passing: status == 429 || 500 <= status, problem: body })
}

fn unanswered(path: &str, why: &ureq::Error) -> String {
    // What the system calls it, without its number.
    let why = why.to_string();
    let why = why.strip_prefix("io: ").unwrap_or(&why).split(" (os error").next().unwrap_or_default();
    format!("no answer to {path}: {why}; is SCRIP_URL right and the server up?")
}

fn answer(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Failure> {
    Ok(tried(path, answer)?.1)
}

/// What may be said of work on the command line.
#[derive(Clone, Debug, Args)]
pub struct Work {
    /// A meter of the rate card, such as ai_chat
    #[arg(long)]
    pub meter: String,
    /// name=number, as often as there are quantities
    #[arg(long = "quantity", value_name = "NAME=NUMBER", value_parser = quantity)]
    pub quantities: Vec<(String, u64)>,
    /// name=value, as often as there are dimensions
    #[arg(long = "dimension", value_name = "NAME=VALUE", value_parser = pair)]
    pub dimensions: Vec<(String, String)>,
    /// The project it is for
    #[arg(long)]
    pub project: Option<String>,
}

impl Work {
    pub fn to_json(&self) -> Value {
        let quantities: Map<String, Value> =
            self.quantities.iter().map(|(name, it)| (name.clone(), json!(it))).collect();
        let dimensions: Map<String, Value> =
            self.dimensions.iter().map(|(name, it)| (name.clone(), json!(it))).collect();
        let mut body = json!({"meter": self.meter, "quantities": quantities, "dimensions": dimensions});
        if let Some(project) = &self.project {
            body["project"] = json!(project);
        }
        body
    }
}

const CHARGE: &str = "\
Example:
  scrip charge acct_ada --idempotency-key msg_8412 \\
      --meter ai_chat --dimension model=gpt-6.1-terra \\
      --quantity input_tokens=1200 --quantity output_tokens=350";

/// Charge an account for work done
#[derive(Debug, Args)]
#[command(after_help = CHARGE)]
pub struct Charge {
    /// The account
    account: String,
    #[command(flatten)]
    work: Work,
    /// New for new work: the same key again charges nothing
    #[arg(long)]
    idempotency_key: String,
    /// When it happened, RFC 3339, if not now
    #[arg(long)]
    at: Option<String>,
    #[command(flatten)]
    server: Server,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Charge {
    pub fn run(self) -> Outcome {
        let mut body = self.work.to_json();
        body["account"] = json!(self.account);
        body["idempotency_key"] = json!(self.idempotency_key);
        if let Some(at) = &self.at {
            body["at"] = json!(at);
        }
        let charge = self.server.post("/v1/charges", &body)?;
        if self.json {
            say(&format!("{charge:#}"));
            return Ok(());
        }
        let text = |it: &Value| it.as_str().unwrap_or("0").to_owned();
        say(&format!("{}  {} credits", text(&charge["id"]), text(&charge["credits"])));
        show_lines(&charge["lines"]);
        say(&format!("{:>14}  credits available", text(&charge["balance"]["available"])));
        Ok(())
    }
}

/// Price lines, one a row.
pub fn show_lines(lines: &Value) {
    for line in lines.as_array().into_iter().flatten() {
        let text = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
        let (quantity, per) = (&line["quantity"], &line["per"]);
        say(&format!(
            "{:>14}  {}: {quantity} {} at {} per {per}",
            text("credits"),
            text("item"),
            text("unit"),
            text("unit_price")
        ));
    }
}

/// Show an account's balance
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  scrip balance acct_ada --json")]
pub struct Balance {
    /// The account
    account: String,
    /// At this instant, RFC 3339, instead of now
    #[arg(long)]
    at: Option<String>,
    #[command(flatten)]
    server: Server,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Balance {
    pub fn run(self) -> Outcome {
        let at = self.at.map_or_else(String::new, |it| format!("?at={}", part(&it)));
        let balance = self.server.get(&format!("/v1/accounts/{}/balance{at}", part(&self.account)))?;
        if self.json {
            say(&format!("{balance:#}"));
            return Ok(());
        }
        for member in ["available", "posted", "held", "accrued", "debt", "burn_per_day"] {
            say(&format!("{:>14}  {}", balance[member].as_str().unwrap_or("0"), member.replace('_', " ")));
        }
        if let Some(at) = balance["runs_out_at"].as_str() {
            say(&format!("at this pace used up {at}"));
        }
        Ok(())
    }
}

const USAGE: &str = "\
Examples:
  scrip usage acct_ada --group-by meter
  scrip usage acct_ada --from 2026-11-01T00:00:00Z --interval day --json";

/// Show an account's usage
#[derive(Debug, Args)]
#[command(after_help = USAGE)]
pub struct Usage {
    /// The account
    account: String,
    /// From this instant, RFC 3339; from the start of the month where nothing is said
    #[arg(long)]
    from: Option<String>,
    /// To this instant; to now where nothing is said
    #[arg(long)]
    to: Option<String>,
    /// hour, day, week, month or total
    #[arg(long, default_value = "total")]
    interval: String,
    /// Of meter, project, server, model and actor, with commas between
    #[arg(long, default_value = "meter")]
    group_by: String,
    #[command(flatten)]
    server: Server,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Usage {
    pub fn run(self) -> Outcome {
        let (account, interval, group_by) = (part(&self.account), part(&self.interval), part(&self.group_by));
        let mut path = format!("/v1/accounts/{account}/usage?interval={interval}&group_by={group_by}");
        for (name, value) in [("from", &self.from), ("to", &self.to)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", part(value)));
            }
        }
        let usage = self.server.get(&path)?;
        if self.json {
            say(&format!("{usage:#}"));
            return Ok(());
        }
        for bucket in usage["buckets"].as_array().into_iter().flatten() {
            for group in bucket["groups"].as_array().into_iter().flatten() {
                let by: Vec<&str> =
                    self.group_by.split(',').map(|it| group[it].as_str().unwrap_or("Unassigned")).collect();
                let (start, credits) =
                    (bucket["start"].as_str().unwrap_or_default(), group["credits"].as_str().unwrap_or("0"));
                say(&format!("{start}  {credits:>14}  {} ({})", by.join(", "), group["count"]));
            }
        }
        say(&format!("{:>40}  in all", usage["total"].as_str().unwrap_or("0")));
        Ok(())
    }
}

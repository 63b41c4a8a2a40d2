//! A client of the public API, as small as one can be.
use std::fmt;

use serde_json::Value;

/// A step that did not go as it should.
#[derive(Debug)]
pub enum DemoError {
    /// The server refused, in its own words.
    Refused { what: String, status: u16, detail: String },
    /// The server could not be reached, or spoke something else.
    Unreachable { what: String, why: String },
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DemoError::Refused { what, status, detail } => write!(f, "{what} was answered {status}: {detail}"),
            DemoError::Unreachable { what, why } => write!(f, "{what} got no answer: {why}"),
        }
    }
}

impl std::error::Error for DemoError {}

pub struct Client {
    agent: ureq::Agent,
    url: String,
    authorization: String,
}

impl Client {
    pub fn new(url: &str, key: &str) -> Client {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Client {
            agent: config.into(),
            url: url.trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {key}"),
        }
    }

    /// Where a customer comes back to.
    pub fn home(&self) -> &str {
        &self.url
    }

    /// Sends a form of somebody else's page, as a browser would.
    pub fn fill_in(&self, page: &str, form: &str) -> Result<(), DemoError> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let agent: ureq::Agent = config.max_redirects_will_error(false).build().into();
        let request = agent.post(page).header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send(form);
        answer.map(drop).map_err(|it| DemoError::Unreachable { what: format!("POST {page}"), why: it.to_string() })
    }

    pub fn get(&self, path: &str) -> Result<Value, DemoError> {
        let request = self.agent.get(format!("{}{path}", self.url)).header("authorization", &self.authorization);
        read(format!("GET {path}"), request.call())
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value, DemoError> {
        let request = self.agent.put(format!("{}{path}", self.url)).header("authorization", &self.authorization);
        read(format!("PUT {path}"), request.send_json(body))
    }

    /// Posts under `key`, so that posting again gets the first answer again.
    pub fn post(&self, path: &str, key: &str, body: &Value) -> Result<Value, DemoError> {
        read(format!("POST {path}"), self.posting(path).header("idempotency-key", key).send_json(body))
    }

    /// Posts what is new each time.
    pub fn post_anew(&self, path: &str, body: &Value) -> Result<Value, DemoError> {
        read(format!("POST {path}"), self.posting(path).send_json(body))
    }

    fn posting(&self, path: &str) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        self.agent.post(format!("{}{path}", self.url)).header("authorization", &self.authorization)
    }
}

fn read(what: String, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, DemoError> {
    let unreachable = |why: String| DemoError::Unreachable { what: what.clone(), why };
    let mut response = answer.map_err(|it| unreachable(it.to_string()))?;
    let status = response.status().as_u16();
    let body: Value = response.body_mut().read_json().map_err(|it| unreachable(it.to_string()))?;
    if status < 400 {
        return Ok(body);
    }
    let detail = body["detail"].as_str().map_or_else(|| body.to_string(), str::to_owned);
    Err(DemoError::Refused { what, status, detail })
}

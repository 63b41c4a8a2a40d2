//! Errors as the provider words them.
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub struct Problem {
    pub status: u16,
    pub error: Value,
    /// Whether a key remembers it: what was turned away before anything began is not remembered.
    pub is_kept: bool,
}

impl Problem {
    fn of(status: u16, kind: &str, message: impl Into<String>) -> Problem {
        Problem { status, error: json!({"type": kind, "message": message.into()}), is_kept: true }
    }
    fn with(mut self, member: &str, value: impl Into<Value>) -> Problem {
        self.error[member] = value.into();
        self
    }
    pub fn with_code(self, code: &str) -> Problem {
        let doc_url = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
        self.with("code", code).with("doc_url", doc_url)
    }
    pub fn with_object(self, member: &str, object: &Value) -> Problem {
        self.with(member, object.clone())
    }

    /// A parameter is wrong, which is found before anything is done.
    pub fn parameter(name: &str, code: &str, message: impl Into<String>) -> Problem {
        let problem = Problem::of(400, "invalid_request_error", message).with("param", name);
        let problem = if code.is_empty() { problem } else { problem.with_code(code) };
        Problem { is_kept: false, ..problem }
    }
    pub fn missing(name: &str) -> Problem {
        Problem::parameter(name, "parameter_missing", format!("Missing required param: {name}."))
    }
    pub fn no_such(kind: &str, id: &str, name: &str) -> Problem {
        let kind = kind.replace("checkout.session", "checkout session").replace('_', "");
        let problem = Problem::of(404, "invalid_request_error", format!("No such {kind}: '{id}'"));
        problem.with_code("resource_missing").with("param", name)
    }
    /// The object is not in a state in which this can be done.
    pub fn state(code: &str, message: impl Into<String>) -> Problem {
        let problem = Problem::of(400, "invalid_request_error", message);
        if code.is_empty() { problem } else { problem.with_code(code) }
    }
    pub fn card(code: &str, decline_code: Option<&str>, message: &str) -> Problem {
        let problem = Problem::of(402, "card_error", message).with_code(code);
        match decline_code {
            Some(decline_code) => problem.with("decline_code", decline_code),
            None => problem,
        }
    }
    pub fn no_route(method: &str, path: &str) -> Problem {
        let message = format!("Unrecognized request URL ({method}: {path}). The simulator may not have it.");
        Problem { is_kept: false, ..Problem::of(404, "invalid_request_error", message) }
    }
    pub fn unauthorized(message: &str) -> Problem {
        Problem { is_kept: false, ..Problem::of(401, "invalid_request_error", message) }
    }
    /// Who asks may not, or asks in a place where the thing is not.
    pub fn refused(status: u16) -> Problem {
        match status {
            400 => Problem::parameter("email", "email_invalid", "Invalid email address"),
            401 => Problem::unauthorized("Invalid API Key provided."),
            404 => Problem { is_kept: false, ..Problem::no_such("payment_intent", "of another account", "id") },
            _ => {
                let message = "The provided key does not have the required permissions for this endpoint.";
                Problem { is_kept: false, ..Problem::of(status, "invalid_request_error", message) }
            }
        }
    }
    pub fn other_request_under_key(key: &str) -> Problem {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
             using a key other than '{key}' if you meant to execute a different request."
        );
        Problem { is_kept: false, ..Problem::of(400, "idempotency_error", message) }
    }
    pub fn key_in_use(key: &str) -> Problem {
        let message = format!("There is currently another in-progress request using this Idempotent Key: {key}");
        let problem = Problem::of(409, "idempotency_error", message).with_code("idempotency_key_in_use");
        Problem { is_kept: false, ..problem }
    }
    pub fn too_many() -> Problem {
        let message = "Request rate limit exceeded. Learn more about rate limits in the documentation.";
        let problem = Problem::of(429, "invalid_request_error", message).with_code("rate_limit");
        Problem { is_kept: false, ..problem }
    }
    pub fn broken() -> Problem {
        Problem::of(500, "api_error", "An unknown error occurred")
    }
    pub fn locked() -> Problem {
        let message = "This object cannot be accessed right now because another API request is accessing it.";
        let problem = Problem::of(409, "invalid_request_error", message).with_code("lock_timeout");
        Problem { is_kept: false, ..problem }
    }
}

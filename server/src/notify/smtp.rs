//! One conversation with a mail server. What was being said when it refused tells a mailbox that is not there from a
//! server that takes nothing from anybody just now.
//!
//! Invariant: mail is given up for good only where its recipient is refused; all else is tried again.
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Category, Code, Response, Severity};

use super::ONE_TRY;
use super::mail::{MailRoute, Posted, Security, short};

/// What was being said when it was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Who it is from, which is the same for every mail.
    Sender,
    Recipient,
    Content,
}

/// A connection that has said who it is.
pub(super) fn connect(route: &MailRoute, tls: Option<&TlsParameters>) -> Result<SmtpConnection, Error> {
    let (name, wrapped) = (ClientId::default(), tls.filter(|_| route.security == Security::Tls));
    let mut connection = SmtpConnection::connect((&*route.host, route.port), Some(ONE_TRY), &name, wrapped, None)?;
    if let Some(tls) = tls.filter(|_| route.security == Security::StartTls) {
        connection.starttls(tls, &name)?;
    }
    if let Some(credentials) = &route.credentials {
        connection.auth(DEFAULT_MECHANISMS, credentials)?;
    }
    Ok(connection)
}

/// Hands a mail in. After anything but [`Posted::Taken`] the connection is not to be used again.
pub(super) fn hand_in(connection: &mut SmtpConnection, envelope: &Envelope, message: &[u8]) -> Posted {
    let is_ascii = |it: &lettre::Address| AsRef::<str>::as_ref(it).is_ascii();
    let has = |extension| connection.server_info().supports_feature(extension);
    let mut parameters = Vec::new();
    if !envelope.to().iter().chain(envelope.from()).all(is_ascii) {
        if !envelope.to().iter().all(is_ascii) && !has(Extension::SmtpUtfEight) {
            return Posted::Never { said: "the mail server takes no address that is not ASCII".to_owned() };
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !message.is_ascii() && has(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    match told(connection, envelope, parameters, message) {
        Ok(response) => {
            let said = response.first_line().unwrap_or_default();
            Posted::Taken { said: short(&format!("{} {said}", response.code())) }
        }
        Err((step, error)) => {
            let words = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            refused(step, error.status(), &words, short(&error.to_string()))
        }
    }
}

fn told(
    connection: &mut SmtpConnection,
    envelope: &Envelope,
    parameters: Vec<MailParameter>,
    message: &[u8],
) -> Result<Response, (Step, Error)> {
    let at = |step| move |error| (step, error);
    connection.command(Mail::new(envelope.from().cloned(), parameters)).map_err(at(Step::Sender))?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).map_err(at(Step::Recipient))?;
    }
    connection.command(Data).map_err(at(Step::Content))?;
    connection.message(message).map_err(at(Step::Content))
}

/// What a refusal means for the mail; `words` are the server's, `said` is what the log keeps.
fn refused(step: Step, code: Option<Code>, words: &str, said: String) -> Posted {
    let Some(code) = code else { return Posted::Later { said, is_there: false } };
    let is_permanent = code.severity == Severity::PermanentNegativeCompletion;
    if is_permanent && is_of_recipient(step, code, words) {
        return Posted::Never { said };
    }
    // x5x and x0x are about this mail. Others, such as 421 before it hangs up, are about the server, and so is
    // whatever it says to a sender who is always the same.
    let is_about_mail = matches!(code.category, Category::MailSystem | Category::Syntax);
    Posted::Later { said, is_there: is_about_mail && step != Step::Sender }
}

/// Whether it is the recipient that is refused for good. An enhanced code says so, wherever there is one: a quota that
/// is used up, a relay that is not allowed and a mailbox that is not there are all a plain 550.
fn is_of_recipient(step: Step, code: Code, words: &str) -> bool {
    match (step, enhanced(words)) {
        (Step::Sender, _) => false,
        // Of addresses, but for the two that are about the sender's; and a mailbox that was closed.
        (_, Some((1, detail))) => !matches!(detail, 7 | 8),
        (_, Some(status)) => status == (2, 1),
        (Step::Recipient, None) => matches!(u16::from(code), 550 | 551 | 553),
        (Step::Content, None) => false,
    }
}

/// Subject and detail of the enhanced status code that words begin with (RFC 3463): 1 and 6 of `5.1.6`.
fn enhanced(words: &str) -> Option<(u16, u16)> {
    let mut parts = words.split_whitespace().next()?.split('.');
    let class = parts.next()?;
    let (subject, detail) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (matches!(class, "4" | "5") && parts.next().is_none()).then_some((subject, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recipient_who_is_refused_is_given_up() {
        let (never, waits, gone) = ("never", "later", "later, and the server is not there");
        for (step, answer, expected) in [
            (Step::Recipient, "550 no such user", never),
            (Step::Recipient, "550 5.1.1 no such user", never),
            (Step::Recipient, "553 5.1.3 no address", never),
            (Step::Recipient, "550 5.2.1 disabled", never),
            (Step::Recipient, "556 5.1.10 the domain takes no mail", never),
            (Step::Content, "550 5.1.1 no such user", never),
            (Step::Recipient, "550 5.4.5 daily quota exceeded", waits),
            (Step::Recipient, "554 5.7.1 relay access denied", waits),
            (Step::Recipient, "554 no", waits),
            (Step::Recipient, "552 5.2.2 mailbox full", waits),
            (Step::Recipient, "450 4.1.1 greylisted", waits),
            (Step::Content, "550 rejected", waits),
            (Step::Content, "554 5.7.1 spam", waits),
            (Step::Content, "451 later", waits),
            (Step::Content, "421 4.3.2 shutting down", gone),
            (Step::Sender, "550 5.1.1 who are you", gone),
            (Step::Sender, "550 5.1.8 your domain is unknown", gone),
            (Step::Sender, "530 5.7.0 log in first", gone),
        ] {
            let response: Response = format!("{answer}\r\n").parse().unwrap();
            let words = response.first_line().unwrap();
            let is = match refused(step, Some(response.code()), words, String::new()) {
                Posted::Never { .. } => never,
                Posted::Later { is_there: true, .. } => waits,
                _ => gone,
            };
            assert_eq!(is, expected, "{step:?}: {answer}");
        }
        let silent = refused(Step::Recipient, None, "", String::new());
        assert_eq!(silent, Posted::Later { said: String::new(), is_there: false });
    }
}

//! Notices from the provider: believed when their signature is right and fresh, and read as events.
//!
//! The signature covers the time it was made, so that a stolen notice cannot be told again later. A header may carry
//! several signatures, and we may have several secrets, while one is being changed for another.
use billing::time::{Span, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::words::Notice;
use super::{Provider, read};

/// How far a signature's time may be from ours, either way.
const TOLERANCE: Span = Span::SECOND.times(300);

/// Signatures looked at in one header.
const SIGNATURES_MAX: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeFault {
    /// The header is missing its time or its signature, or is not of this form.
    NoSignature,
    /// None of the signatures was made with any of our secrets over this very body.
    WrongSignature,
    /// Made too long ago, or by a clock that is ahead.
    Stale,
    /// Signed, and not a notice.
    Malformed,
}

impl Provider {
    /// Checks and reads a notice: `signature` is the header it came with, `now` our time.
    ///
    /// # Errors
    /// When it is not to be believed. Nothing of it may be used then.
    pub fn read_notice(&self, body: &[u8], signature: &str, now: Timestamp) -> Result<Notice, NoticeFault> {
        let (said_at, signatures) = parts(signature).ok_or(NoticeFault::NoSignature)?;
        let is_ours = self
            .notice_secrets
            .iter()
            .any(|secret| signatures.iter().any(|it| is_signed(secret.expose().as_bytes(), said_at, body, it)));
        if !is_ours {
            return Err(NoticeFault::WrongSignature);
        }
        let seconds: i64 = said_at.parse().map_err(|_| NoticeFault::NoSignature)?;
        let made_at = Timestamp::EPOCH + Span::SECOND.times(seconds);
        if made_at + TOLERANCE < now || now + TOLERANCE < made_at {
            return Err(NoticeFault::Stale);
        }
        let object: serde_json::Value = serde_json::from_slice(body).map_err(|_| NoticeFault::Malformed)?;
        if object["object"] != "event" || !object["data"]["object"].is_object() {
            return Err(NoticeFault::Malformed);
        }
        read::notice(&object).map_err(|_| NoticeFault::Malformed)
    }
}

/// The time as it stands there and the signatures of the scheme we know, of `t=…,v1=…,v1=…,v0=…`.
fn parts(header: &str) -> Option<(&str, Vec<Vec<u8>>)> {
    let pairs = || header.split(',').filter_map(|it| it.trim().split_once('='));
    let at = pairs().find(|it| it.0 == "t")?.1;
    // Longer than any time in seconds this side of the year 30 million: not worth hashing.
    let is_time = (1..=15).contains(&at.len()) && at.bytes().all(|it| it.is_ascii_digit());
    let signatures: Vec<Vec<u8>> =
        pairs().filter(|it| it.0 == "v1").take(SIGNATURES_MAX).filter_map(|it| from_hex(it.1)).collect();
    (is_time && !signatures.is_empty()).then_some((at, signatures))
}

/// Compares in constant time.
fn is_signed(secret: &[u8], at: &str, body: &[u8], signature: &[u8]) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length will do");
    mac.update(at.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(signature).is_ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..32).map(|it| u8::from_str_radix(text.get(2 * it..2 * it + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Event, Patience, PaymentStatus, Secret};
    use super::*;

    const BODY: &str = concat!(
        r#"{"id":"evt_1","object":"event","created":1763800000,"livemode":false,"type":"payment_intent.succeeded","#,
        r#""data":{"object":{"id":"pi_1","object":"payment_intent","amount":1000,"amount_received":1000,"#,
        r#""currency":"eur","status":"succeeded","created":1763799990,"metadata":{"scrip_id":"payment_x"}}}}"#,
    );
    // Of `1763800000.` and the body, by Python's hmac, with the secrets `whsec_first` and `whsec_second`.
    const FIRST: &str = "4210026eb291ae0385abe3691d3c21bb36b76f465a3b9139953b044b5bd55e0b";
    const SECOND: &str = "073755215def9330cdd1712b636f3b7d73251ee229089efe8709631928cc73a8";
    const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn read(body: &str, header: &str, seconds: i64) -> Result<Notice, NoticeFault> {
        let provider = Provider::new(
            Access {
                url: String::new(),
                secret_key: Secret::new("sk"),
                publishable_key: None,
                notice_secrets: vec![Secret::new("whsec_first"), Secret::new("whsec_second")],
            },
            Patience::default(),
        );
        provider.read_notice(body.as_bytes(), header, Timestamp::EPOCH + Span::SECOND.times(seconds))
    }

    #[test]
    fn signatures() {
        use NoticeFault::*;
        let at = 1_763_800_000;
        let check = |header: &str, seconds: i64, expected: Result<(), NoticeFault>| {
            assert_eq!(read(BODY, header, seconds).map(drop), expected, "{header} at {seconds}");
        };
        check(&format!("t={at},v1={FIRST}"), at, Ok(()));
        check(&format!("t={at},v1={FIRST},v0={OTHER}"), at, Ok(()));
        // While the secret changes: either of ours, any of theirs.
        check(&format!("t={at},v1={SECOND}"), at, Ok(()));
        check(&format!("t={at},v1={OTHER},v1={SECOND}"), at, Ok(()));
        check(&format!("v1={SECOND}, t={at}"), at, Ok(()));
        check(&format!("t={at},v1={FIRST}"), at + 300, Ok(()));
        check(&format!("t={at},v1={FIRST}"), at - 300, Ok(()));
        check(&format!("t={at},v1={FIRST}"), at + 301, Err(Stale));
        check(&format!("t={at},v1={FIRST}"), at - 301, Err(Stale));
        check(&format!("t={},v1={FIRST}", at + 1), at, Err(WrongSignature));
        check(&format!("t=0{at},v1={FIRST}"), at, Err(WrongSignature));
        check(&format!("t={at},v1={OTHER}"), at, Err(WrongSignature));
        check(&format!("t={at},v0={FIRST}"), at, Err(NoSignature));
        check(&format!("t={at},v1={}", &FIRST[1..]), at, Err(NoSignature));
        check(&format!("t={at},v1=é{}", &FIRST[2..]), at, Err(NoSignature));
        check(&format!("v1={FIRST}"), at, Err(NoSignature));
        check(&format!("t=-{at},v1={FIRST}"), at, Err(NoSignature));
        check("", at, Err(NoSignature));
        assert_eq!(read(&BODY.replace("1000", "9000"), &format!("t={at},v1={FIRST}"), at), Err(WrongSignature));
    }

    #[test]
    fn a_notice_reads_in_our_words() {
        let notice = read(BODY, &format!("t=1763800000,v1={FIRST}"), 1_763_800_000).unwrap();
        let Event::Payment(payment) = notice.event else { panic!("{notice:?}") };
        assert_eq!((payment.ours.as_deref(), payment.status), (Some("payment_x"), PaymentStatus::Succeeded));
        assert_eq!((payment.asked.amount, payment.received, payment.asked.currency.as_str()), (1000, 1000, "eur"));
    }
}

//! Signatures as Standard Webhooks has them (standardwebhooks.com, specification 1.0): HMAC-SHA256 of
//! `id.timestamp.body` with a secret of its own for each endpoint, in base64, one for each secret in force.
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with when it is shown.
const PREFIX: &str = "whsec_";

/// Bytes of chance in a secret.
const BYTES: usize = 32;

/// What an endpoint's notices are signed with. It can be used, and shown where it has to be, and is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    /// A new one.
    ///
    /// # Errors
    /// When the machine has no chance to give.
    pub fn draw() -> Result<SigningSecret, getrandom::Error> {
        let mut bytes = vec![0; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(SigningSecret(bytes))
    }

    /// Reads what [`SigningSecret::reveal`] gave.
    pub fn read(text: &str) -> Option<SigningSecret> {
        STANDARD.decode(text.strip_prefix(PREFIX)?).ok().map(SigningSecret)
    }

    /// As its owner is shown it: `whsec_` and base64.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// `v1,…` over a notice. `at` in seconds since 1970.
    pub(super) fn sign(&self, id: &str, at: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        mac.update(format!("{id}.{at}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_own_example() {
        let secret = SigningSecret::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_read_as_it_was_shown_and_not_printed() {
        let secret = SigningSecret::draw().unwrap();
        assert_eq!(SigningSecret::read(&secret.reveal()), Some(secret.clone()));
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
        assert_eq!(SigningSecret::read("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), None);
        assert_ne!(SigningSecret::draw().unwrap(), secret);
    }
}

//! Telling others: how a notice is signed, where it may be sent, and sending it, as a webhook or as an e-mail.
//!
//! Must never know what a notice is about, who gets it or when it is tried again. Its calls block, as long as the other
//! side takes, up to [`ONE_TRY`]; whoever calls sees to it that nobody waits for that.
mod courier;
mod desk;
mod mail;
mod signature;
mod smtp;
mod target;

pub use courier::{Courier, Letter, Told};
pub use desk::{Desk, Turn};
pub use mail::{Mail, MailRoute, Postbox, Posted};
pub use signature::SigningSecret;
pub use target::{Reach, TargetFault, check_target};

use std::time::Duration;

/// Longest that one try takes, from the name's look-up to the last byte of the answer.
pub const ONE_TRY: Duration = Duration::from_secs(15);

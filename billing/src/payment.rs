//! The life of a payment: one attempt to collect money, and what may become of it.
//!
//! Must never know who collects. Invariant: a payment that has come to its end stays there, except that money which
//! came in after all is always believed: whoever has paid gets what they paid for.
use core::fmt;
use core::str::FromStr;

/// How far a payment has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Asked for, and not answered yet.
    Pending,
    /// Waits for the customer: a page to fill in, a bank to convince.
    RequiresAction,
    /// The money is there; the credits are, too.
    Succeeded,
    /// The money will not come; the reason is said.
    Failed,
    /// Given up before any money moved.
    Canceled,
}

impl Status {
    pub const ALL: [Status; 5] =
        [Status::Pending, Status::RequiresAction, Status::Succeeded, Status::Failed, Status::Canceled];

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::RequiresAction => "requires_action",
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
            Status::Canceled => "canceled",
        }
    }

    /// Nothing more comes of it.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Succeeded | Status::Failed | Status::Canceled)
    }

    /// Whether news of `next` may still be believed. News come late, twice and out of order: what has ended stays as
    /// it ended unless there is money, and a customer who is waited for is not waited for less because of older news.
    pub fn may_become(self, next: Status) -> bool {
        match (self, next) {
            (Status::RequiresAction, Status::Pending) => false,
            (from, Status::Succeeded) => from != Status::Succeeded,
            (from, _) => !from.is_final() && from != next,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for Status {
    type Err = ();
    fn from_str(text: &str) -> Result<Status, ()> {
        Status::ALL.into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// Why no money came, as far as anybody may be told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    InsufficientFunds,
    ExpiredCard,
    IncorrectCode,
    Declined,
    AuthenticationRequired,
    AuthenticationFailed,
    NoPaymentMethod,
    ProcessingError,
    /// The customer left the page, or did not answer the bank.
    Abandoned,
    /// What was collected is not what was asked.
    WrongAmount,
    /// The rule or subscription that asked for it was switched off.
    SwitchedOff,
    /// It would cost more than was agreed to.
    PriceChanged,
    /// The money of an earlier payment is disputed.
    Disputed,
    /// The bank took the money of an earlier payment back.
    DisputeLost,
}

impl Failure {
    pub const ALL: [Failure; 14] = [
        Failure::InsufficientFunds,
        Failure::ExpiredCard,
        Failure::IncorrectCode,
        Failure::Declined,
        Failure::AuthenticationRequired,
        Failure::AuthenticationFailed,
        Failure::NoPaymentMethod,
        Failure::ProcessingError,
        Failure::Abandoned,
        Failure::WrongAmount,
        Failure::SwitchedOff,
        Failure::PriceChanged,
        Failure::Disputed,
        Failure::DisputeLost,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Failure::InsufficientFunds => "insufficient_funds",
            Failure::ExpiredCard => "expired_card",
            Failure::IncorrectCode => "incorrect_code",
            Failure::Declined => "declined",
            Failure::AuthenticationRequired => "authentication_required",
            Failure::AuthenticationFailed => "authentication_failed",
            Failure::NoPaymentMethod => "no_payment_method",
            Failure::ProcessingError => "processing_error",
            Failure::Abandoned => "abandoned",
            Failure::WrongAmount => "wrong_amount",
            Failure::SwitchedOff => "switched_off",
            Failure::PriceChanged => "price_changed",
            Failure::Disputed => "disputed",
            Failure::DisputeLost => "dispute_lost",
        }
    }

    /// What the customer is told, and what to do.
    pub fn in_words(self) -> &'static str {
        match self {
            Failure::InsufficientFunds => "The card has insufficient funds. Use another card, or try again later.",
            Failure::ExpiredCard => "The card has expired. Add one that is valid.",
            Failure::IncorrectCode => "The card's security code was wrong. Check it and try again.",
            Failure::Declined => "The bank declined the payment. Ask the bank, or use another card.",
            Failure::AuthenticationRequired => "The bank wants to hear from you. Open the payment link and confirm it.",
            Failure::AuthenticationFailed => "The bank's confirmation failed. Try again, or use another card.",
            Failure::NoPaymentMethod => "There is no card to charge. Add one.",
            Failure::ProcessingError => "The payment could not be processed. No money was taken; try again.",
            Failure::Abandoned => "Nobody finished the payment, on its page or at the bank. No money was taken.",
            Failure::WrongAmount => "The amount collected is not the amount asked for. We are looking into it.",
            Failure::SwitchedOff => "It was switched off before the card was charged. No money was taken.",
            Failure::PriceChanged => "It costs more now than was agreed to. Look at the price, and set it again.",
            Failure::DisputeLost => "A payment was disputed and the bank took it back. Set it again to go on.",
            Failure::Disputed => "A payment is disputed. Nothing is charged until that is settled.",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for Failure {
    type Err = ();
    fn from_str(text: &str) -> Result<Failure, ()> {
        Failure::ALL.into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// Whether a text holds what looks like a card number: digits, spaces and hyphens between them aside, as many as the
/// issuers give, that begin as theirs do and pass the check of ISO/IEC 7812 (Luhn). Ids of systems are long numbers,
/// too, and one in ten passes that check by chance: lengths and beginnings that no large issuer uses do not count.
pub fn looks_like_card_number(text: &str) -> bool {
    let mut digits = [0_u8; CARD_DIGITS_MAX];
    let mut count = 0;
    let (mut is_whole, mut is_dialled) = (true, false);
    let mut before = b'.';
    let mut began_at = 0;
    for (place, byte) in text.bytes().chain(core::iter::once(b'.')).enumerate() {
        match byte {
            b'0'..=b'9' => {
                if count == 0 {
                    began_at = place;
                    // Digits that hang on letters are part of a longer name.
                    is_whole = !before.is_ascii_alphabetic() && before != b'_';
                    is_dialled = before == b'+';
                }
                if count < CARD_DIGITS_MAX {
                    digits[count] = byte - b'0';
                }
                count += 1;
            }
            b' ' | b'-' if 0 < count => {}
            _ => {
                let ends_well = !before.is_ascii_digit() || (!byte.is_ascii_alphabetic() && byte != b'_');
                if is_whole
                    && ends_well
                    && count <= CARD_DIGITS_MAX
                    && is_card(&digits[..count], is_dialled)
                    && !is_in_uuid(text.as_bytes(), (began_at, place))
                {
                    return true;
                }
                count = 0;
            }
        }
        before = byte;
    }
    false
}

/// Whether what stands from the first place to before the second is part of a UUID, whose hyphens may part digits as
/// those of a card number are.
///
/// Source: RFC 9562, section 4.
fn is_in_uuid(text: &[u8], (from, to): (usize, usize)) -> bool {
    let is_other = |it: &u8| !it.is_ascii_hexdigit() && *it != b'-';
    let from = text[..from].iter().rposition(is_other).map_or(0, |it| it + 1);
    let to = text[to..].iter().position(is_other).map_or(text.len(), |it| to + it);
    let hyphens = [8, 13, 18, 23];
    to - from == 36 && (0..36).all(|place| hyphens.contains(&place) == (text[from + place] == b'-'))
}

const CARD_DIGITS_MIN: usize = 12;
const CARD_DIGITS_MAX: usize = 19;

/// Whether so many digits are a card's: of an issuer whose numbers are as long, with a check digit that is right. With
/// a plus before them they may be a telephone's.
fn is_card(digits: &[u8], is_dialled: bool) -> bool {
    if digits.len() < CARD_DIGITS_MIN {
        return false;
    }
    let first = digits[..4].iter().fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    let is_other = digits.len() == 13 && (is_dialled || is_article_or_phone(first, digits));
    is_issued(first, digits.len()) && passes_luhn(digits) && !is_other
}

/// Whether large issuers give numbers of this length that begin with these four digits.
///
/// Source: the ranges and lengths that the networks publish: Visa (13, 16, 19), Mastercard (16), American Express (15),
/// Diners Club (14), Discover and JCB (16 to 19), `UnionPay` (16 to 19), Maestro (12 to 19), Mir (16 to 19). Where
/// a length is rare and long numbers that mean something else are many, it is left out.
fn is_issued(first: u32, length: usize) -> bool {
    let lengths: &[usize] = match first {
        4000..=4999 => &[13, 16, 19],
        2221..=2720 | 5100..=5599 => &[16],
        3400..=3499 | 3700..=3799 => &[15],
        3000..=3099 | 3600..=3699 | 3800..=3999 => &[14],
        2200..=2204 | 3528..=3589 | 6011 | 6440..=6599 => &[16, 19],
        6200..=6299 => &[16, 17, 18, 19],
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 => &[12, 13, 14, 15, 16, 17, 18, 19],
        _ => &[],
    };
    lengths.contains(&length)
}

/// The check of ISO/IEC 7812.
fn passes_luhn(digits: &[u8]) -> bool {
    let weigh = |(place, digit): (usize, &u8)| match (place % 2, u32::from(*digit) * 2) {
        (0, _) => u32::from(*digit),
        (_, doubled) => doubled / 10 + doubled % 10,
    };
    digits.iter().rev().enumerate().map(weigh).sum::<u32>() % 10 == 0
}

/// Thirteen digits that mean something else, as most do: the article number on a package (EAN-13, by its own check
/// digit), or a telephone's, as Germany's mobile numbers begin.
fn is_article_or_phone(first: u32, digits: &[u8]) -> bool {
    let weigh = |(place, digit): (usize, &u8)| u32::from(*digit) * if place % 2 == 0 { 1 } else { 3 };
    digits.iter().enumerate().map(weigh).sum::<u32>() % 10 == 0 || matches!(first, 4915..=4917)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_stays_and_late_news_changes_nothing() {
        use Status::*;
        for (from, may_become) in [
            (Pending, &[RequiresAction, Succeeded, Failed, Canceled][..]),
            (RequiresAction, &[Succeeded, Failed, Canceled]),
            (Succeeded, &[]),
            (Failed, &[Succeeded]),
            (Canceled, &[Succeeded]),
        ] {
            for next in Status::ALL {
                assert_eq!(from.may_become(next), may_become.contains(&next), "{from} to {next}");
            }
        }
    }

    #[test]
    fn every_failure_is_said_in_words_and_read_back() {
        for failure in Failure::ALL {
            assert_eq!(failure.as_str().parse(), Ok(failure));
            assert!(failure.in_words().ends_with('.'));
        }
        assert!(Status::ALL.into_iter().all(|it| it.as_str().parse() == Ok(it)));
    }

    #[test]
    fn a_card_number_is_seen_however_it_is_written() {
        for card in [
            "4242424242424242",
            "4000 0027 6000 3184",
            "my card: 5555-5555-5555-4444!",
            "378282246310005",
            "{\"note\":\"6011111111111117\"}",
            "4242424242424242.",
            "x 4242424242424242 y",
            "4222222222222",
            "6205500000000000004",
            "6200 0000 0000 0005",
            "6759649826438453",
            "5018000000000009",
            "4000000000000000006",
            "30569309025904",
            "3566002020360505",
            "2200000000000004",
            // As much of it as of a UUID, and no UUID.
            "51432822-6786-4693-b20f-7945af06222",
        ] {
            assert!(looks_like_card_number(card), "{card}");
        }
        for other in [
            "",
            "4242424242424241",
            "1795000000000",
            "424242",
            "message_4242424242424242",
            "4242424242424242abc",
            "42424242424242424242424242424242",
            "0.4242",
            "1234567812345670",
            "grant_01jd4242424242424242z",
            // Times in microseconds and nanoseconds, ids of chat services.
            "1795000000000007",
            "1795000000000000004",
            "424242424242424242",
            "42424242424242426",
            // Telephones and articles.
            "+4422222222228",
            "4915100000004",
            "4006381300063",
            // Two of a hundred thousand UUIDs.
            "51432822-6786-4693-b20f-7945af06222e",
            "{\"idempotency_key\":\"51432822-6786-4693-b20f-7945af06222e\"}",
        ] {
            assert!(!looks_like_card_number(other), "{other}");
        }
    }
}

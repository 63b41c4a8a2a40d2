//! Amounts: credits and money, exact integers both. Nothing here rounds; pricing does, once, in `rating`.
use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use core::str::FromStr;

/// An amount of credits in micro-credits (1 credit = 1 000 000).
///
/// Arithmetic with `+` and `-` panics on overflow: amounts enter the engine through `parse` and `rating`, which bound
/// them to [`Credits::MAX`], far enough from the end of `i64` that no account can reach it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Credits(i64);

impl Credits {
    pub const ZERO: Credits = Credits(0);
    /// The most that one grant, charge or hold may move: a billion credits.
    pub const MAX: Credits = Credits(1_000_000_000 * Credits::MICROS);
    /// Micro-credits in a credit.
    pub const MICROS: i64 = 1_000_000;

    pub const fn from_micros(micros: i64) -> Credits {
        Credits(micros)
    }
    /// `whole` credits. Panics at compile time or run time when beyond `i64` micro-credits.
    pub const fn whole(whole: i64) -> Credits {
        Credits(whole * Credits::MICROS)
    }
    pub const fn micros(self) -> i64 {
        self.0
    }
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
    pub const fn is_positive(self) -> bool {
        0 < self.0
    }
    /// For sums that only tell how much there was: at what fits they stay, and nothing fails for it.
    pub fn saturating_add(self, other: Credits) -> Credits {
        Credits(self.0.saturating_add(other.0))
    }
    pub fn checked_add(self, other: Credits) -> Option<Credits> {
        self.0.checked_add(other.0).map(Credits)
    }
    pub fn checked_sub(self, other: Credits) -> Option<Credits> {
        self.0.checked_sub(other.0).map(Credits)
    }
    /// What is missing from `self` to reach `goal`; zero when nothing is.
    pub fn short_of(self, goal: Credits) -> Credits {
        if self < goal { goal - self } else { Credits::ZERO }
    }
    pub fn at_least_zero(self) -> Credits {
        self.max(Credits::ZERO)
    }
}

impl Add for Credits {
    type Output = Credits;
    fn add(self, other: Credits) -> Credits {
        self.checked_add(other).expect("credits of one account fit in i64 micro-credits")
    }
}
impl Sub for Credits {
    type Output = Credits;
    fn sub(self, other: Credits) -> Credits {
        self.checked_sub(other).expect("credits of one account fit in i64 micro-credits")
    }
}
impl Neg for Credits {
    type Output = Credits;
    fn neg(self) -> Credits {
        Credits::ZERO - self
    }
}
impl AddAssign for Credits {
    fn add_assign(&mut self, other: Credits) {
        *self = *self + other;
    }
}
impl SubAssign for Credits {
    fn sub_assign(&mut self, other: Credits) {
        *self = *self - other;
    }
}
impl Sum for Credits {
    fn sum<I: Iterator<Item = Credits>>(amounts: I) -> Credits {
        amounts.fold(Credits::ZERO, Add::add)
    }
}

/// Why a text is not an amount of credits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseCreditsError {
    /// Not an optional minus, digits, and an optional point with digits.
    Malformed,
    /// More than six decimal places: less than a micro-credit.
    TooPrecise,
    /// Beyond [`Credits::MAX`] either way.
    TooLarge,
}

impl fmt::Display for ParseCreditsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseCreditsError::Malformed => "is not a decimal number such as \"12.5\"",
            ParseCreditsError::TooPrecise => "has more than 6 decimal places",
            ParseCreditsError::TooLarge => "is beyond 1000000000 credits",
        })
    }
}

impl FromStr for Credits {
    type Err = ParseCreditsError;

    /// Reads `"12.5"`, `"-3"`, `"0.000004"`. No exponent, no sign `+`, no spaces, no bare point.
    fn from_str(text: &str) -> Result<Credits, ParseCreditsError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(ParseCreditsError::Malformed),
            Some(parts) => parts,
            None => (digits, ""),
        };
        let is_digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(ParseCreditsError::Malformed);
        }
        if 6 < fraction.len() {
            return Err(ParseCreditsError::TooPrecise);
        }
        let mut micros: i64 = 0;
        let padding = core::iter::repeat_n(b'0', 6 - fraction.len());
        for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
            micros = micros
                .checked_mul(10)
                .and_then(|it| it.checked_add(i64::from(digit - b'0')))
                .filter(|it| *it <= Credits::MAX.0)
                .ok_or(ParseCreditsError::TooLarge)?;
        }
        Ok(Credits(if negative { -micros } else { micros }))
    }
}

/// An amount as text, without room of its own to keep it in.
#[derive(Clone, Copy)]
pub struct CreditsText {
    bytes: [u8; CreditsText::LENGTH_MAX],
    start: usize,
}

impl CreditsText {
    /// A sign, 13 digits, a point, 6 digits.
    const LENGTH_MAX: usize = 21;

    fn push(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[self.start] = byte;
    }
    fn push_digit(&mut self, of: u64) {
        self.push(b"0123456789"[(of % 10) as usize]);
    }
}

impl core::ops::Deref for CreditsText {
    type Target = str;
    fn deref(&self) -> &str {
        core::str::from_utf8(&self.bytes[self.start..]).expect("digits are ASCII")
    }
}

impl Credits {
    /// The shortest exact decimal: `12.5`, `0.000004`, `-3`.
    pub fn text(self) -> CreditsText {
        let mut text = CreditsText { bytes: [b'0'; CreditsText::LENGTH_MAX], start: CreditsText::LENGTH_MAX };
        let (mut whole, mut fraction) = (self.0.unsigned_abs() / 1_000_000, self.0.unsigned_abs() % 1_000_000);
        if fraction != 0 {
            let mut places = 6;
            while fraction % 10 == 0 {
                fraction /= 10;
                places -= 1;
            }
            for _ in 0..places {
                text.push_digit(fraction);
                fraction /= 10;
            }
            text.push(b'.');
        }
        loop {
            text.push_digit(whole);
            whole /= 10;
            if whole == 0 {
                break;
            }
        }
        if self.0 < 0 {
            text.push(b'-');
        }
        text
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// The codes of ISO 4217 that are money in use (list one as of January 2026, without metals, units of account, funds
/// and codes for tests), in their order.
const IN_USE: [&[u8; 3]; 155] = [
    b"aed", b"afn", b"all", b"amd", b"aoa", b"ars", b"aud", b"awg", b"azn", b"bam", b"bbd", b"bdt", b"bhd", b"bif",
    b"bmd", b"bnd", b"bob", b"brl", b"bsd", b"btn", b"bwp", b"byn", b"bzd", b"cad", b"cdf", b"chf", b"clp", b"cny",
    b"cop", b"crc", b"cup", b"cve", b"czk", b"djf", b"dkk", b"dop", b"dzd", b"egp", b"ern", b"etb", b"eur", b"fjd",
    b"fkp", b"gbp", b"gel", b"ghs", b"gip", b"gmd", b"gnf", b"gtq", b"gyd", b"hkd", b"hnl", b"htg", b"huf", b"idr",
    b"ils", b"inr", b"iqd", b"irr", b"isk", b"jmd", b"jod", b"jpy", b"kes", b"kgs", b"khr", b"kmf", b"kpw", b"krw",
    b"kwd", b"kyd", b"kzt", b"lak", b"lbp", b"lkr", b"lrd", b"lsl", b"lyd", b"mad", b"mdl", b"mga", b"mkd", b"mmk",
    b"mnt", b"mop", b"mru", b"mur", b"mvr", b"mwk", b"mxn", b"myr", b"mzn", b"nad", b"ngn", b"nio", b"nok", b"npr",
    b"nzd", b"omr", b"pab", b"pen", b"pgk", b"php", b"pkr", b"pln", b"pyg", b"qar", b"ron", b"rsd", b"rub", b"rwf",
    b"sar", b"sbd", b"scr", b"sdg", b"sek", b"sgd", b"shp", b"sle", b"sos", b"srd", b"ssp", b"stn", b"svc", b"syp",
    b"szl", b"thb", b"tjs", b"tmt", b"tnd", b"top", b"try", b"ttd", b"twd", b"tzs", b"uah", b"ugx", b"usd", b"uyu",
    b"uzs", b"ved", b"ves", b"vnd", b"vuv", b"wst", b"xaf", b"xcd", b"xcg", b"xof", b"xpf", b"yer", b"zar", b"zmw",
    b"zwg",
];

/// An ISO 4217 currency code, kept in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    pub const EUR: Currency = Currency(*b"eur");
    pub const USD: Currency = Currency(*b"usd");

    /// A currency that something may be priced and paid in from now on, upper or lower case. Whoever asks for one is
    /// asked for this; [`str::parse`] also reads what was written down when others passed, or were still in use.
    ///
    /// # Errors
    /// When it is none that ISO 4217 has in use.
    pub fn in_use(text: &str) -> Result<Currency, ParseCurrencyError> {
        let currency: Currency = text.parse()?;
        IN_USE.binary_search(&&currency.0).map(|_| currency).map_err(|_| ParseCurrencyError)
    }
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("three ASCII letters")
    }
    /// Decimal places of the minor unit (ISO 4217): 0 for yen, 3 for dinars, else 2.
    pub fn places(&self) -> u32 {
        match &self.0 {
            b"bif" | b"clp" | b"djf" | b"gnf" | b"isk" | b"jpy" | b"kmf" | b"krw" | b"pyg" | b"rwf" | b"ugx"
            | b"vnd" | b"vuv" | b"xaf" | b"xof" | b"xpf" => 0,
            b"bhd" | b"iqd" | b"jod" | b"kwd" | b"lyd" | b"omr" | b"tnd" => 3,
            _ => 2,
        }
    }
    /// Minor units that amounts are whole multiples of where they are collected or invoiced: ten of three-decimal
    /// currencies, of which card networks settle, and EN 16931 writes, no more than two decimals; a hundred of the
    /// ariary, whose minor unit nobody collects.
    pub fn step(&self) -> i64 {
        match (&self.0, self.places()) {
            (b"mga", _) => 100,
            (_, 3) => 10,
            _ => 1,
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not three ASCII letters, or not those of a currency in use where that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseCurrencyError;

impl FromStr for Currency {
    type Err = ParseCurrencyError;
    fn from_str(text: &str) -> Result<Currency, ParseCurrencyError> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| ParseCurrencyError)?;
        if !bytes.iter().all(u8::is_ascii_alphabetic) {
            return Err(ParseCurrencyError);
        }
        Ok(Currency(bytes.map(|it| it.to_ascii_lowercase())))
    }
}

/// Money in minor units of its currency: 1000 eur is ten euros, 1000 jpy a thousand yen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Money {
    pub amount: i64,
    pub currency: Currency,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn credits_read_and_print_exactly() {
        for (text, micros) in [
            ("0", 0),
            ("12.5", 12_500_000),
            ("0.000004", 4),
            ("-3", -3_000_000),
            ("-0.1", -100_000),
            ("1000000000", 1_000_000_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Credits::from_micros(micros)), "{text}");
            assert_eq!(Credits::from_micros(micros).to_string(), text);
        }
        assert_eq!("007.50".parse(), Ok(Credits::from_micros(7_500_000)));
    }

    #[test]
    fn what_is_not_an_amount_says_why() {
        use ParseCreditsError::*;
        for (text, error) in [
            ("", Malformed),
            ("-", Malformed),
            (".5", Malformed),
            ("5.", Malformed),
            ("+1", Malformed),
            ("1e3", Malformed),
            ("1,5", Malformed),
            (" 1", Malformed),
            ("1.2.3", Malformed),
            ("NaN", Malformed),
            ("٣", Malformed),
            ("0.0000001", TooPrecise),
            ("1.0000000", TooPrecise),
            ("1000000000.000001", TooLarge),
            ("99999999999999999999999999", TooLarge),
        ] {
            assert_eq!(text.parse::<Credits>(), Err(error), "{text}");
        }
    }

    #[test]
    fn currencies_know_their_minor_unit() {
        for (code, places) in [("EUR", 2), ("jpy", 0), ("KWD", 3)] {
            assert_eq!(code.parse::<Currency>().map(|it| it.places()), Ok(places));
        }
        assert_eq!("euro".parse::<Currency>(), Err(ParseCurrencyError));
        assert_eq!("€".parse::<Currency>(), Err(ParseCurrencyError));
    }

    #[test]
    fn a_currency_in_use_is_one_of_iso_4217() {
        assert!(IN_USE.is_sorted_by(|one, next| one < next), "each once, in order, or it would not be found");
        for code in ["eur", "EUR", "jpy", "KWD", "xcg", "zwg", "aed"] {
            assert_eq!(Currency::in_use(code).map(|it| it.as_str().to_uppercase()), Ok(code.to_uppercase()));
        }
        // Made up, misspelt, of the past, metals, units of account, for tests, and none.
        for code in ["zzz", "eru", "euro", "", "dem", "bgn", "hrk", "xau", "xdr", "clf", "xts", "xxx"] {
            assert_eq!(Currency::in_use(code), Err(ParseCurrencyError), "{code}");
        }
        // Written down before, it is read, and none of it is lost.
        assert_eq!("zzz".parse::<Currency>().map(|it| it.places()), Ok(2));
    }

    #[test]
    fn what_has_other_places_than_two_is_in_use() {
        let of = |places| IN_USE.iter().map(|it| Currency(**it)).filter(|it| it.places() == places).count();
        assert_eq!((of(0), of(3)), (16, 7), "as many as `places` names");
        let hundredfold = IN_USE.iter().map(|it| Currency(**it)).filter(|it| it.step() == 100).count();
        assert_eq!(hundredfold, 1);
    }
}

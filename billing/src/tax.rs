//! Tax on what is sold: European VAT on electronic services, by who sells to whom.
//!
//! Credits are a quantity without tax; tax is on the purchase. Must never know how an address was written down: it is
//! given two countries and a tax id. Rates are the standard rates of November 2026, in hundredths of a percent;
//! whoever sells from elsewhere, or has a better adviser, configures no seller's country and so no tax.
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::money::Money;
use crate::time::Timestamp;

/// A rate in hundredths of a percent: 2 100 is 21 %.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Rate(pub u32);

impl Rate {
    pub const ZERO: Rate = Rate(0);
    /// Of those that are built in, Hungary's.
    pub const HIGHEST: Rate = Rate(2_700);
    /// As much tax as what is taxed.
    pub const WHOLE: Rate = Rate(10_000);

    /// Tax on `net`, rounded half up to the minor unit (of three-decimal currencies, to ten): once per invoice, as
    /// Directive 2006/112/EC leaves to the member states and all of them allow.
    pub fn of(self, net: Money) -> Money {
        self.rounded(net, |unit| unit / 2)
    }

    /// Tax on `net`, rounded up: several such bound the tax on as many together, whichever way that is rounded.
    pub fn at_most(self, net: Money) -> Money {
        self.rounded(net, |unit| unit - 1)
    }

    /// Rounded down, once what `more` says of a unit was added.
    fn rounded(self, net: Money, more: impl Fn(i128) -> i128) -> Money {
        let exact = i128::from(net.amount) * i128::from(self.0);
        let step = i128::from(net.currency.step());
        let unit = 10_000 * step;
        let rounded = (exact + more(unit)).div_euclid(unit) * step;
        let amount = i64::try_from(rounded).expect("a tax is less than what is taxed");
        Money { amount, ..net }
    }
}

impl fmt::Display for Rate {
    /// In percent: `21`, `25.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 100 {
            0 => write!(f, "{}", self.0 / 100),
            it if it % 10 == 0 => write!(f, "{}.{}", self.0 / 100, it / 10),
            it => write!(f, "{}.{it:02}", self.0 / 100),
        }
    }
}

/// The text is no rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseRateError;

impl FromStr for Rate {
    type Err = ParseRateError;
    /// Reads percent: `21`, `25.5`; from 0 to 100, with two places at most.
    fn from_str(text: &str) -> Result<Rate, ParseRateError> {
        let (whole, part) = text.split_once('.').map_or((text, None), |it| (it.0, Some(it.1)));
        let is_number =
            |it: &str, most: usize| (1..=most).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit());
        if !is_number(whole, 3) || part.is_some_and(|it| !is_number(it, 2)) {
            return Err(ParseRateError);
        }
        let digits = |it: &str| it.bytes().fold(0, |sum, it| sum * 10 + u32::from(it - b'0'));
        let hundredths = part.map_or(0, |it| if it.len() == 1 { digits(it) * 10 } else { digits(it) });
        Some(Rate(digits(whole) * 100 + hundredths)).filter(|it| *it <= Rate::WHOLE).ok_or(ParseRateError)
    }
}

/// The standard rates of the member states: those that the operator set, each from an instant on, and else those that
/// are built in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rates(Vec<(Country, Timestamp, Rate)>);

impl Rates {
    /// Sets a rate from `from` on, until a later one begins. False for a country that is no member state, and for what
    /// was set from that instant on before.
    pub fn set(&mut self, country: Country, from: Timestamp, rate: Rate) -> bool {
        let is_free = !self.0.iter().any(|it| (it.0, it.1) == (country, from)) && country.vat().is_some();
        if is_free {
            self.0.push((country, from, rate));
        }
        is_free
    }

    /// The rate of a member state at an instant; none elsewhere.
    pub fn at(&self, country: Country, at: Timestamp) -> Option<Rate> {
        let begun = self.0.iter().filter(|it| it.0 == country && it.1 <= at);
        let built_in = country.vat()?;
        Some(begun.max_by_key(|it| it.1).map_or(built_in, |it| it.2))
    }

    /// Nobody pays more, whenever it is.
    pub fn highest(&self) -> Rate {
        self.0.iter().map(|it| it.2).fold(Rate::HIGHEST, Rate::max)
    }
}

/// The codes of ISO 3166-1, and Kosovo's, which is used as if it were one.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE \
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM \
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC \
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO \
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// An ISO 3166-1 alpha-2 country code, in upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// The text is no country's code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseCountryError;

impl Country {
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("two ASCII letters")
    }
    /// The country that this is a part of as far as VAT goes: Monaco is France's (Directive 2006/112/EC, article 7).
    fn for_vat(self) -> Country {
        if self.as_str() == "MC" { Country(*b"FR") } else { self }
    }
    /// The standard VAT rate of a member state of the European Union; none elsewhere.
    pub fn vat(self) -> Option<Rate> {
        MEMBERS.iter().find(|it| it.0.as_bytes() == self.0).map(|it| Rate(it.1))
    }
    fn id_forms(self) -> &'static [&'static str] {
        MEMBERS.iter().find(|it| it.0.as_bytes() == self.0).map_or(&[], |it| it.2)
    }
    /// What a VAT id of a member state looks like: `DE123456789`; none elsewhere.
    pub fn vat_id_example(self) -> Option<String> {
        let form = self.id_forms().first()?;
        let digits = form.bytes().enumerate().map(|(place, it)| match it {
            b'9' => char::from(b'1' + u8::try_from(place % 9).unwrap_or(0)),
            b'X' => 'X',
            exact => char::from(exact),
        });
        Some(self.vat_id_letters().chars().chain(digits).collect())
    }
    /// The letters its VAT ids begin with: Greece's are not its country code.
    pub fn vat_id_letters(&self) -> &str {
        if self.as_str() == "GR" { "EL" } else { self.as_str() }
    }
}

impl FromStr for Country {
    type Err = ParseCountryError;
    fn from_str(text: &str) -> Result<Country, ParseCountryError> {
        let bytes: [u8; 2] = text.as_bytes().try_into().map_err(|_| ParseCountryError)?;
        let country = Country(match &bytes.map(|it| it.to_ascii_uppercase()) {
            // The Union's own names: VAT ids of Greece begin with its.
            b"EL" => *b"GR",
            b"UK" => *b"GB",
            bytes => *bytes,
        });
        // What is no country must be none: it would be outside the Union, and its tax nobody's.
        let is_known = COUNTRIES.split(' ').any(|it| it.as_bytes() == country.0);
        if is_known { Ok(country) } else { Err(ParseCountryError) }
    }
}
impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Member states, their standard rates (Estonia 24 % since July 2025, Romania 21 % since August 2025, Slovakia 23 %
/// since 2025), and the forms of their VAT ids after the letters: 9 a digit, A a letter, X either, as VIES lists them.
const MEMBERS: &[(&str, u32, &[&str])] = &[
    ("AT", 2000, &["U99999999"]),
    ("BE", 2100, &["0999999999", "1999999999"]),
    ("BG", 2000, &["999999999", "9999999999"]),
    ("CY", 1900, &["99999999A"]),
    ("CZ", 2100, &["99999999", "999999999", "9999999999"]),
    ("DE", 1900, &["999999999"]),
    ("DK", 2500, &["99999999"]),
    ("EE", 2400, &["999999999"]),
    ("ES", 2100, &["X9999999X"]),
    ("FI", 2550, &["99999999"]),
    ("FR", 2000, &["XX999999999"]),
    ("GR", 2400, &["999999999"]),
    ("HR", 2500, &["99999999999"]),
    ("HU", 2700, &["99999999"]),
    ("IE", 2300, &["9X99999A", "9999999AA"]),
    ("IT", 2200, &["99999999999"]),
    ("LT", 2100, &["999999999", "999999999999"]),
    ("LU", 1700, &["99999999"]),
    ("LV", 2100, &["99999999999"]),
    ("MT", 1800, &["99999999"]),
    ("NL", 2100, &["999999999B99"]),
    ("PL", 2300, &["9999999999"]),
    ("PT", 2300, &["999999999"]),
    ("RO", 2100, &["99", "999", "9999", "99999", "999999", "9999999", "99999999", "999999999", "9999999999"]),
    ("SE", 2500, &["999999999999"]),
    ("SI", 2200, &["99999999"]),
    ("SK", 2300, &["9999999999"]),
];

/// A VAT id whose form is that of its member state. Whether it was ever given out only VIES knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VatId {
    pub country: Country,
    /// With its letters, without spaces.
    pub text: String,
}

impl VatId {
    /// Reads `LT 100001919017`, `el123456789`: spaces, points and hyphens are nothing.
    pub fn parse(text: &str) -> Option<VatId> {
        let mut plain = String::new();
        for letter in text.chars().filter(|it| !matches!(it, ' ' | '.' | '-')) {
            plain.push(letter.is_ascii_alphanumeric().then(|| letter.to_ascii_uppercase())?);
        }
        let (prefix, rest) = plain.split_at_checked(2)?;
        let country =
            MEMBERS.iter().filter_map(|it| it.0.parse::<Country>().ok()).find(|it| it.vat_id_letters() == prefix)?;
        let fits = country.id_forms().iter().any(|form| {
            form.len() == rest.len()
                && form.bytes().zip(rest.bytes()).all(|(form, it)| match form {
                    b'9' => it.is_ascii_digit(),
                    b'A' => it.is_ascii_alphabetic(),
                    b'X' => true,
                    exact => it == exact,
                })
        });
        fits.then_some(VatId { country, text: plain })
    }
}

/// Why the tax is what it is; what the invoice must say follows from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Treatment {
    /// The seller charges none: no seller's country is configured, or it is outside the Union.
    None,
    /// At the rate of this country.
    Taxed(Country, Rate),
    /// The buyer, a business of another member state, owes the tax itself.
    ReverseCharge,
    /// The buyer is outside the Union: out of scope.
    Export,
}

impl Treatment {
    /// What a sale of electronic services by `seller` to a buyer in `buyer`, with this VAT id, is taxed with. A buyer
    /// whose country is not known is taken to live in the seller's. `rate_of` says the rates of the member states, and
    /// none of other countries.
    pub fn of(
        seller: Option<Country>,
        buyer: Option<Country>,
        vat_id: Option<&VatId>,
        rate_of: impl Fn(Country) -> Option<Rate>,
    ) -> Treatment {
        let [seller, buyer] = [seller, buyer].map(|it| it.map(Country::for_vat));
        let Some(own_rate) = seller.and_then(&rate_of) else { return Treatment::None };
        let seller = seller.expect("it has a rate");
        let buyer = buyer.or(vat_id.map(|it| it.country)).unwrap_or(seller);
        if buyer == seller {
            return Treatment::Taxed(seller, own_rate);
        }
        match rate_of(buyer) {
            None => Treatment::Export,
            Some(_) if vat_id.is_some_and(|it| it.country == buyer) => Treatment::ReverseCharge,
            Some(rate) => Treatment::Taxed(buyer, rate),
        }
    }

    pub fn rate(self) -> Rate {
        match self {
            Treatment::Taxed(_, rate) => rate,
            Treatment::None | Treatment::ReverseCharge | Treatment::Export => Rate::ZERO,
        }
    }

    /// The category of UNCL5305 that EN 16931 wants.
    pub fn category(self) -> &'static str {
        match self {
            Treatment::Taxed(..) => "S",
            Treatment::ReverseCharge => "AE",
            Treatment::Export => "G",
            Treatment::None => "O",
        }
    }

    /// What the law wants the invoice to say.
    pub fn note(self) -> Option<&'static str> {
        match self {
            Treatment::Taxed(..) => None,
            Treatment::None => Some("Not subject to VAT"),
            Treatment::ReverseCharge => Some("Reverse charge: VAT to be accounted for by the recipient"),
            Treatment::Export => Some("Export outside the EU: not subject to EU VAT"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use std::string::ToString;

    fn country(text: &str) -> Country {
        text.parse().unwrap()
    }

    #[test]
    fn nobody_pays_more_than_the_highest_rate() {
        assert_eq!(MEMBERS.iter().map(|it| Rate(it.1)).max(), Some(Rate::HIGHEST));
    }

    #[test]
    fn who_sells_to_whom_decides() {
        for (seller, buyer, vat_id, expected) in [
            ("LT", "LT", "", "S 21"),
            ("LT", "LT", "LT100001919017", "S 21"),
            ("LT", "DE", "", "S 19"),
            ("LT", "DE", "DE136695976", "AE 0"),
            ("LT", "DE", "FR40303265045", "S 19"),
            ("LT", "FI", "", "S 25.5"),
            ("LT", "GR", "EL123456789", "AE 0"),
            ("LT", "EL", "EL123456789", "AE 0"),
            ("LT", "EL", "", "S 24"),
            ("LT", "US", "", "G 0"),
            ("LT", "GB", "", "G 0"),
            ("LT", "UK", "", "G 0"),
            ("LT", "xk", "", "G 0"),
            ("LT", "MC", "", "S 20"),
            ("FR", "MC", "FR40303265045", "S 20"),
            ("LT", "MC", "FR40303265045", "AE 0"),
            // No country's: as if none had been said.
            ("LT", "ZZ", "", "S 21"),
            ("LT", "XX", "", "S 21"),
            ("LT", "XX", "DE136695976", "AE 0"),
            ("LT", "", "", "S 21"),
            ("LT", "", "DE136695976", "AE 0"),
            ("US", "DE", "", "O 0"),
            ("", "DE", "", "O 0"),
        ] {
            let of = |it: &str| it.parse::<Country>().ok();
            let found = Treatment::of(of(seller), of(buyer), VatId::parse(vat_id).as_ref(), Country::vat);
            let said = std::format!("{} {}", found.category(), found.rate());
            assert_eq!(said, expected, "{seller} to {buyer} {vat_id}");
        }
    }

    #[test]
    fn every_member_state_has_its_standard_rate_and_a_form_of_id() {
        // By name, as the Commission lists them, so that a slip in one place does not pass for a rate.
        let listed = "Austria AT 20, Belgium BE 21, Bulgaria BG 20, Croatia HR 25, Cyprus CY 19, Czechia CZ 21, \
            Denmark DK 25, Estonia EE 24, Finland FI 25.5, France FR 20, Germany DE 19, Greece GR 24, Hungary HU 27, \
            Ireland IE 23, Italy IT 22, Latvia LV 21, Lithuania LT 21, Luxembourg LU 17, Malta MT 18, \
            Netherlands NL 21, Poland PL 23, Portugal PT 23, Romania RO 21, Slovakia SK 23, Slovenia SI 22, \
            Spain ES 21, Sweden SE 25";
        for state in listed.split(", ") {
            let said: Vec<&str> = state.split(' ').collect();
            let [_, code, rate] = said[..] else { panic!("{state}") };
            assert_eq!(country(code).vat().map(|it| it.to_string()).as_deref(), Some(rate), "{state}");
            assert!(!country(code).id_forms().is_empty(), "{state}");
            let example = country(code).vat_id_example().unwrap();
            assert_eq!(VatId::parse(&example).map(|it| it.country), Some(country(code)), "{example}");
        }
        assert_eq!((listed.split(", ").count(), MEMBERS.len()), (27, 27));
    }

    #[test]
    fn a_rate_is_percent_with_two_places_at_most() {
        for (text, rate) in [("21", 2_100), ("25.5", 2_550), ("8.25", 825), ("0", 0), ("100", 10_000), ("05.05", 505)] {
            assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
        }
        for text in ["", ".5", "21.", "21.555", "100.01", "999", "1000", "-1", "21 %", "2,5", "1e1", "٢"] {
            assert_eq!(text.parse::<Rate>(), Err(ParseRateError), "{text}");
        }
    }

    #[test]
    fn a_rate_that_was_set_counts_from_its_day_on_until_the_next() {
        let at = Timestamp::from_millis;
        let mut rates = Rates::default();
        assert_eq!((rates.at(country("EE"), at(0)), rates.highest()), (Some(Rate(2_400)), Rate(2_700)));
        assert!(rates.set(country("EE"), at(200), Rate(3_000)) && rates.set(country("EE"), at(100), Rate(2_600)));
        for (millis, rate) in [(99, 2_400), (100, 2_600), (199, 2_600), (200, 3_000), (999, 3_000)] {
            assert_eq!(rates.at(country("EE"), at(millis)), Some(Rate(rate)), "{millis}");
        }
        assert_eq!((rates.at(country("FI"), at(200)), rates.highest()), (Some(Rate(2_550)), Rate(3_000)));
        assert!(!rates.set(country("EE"), at(200), Rate(1)), "set twice");
        assert!(!rates.set(country("US"), at(0), Rate(1)), "no member state");
        assert_eq!(rates.at(country("US"), at(0)), None);
        let rate_of = |it| rates.at(it, at(150));
        assert_eq!(Treatment::of(Some(country("EE")), None, None, rate_of).rate(), Rate(2_600));
    }

    #[test]
    fn ids_have_the_form_of_their_country() {
        for good in [
            "ATU12345678",
            "BE0123456789",
            "BG123456789",
            "CY12345678L",
            "CZ12345678",
            "DE123456789",
            "DK12345678",
            "EE123456789",
            "ESX1234567X",
            "FI12345678",
            "FRXX123456789",
            "EL123456789",
            "HR12345678901",
            "HU12345678",
            "IE1S23456L",
            "IE1234567WA",
            "IT12345678901",
            "LT123456789",
            "LT 100001919017",
            "LU12345678",
            "LV12345678901",
            "MT12345678",
            "NL123456789B01",
            "PL1234567890",
            "PT123456789",
            "RO12",
            "SE123456789012",
            "SI12345678",
            "sk 123.456.7890",
        ] {
            assert!(VatId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "L", "LT", "LT1", "GR123456789", "DE12345678", "DE12345678X", "ATX12345678", "US123456789", "é"]
        {
            assert_eq!(VatId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn tax_is_rounded_half_up_once() {
        for (net, rate, tax) in
            [(1000, 2100, 210), (999, 2100, 210), (50, 2100, 11), (2, 2500, 1), (1, 2500, 0), (0, 2700, 0)]
        {
            let net = Money { amount: net, currency: Currency::EUR };
            assert_eq!(Rate(rate).of(net).amount, tax, "{net:?} at {rate}");
        }
        assert_eq!(Rate(2550).to_string(), "25.5");
    }

    #[test]
    fn tax_on_several_is_never_more_than_the_most_for_each() {
        for (currency, step) in [(Currency::EUR, 1), ("kwd".parse().unwrap(), 10)] {
            for (rate, net, count) in [(1_900, 555, 2), (2_100, 502, 2), (2_400, 510, 2), (2_550, 1_001, 7), (1, 1, 3)]
            {
                let money = |amount: i64| Money { amount: amount * step, currency };
                let most = Rate(rate).at_most(money(net)).amount;
                assert!(Rate(rate).of(money(net * count)).amount <= most * count, "{rate} {net} {count}");
                let one = Rate(rate).of(money(net)).amount;
                assert!(one <= most && most <= one + step && most % step == 0);
            }
        }
    }
}

//! E-invoices before a judge others wrote: the XML schemas of UBL 2.1, and the business rules of EN 16931 as their
//! authors compiled them, run by Saxon. `server/tests/oracle/setup.sh` installs them; whatever is missing fails.
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use billing::invoice::{Invoice, Kind, Line, Number, Party};
use billing::money::{Credits, Money};
use billing::tax::{Country, Treatment, VatId};
use billing::time::Timestamp;
use serde_json::{Value, json};

use super::e_invoice::e_invoice;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate is in a workspace").to_owned()
}

/// What the judge says against the documents: a line a broken rule.
fn judged(documents: &[(String, String)]) -> String {
    let python = workspace().join(".tools/e-invoice/bin/python");
    assert!(python.exists(), "{} is not there: `cargo xtask test` installs it", python.display());
    let mut command = Command::new(python);
    command.arg(workspace().join("server/tests/oracle/judge.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the judge can be asked");
    let asked: Vec<Value> = documents.iter().map(|(name, xml)| json!({"name": name, "xml": xml})).collect();
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(json!(asked).to_string().as_bytes()).expect("the judge listens");
    drop(stdin);
    let answer = child.wait_with_output().expect("the judge answers");
    assert!(answer.status.success(), "the judge failed");
    String::from_utf8(answer.stdout).expect("it writes UTF-8")
}

fn party(name: &str, country: &str, tax_id: &str) -> Party {
    Party {
        name: name.to_owned(),
        street: "Weg <1> & \"2\"".to_owned(),
        city: "Stadt".to_owned(),
        postal_code: "10115".to_owned(),
        country: country.to_owned(),
        tax_id: Some(tax_id.to_owned()).filter(|it| !it.is_empty()),
        email: Some("ada@example.com".to_owned()),
    }
}

/// 5 250 credits for `net`, by a seller to a buyer of these countries and ids.
fn invoice(kind: Kind, seller: (&str, &str), buyer: (&str, &str), net: i64, currency: &str) -> Invoice {
    let country = |it: &str| it.parse::<Country>().ok();
    let treatment = Treatment::of(country(seller.0), country(buyer.0), VatId::parse(buyer.1).as_ref(), Country::vat);
    let currency = currency.parse().expect("a currency");
    Invoice {
        kind,
        number: Number { prefix: "INV".to_owned(), year: 2026, sequence: 42 },
        issued_at: Timestamp::from_millis(1_795_000_000_000),
        seller: party("Hydron UAB", seller.0, seller.1),
        buyer: party("Ada & Söhne ]]> 株式会社", buyer.0, buyer.1),
        currency,
        lines: vec![Line { text: "5,250 credits <Builder>".to_owned(), credits: Credits::whole(5_250), net }],
        treatment,
        tax: treatment.rate().of(Money { amount: net, currency }).amount,
        payment: "payment_01jdxh6z9w8v7t6s5r4q3p2n1m".to_owned(),
        paid_with: None,
        corrects: Some("INV-2026-000041".to_owned()).filter(|_| kind == Kind::CreditNote),
    }
}

#[test]
fn every_kind_of_invoice_is_accepted() {
    let vilnius = ("LT", "LT100001919017");
    let mut documents = Vec::new();
    for kind in [Kind::Invoice, Kind::CreditNote] {
        for (name, seller, buyer, net, currency) in [
            ("at home", vilnius, ("LT", ""), 5_000, "eur"),
            ("to a consumer in the Union", vilnius, ("FI", ""), 4_999, "eur"),
            ("to one of whom nothing is known", vilnius, ("", ""), 1, "eur"),
            ("reverse charge", vilnius, ("DE", "DE136695976"), 5_000, "eur"),
            ("reverse charge to Greece", vilnius, ("GR", "EL123456789"), 5_000, "eur"),
            ("export", vilnius, ("US", "12-3456789"), 5_000, "usd"),
            ("by a seller without VAT", ("US", "98-7654321"), ("LT", "LT100001919017"), 5_000, "usd"),
            ("free of charge", vilnius, ("LT", ""), 0, "eur"),
            ("of no decimals", vilnius, ("LT", ""), 5_001, "jpy"),
            ("of three decimals", vilnius, ("LT", ""), 12_340, "kwd"),
            ("to Greece as the Union calls it", vilnius, ("EL", ""), 5_000, "eur"),
            ("to a country written out, with a VAT id", vilnius, ("GERMANY", "DE136695976"), 5_000, "eur"),
            ("to a country that is none", vilnius, ("XX", ""), 5_000, "eur"),
            ("to Kosovo", vilnius, ("XK", ""), 5_000, "eur"),
            ("to Britain as it calls itself", vilnius, ("UK", ""), 5_000, "eur"),
            ("very much", vilnius, ("HU", ""), 999_999_999_999, "huf"),
        ] {
            let invoice = invoice(kind, seller, buyer, net, currency);
            documents.push((format!("{} {name}", kind.as_str()), e_invoice(&invoice)));
        }
    }
    assert_eq!(judged(&documents), format!("judged {}\n", documents.len()));
}

#[test]
fn the_judge_sees_what_is_wrong() {
    let good = e_invoice(&invoice(Kind::Invoice, ("LT", "LT100001919017"), ("LT", ""), 5_000, "eur"));
    for (wrong, rule) in [
        (good.replace("<cbc:TaxAmount currencyID=\"EUR\">10.50", "<cbc:TaxAmount currencyID=\"EUR\">10.51"), "BR-CO"),
        (good.replace("<cbc:IssueDate>", "<cbc:DueDate>").replace("</cbc:IssueDate>", "</cbc:DueDate>"), "schema"),
    ] {
        assert!(wrong != good);
        assert!(judged(&[("wrong".to_owned(), wrong)]).contains(rule), "{rule}");
    }
}

#[test]
fn a_country_is_a_code_whatever_somebody_typed() {
    for (country, tax_id, code) in [
        ("EL", "", "GR"),
        ("gr", "", "GR"),
        ("UK", "", "GB"),
        ("xk", "", "1A"),
        ("GERMANY", "DE136695976", "DE"),
        ("", "EL123456789", "GR"),
        ("GERMANY", "", "LT"),
        ("XX", "", "LT"),
        ("<&>", "", "LT"),
    ] {
        let xml = e_invoice(&invoice(Kind::Invoice, ("LT", "LT100001919017"), (country, tax_id), 5_000, "eur"));
        let buyer = xml.split("<cac:AccountingCustomerParty>").nth(1).unwrap();
        let printed = buyer.split("IdentificationCode>").nth(1).unwrap().trim_end_matches("</cbc:");
        assert_eq!(printed, code, "{country} {tax_id}");
    }
    // Where nothing is known of the seller either, nothing is said.
    assert!(!e_invoice(&invoice(Kind::Invoice, ("", ""), ("", ""), 5_000, "usd")).contains("cac:Country"));
}

#[test]
fn whatever_is_typed_is_letters_that_xml_knows() {
    let mut invoice = invoice(Kind::Invoice, ("LT", "LT100001919017"), ("LT", ""), 5_000, "eur");
    invoice.buyer.name = "A\u{fffe}d\u{ffff}a\u{0}\u{1b}\u{7f}\u{fffd}\u{1ffff} & 株".to_owned();
    let xml = e_invoice(&invoice);
    assert!(xml.contains("<cbc:RegistrationName>Ada   \u{fffd}\u{1ffff} &amp; 株</cbc:RegistrationName>"), "{xml}");
    // The production Char of XML 1.0, of which a letter is never a surrogate.
    let is_char = |it: char| matches!(it, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(is_char), "{xml}");
}

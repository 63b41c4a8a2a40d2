//! Papers to test and to look at.
use papers::{Attachment, Brand, Column, Day, Fact, Paper, Party, Sum, Table};

pub fn attachment() -> Attachment {
    Attachment {
        name: "INV-2026-000042.xml".into(),
        media_type: "application/xml",
        bytes: b"<?xml version=\"1.0\"?><Invoice/>".to_vec(),
    }
}

fn fact(label: &str, value: &str) -> Fact {
    Fact { label: label.into(), value: value.into() }
}
fn column(title: &str, is_number: bool) -> Column {
    Column { title: title.into(), is_number }
}
fn sum(label: &str, value: &str, is_total: bool) -> Sum {
    Sum { label: label.into(), value: value.into(), is_total }
}
fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

pub fn invoice() -> Paper {
    Paper {
        title: "Invoice".into(),
        number: "INV-2026-000042".into(),
        state: "Paid".into(),
        issued: Day { year: 2026, month: 11, day: 26 },
        headline: "€60.50 paid on 26 November 2026".into(),
        facts: vec![
            fact("Invoice number", "INV-2026-000042"),
            fact("Date of issue", "26 November 2026"),
            fact("Date of supply", "26 November 2026"),
            fact("Paid with", "Visa ending in 4242"),
        ],
        parties: vec![
            Party {
                role: "From".into(),
                name: "Acme Cloud UAB".into(),
                lines: texts(&[
                    "Gedimino pr. 9",
                    "01103 Vilnius",
                    "Lithuania",
                    "VAT LT100001919017",
                    "billing@acme.example",
                ]),
            },
            Party {
                role: "Billed to".into(),
                name: "Lovelace Analytical GmbH".into(),
                lines: texts(&[
                    "Unter den Linden 1",
                    "10117 Berlin",
                    "Germany",
                    "VAT DE136695976",
                    "ada@lovelace.example",
                ]),
            },
        ],
        tables: vec![Table {
            title: String::new(),
            columns: vec![
                column("Description", false),
                column("Credits", true),
                column("Per 100 credits", true),
                column("VAT", true),
                column("Amount", true),
            ],
            rows: vec![texts(&["5,250 credits (Builder)", "5,250", "€0.9524", "21%", "€50.00"])],
            sums: vec![sum("Subtotal", "€50.00", false), sum("VAT 21%", "€10.50", false), sum("Total", "€60.50", true)],
        }],
        notes: texts(&["Reverse charge: VAT to be accounted for by the recipient"]),
        footer: texts(&["Acme Cloud UAB", "VAT LT100001919017"]),
        closing: vec![fact("Payment reference", "payment_01jdxh6z9w8v7t6s5r4q3p2n1m")],
        brand: Brand { name: "Acme Cloud".into(), accent: [0x3a, 0x5b, 0xd9], logo: None },
    }
}

/// Everything in it wants to be something else than text.
pub fn hostile() -> Paper {
    let mut paper = invoice();
    let evil = [
        "#panic(\"run\") #eval(\"1\") *b* _i_ `r` $x^2$ = h <l> @r \\ // c /* d */ ~ -- --- … #{",
        "\u{202e}desrever\u{202c} \u{2066}isolated\u{2069}",
        "株式会社スクリップ 有限公司 주식회사 日本語の長い会社名がここにあります",
        "חברת דוגמה בע\"מ شركة المثال المحدودة mixed with Latin 123",
        "👩‍👩‍👧‍👦🚀🏳️‍🌈 e\u{301} \u{1d504} \u{e001} \u{0}\u{7}",
        "บริษัท ตัวอย่าง จำกัด उदाहरण कंपनी Հայաստան საქართველო",
    ];
    paper.parties[1].name = "W".repeat(5_000);
    paper.parties[1].lines = texts(&evil);
    paper.parties[0].name = evil[2].into();
    paper.headline = evil[0].into();
    paper.facts[3].value = "averyveryverylongvaluewithoutanyspaceinit_0123456789_0123456789".into();
    paper.tables[0].rows = (0..70)
        .map(|it| texts(&[evil[it % evil.len()], "1,234,567.000001", "€0.9524", "21%", "€1,234,567.89"]))
        .collect();
    paper.notes = texts(&evil);
    paper.footer = texts(&evil[..2]);
    paper
}

pub fn credit_note() -> Paper {
    let mut paper = invoice();
    paper.title = "Credit note".into();
    paper.number = "CN-2026-000007".into();
    paper.state = "Refunded".into();
    paper.headline = "€12.10 refunded on 3 December 2026".into();
    paper.brand.accent = [0xb4, 0x53, 0x09];
    paper.facts[0] = fact("Credit note number", "CN-2026-000007");
    paper.facts[2] = fact("Corrects invoice", "INV-2026-000042");
    paper
}

pub fn statement() -> Paper {
    let row = |it: &[&str]| texts(it);
    Paper {
        title: "Usage statement".into(),
        number: "November 2026".into(),
        headline: "4,312.50 credits used in November 2026".into(),
        issued: Day { year: 2026, month: 12, day: 1 },
        facts: vec![
            fact("Account", "lovelace"),
            fact("Period", "1 – 30 November 2026"),
            fact("Time zone", "Europe/Vilnius"),
        ],
        tables: vec![
            Table {
                title: "Balance".into(),
                columns: vec![column("", false), column("Credits", true)],
                rows: vec![
                    row(&["Opening balance", "1,204.25"]),
                    row(&["Purchases", "+5,250"]),
                    row(&["Used", "−4,312.504212"]),
                    row(&["Expired", "−100"]),
                ],
                sums: vec![sum("Closing balance", "2,041.745788", true)],
            },
            Table {
                title: "By meter".into(),
                columns: vec![column("Meter", false), column("Entries", true), column("Credits", true)],
                rows: vec![row(&["AI chat messages", "10,412", "3,100.004212"]), row(&["Servers", "720", "1,212.5"])],
                sums: vec![],
            },
        ],
        footer: texts(&["Acme Cloud UAB", "VAT LT100001919017"]),
        ..invoice()
    }
}

pub fn all() -> Vec<(&'static str, Paper)> {
    vec![
        ("invoice", invoice()),
        ("credit_note", credit_note()),
        ("statement", Paper { parties: vec![], notes: vec![], state: String::new(), ..statement() }),
        ("hostile", hostile()),
    ]
}

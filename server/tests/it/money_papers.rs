//! Invoices and credit notes as files: what they are called, that they are what they say, and that they never change.
use serde_json::{Value, json};

use crate::money_shop::{SELLER, Shop};

const VISA: &str = "4242424242424242";

/// An account with a purchase and a part of it refunded: its invoice and its credit note.
fn papers_of(shop: &Shop) -> (Value, Value) {
    let card = shop.customer("ada", VISA);
    let bought = shop.buy("ada", "order", &json!({"package": "builder", "payment_method": card}));
    assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
    let path = format!("/v1/payments/{}/refund", bought.json()["id"].as_str().unwrap());
    let refunded = shop.server.post(&path, "back", &json!({"credits": 1000, "reason": "too many"}));
    assert_eq!(refunded.json()["status"], "succeeded", "{}", refunded.text);
    let list = shop.server.get("/v1/accounts/ada/invoices").json();
    (list["data"][1].clone(), list["data"][0].clone())
}

fn path(invoice: &Value, form: &str) -> String {
    format!("/v1/invoices/{}{form}", invoice["id"].as_str().unwrap())
}

fn holds(file: &[u8], wanted: &str) -> bool {
    file.windows(wanted.len()).any(|it| it == wanted.as_bytes())
}

#[test]
fn an_invoice_is_a_pdf_called_by_its_number_with_its_twin_inside() {
    let shop = Shop::open();
    let (invoice, note) = papers_of(&shop);
    assert_eq!(invoice["paid_with"], "Visa ending in 4242");
    for paper in [&invoice, &note] {
        let number = paper["number"].as_str().unwrap();
        let (reply, pdf) = shop.server.download(&path(paper, ".pdf"));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/pdf")));
        let disposition = format!("inline; filename=\"{number}.pdf\"");
        assert_eq!(reply.header("content-disposition"), Some(&*disposition));
        assert!(pdf.starts_with(b"%PDF-1.7") && holds(&pdf, "<pdfaid:part>3</pdfaid:part>"));
        assert!(holds(&pdf, &format!("{number}.xml")), "the e-invoice is attached");
        let xml = shop.server.get(&path(paper, ".xml"));
        let disposition = format!("attachment; filename=\"{number}.xml\"");
        assert_eq!(xml.header("content-disposition"), Some(&*disposition));
        assert!(xml.text.contains(&format!("<cbc:ID>{number}</cbc:ID>")));
        assert!(shop.server.get(&path(paper, ".html")).text.contains(number));
    }
    // Amounts, days and places as all pages say them.
    let page = shop.server.get(&path(&invoice, ".html")).text;
    let day = invoice["issued_at"].as_str().unwrap()[..10].to_owned();
    for said in ["€60.50", "€50.00", "5,250", "≈ €0.009524", "VAT 21% (Lithuania)", "Lithuania", "Visa ending in 4242"]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains(&day) && !page.contains("50.00 EUR"), "{page}");
    assert_eq!(note["corrects"], invoice["number"]);
    for wrong in [".doc", ".", ".pdf.pdf"] {
        assert_eq!(shop.server.get(&path(&invoice, wrong)).problem().1, "invoice_not_found", "{wrong}");
    }
}

#[test]
fn an_invoice_never_changes_whoever_its_buyer_becomes() {
    let shop = Shop::open();
    let (invoice, _) = papers_of(&shop);
    let forms = [".pdf", ".xml", ".html", ""];
    let files = || forms.map(|it| shop.server.download(&path(&invoice, it)).1);
    let before = files();
    let profile = json!({
        "name": "Ada & #strong[Söhne] GmbH", "tax_id": "DE136695976",
        "address": {"street": "Weg 1", "city": "Berlin", "postal_code": "10115", "country": "DE"},
    });
    assert_eq!(shop.server.put("/v1/accounts/ada", &profile).status, 200);
    assert!(before == files(), "the same to the byte");
    let again = shop.buy("ada", "again", &json!({"credits": 1000}));
    let next = shop.server.get(&format!("/v1/invoices/{}", again.json()["invoice"].as_str().unwrap())).json();
    assert_eq!(next["buyer"]["name"], "Ada & #strong[Söhne] GmbH");
    assert_eq!((&next["tax"]["amount"], &next["buyer"]["country"]), (&json!(0), &json!("DE")));
    assert!(next["note"].as_str().unwrap().starts_with("Reverse charge"), "{next}");
    assert_eq!(shop.server.download(&path(&next, ".pdf")).0.status, 200);
}

#[test]
fn a_credit_note_names_who_bought_and_so_does_the_invoice_that_answers_it() {
    let shop = Shop::open();
    let bought_by = json!({"name": "Ada Lovelace", "email": "ada@example.com", "tax_id": "LT100001919017",
        "address": {"street": "Pilies 1", "city": "Vilnius", "postal_code": "01123", "country": "LT"}});
    assert_eq!(shop.server.put("/v1/accounts/ada", &bought_by).status, 201);
    let card = shop.card_of("ada", VISA);
    let bought = shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
    let becomes = json!({"name": "Byron GmbH", "email": "b@example.com", "tax_id": "DE136695976",
        "address": {"street": "Weg 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}});
    assert_eq!(shop.server.put("/v1/accounts/ada", &becomes).status, 200);
    let charged = shop.control("GET", "totals", &json!({}))["succeeded"][0]["id"].as_str().unwrap().to_owned();
    let by_hand = shop.refund_by_hand(&charged, 605);
    shop.settle();
    // Nor does it matter that the account has forgotten who it was.
    assert_eq!(shop.server.post("/v1/accounts/ada/close", "close", &json!({})).status, 201);
    shop.control("POST", &format!("refunds/{by_hand}"), &json!({"status": "failed"}));
    shop.settle();
    let papers = shop.server.get("/v1/accounts/ada/invoices").json()["data"].clone();
    let kinds: Vec<&str> = papers.as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["invoice", "credit_note", "invoice"]);
    for paper in papers.as_array().unwrap() {
        assert_eq!((&paper["buyer"]["name"], &paper["buyer"]["city"]), (&json!("Ada Lovelace"), &json!("Vilnius")));
        assert_eq!((&paper["buyer"], &paper["paid_with"]), (&papers[2]["buyer"], &papers[2]["paid_with"]));
    }
}

#[test]
fn the_papers_of_a_period_come_in_one_file_with_an_index() {
    let shop = Shop::open();
    let (invoice, note) = papers_of(&shop);
    let (reply, bytes) = shop.server.download("/v1/accounts/ada/invoices.zip");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/zip")));
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let number = |it: &Value, ending: &str| format!("{}{ending}", it["number"].as_str().unwrap());
    let mut expected = vec!["index.csv".to_owned()];
    for (paper, form) in [(&invoice, ".pdf"), (&invoice, ".xml"), (&note, ".pdf"), (&note, ".xml")] {
        expected.push(number(paper, form));
        let mut inside = Vec::new();
        std::io::Read::read_to_end(&mut zip.by_name(&number(paper, form)).unwrap(), &mut inside).unwrap();
        assert!(inside == shop.server.download(&path(paper, form)).1, "{form}");
    }
    let mut names: Vec<String> = zip.file_names().map(|it| it.unwrap().into_owned()).collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    let mut index = String::new();
    std::io::Read::read_to_string(&mut zip.by_name("index.csv").unwrap(), &mut index).unwrap();
    assert_eq!(index.lines().count(), 3, "{index}");
    assert!(index.contains(&format!("{},invoice,", number(&invoice, ""))), "{index}");
    // Periods are half open, and an empty one is an empty file.
    let issued = invoice["issued_at"].as_str().unwrap();
    let (_, bytes) = shop.server.download(&format!("/v1/accounts/ada/invoices.zip?to={issued}"));
    assert_eq!(zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap().len(), 1);
    let turned = format!("/v1/accounts/ada/invoices.zip?from={issued}&to={issued}");
    assert_eq!(shop.server.get(&turned).problem().2, "to");
}

#[test]
fn an_invoice_is_taken_from_the_page_in_every_form_that_there_is() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let bought = shop.buy("ada", "a", &json!({"credits": 1000, "payment_method": card})).json();
    let invoice = shop.server.get(&format!("/v1/invoices/{}", bought["invoice"].as_str().unwrap())).json();
    let (id, number) = (invoice["id"].as_str().unwrap(), invoice["number"].as_str().unwrap());
    let cookie = crate::pages::visit(&shop.server, "ada", "viewer");
    let page = shop.server.browse("/settings/billing", &cookie).text;
    for (form, media_type) in [
        ("html", "text/html; charset=utf-8"),
        ("pdf", "application/pdf"),
        ("xml", "application/xml"),
        ("json", "application/json"),
    ] {
        let path = format!("/settings/billing/invoices/{id}.{form}");
        assert!(page.contains(&format!("href=\"{path}\"")), "{form}: {page}");
        let file = ureq::get(format!("{}{path}", shop.server.url)).header("cookie", &cookie).call().unwrap();
        let header = |name: &str| file.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(media_type), "{form}: {}", header("content-type"));
        assert!(header("content-disposition").ends_with(&format!("filename=\"{number}.{form}\"")), "{form}");
    }
    let file = shop.server.browse(&format!("/settings/billing/invoices/{id}.json"), &cookie);
    assert_eq!(file.json(), invoice, "what the API says of it");
    for other in ["docx", "JSON", "pdf.json", ""] {
        let missing = shop.server.browse(&format!("/settings/billing/invoices/{id}.{other}"), &cookie);
        assert_eq!(missing.status, 404, "{other}");
    }
    shop.server.account("bob");
    let stranger = crate::pages::visit(&shop.server, "bob", "owner");
    assert_eq!(shop.server.browse(&format!("/settings/billing/invoices/{id}.json"), &stranger).status, 404);
}

#[test]
fn a_period_out_of_all_time_is_refused_at_the_pages_too() {
    let shop = Shop::open();
    shop.server.account("ada");
    let cookie = crate::pages::visit(&shop.server, "ada", "owner");
    let ask = |from: &str, to: &str| {
        shop.server.browse(&format!("/settings/billing/invoices.zip?from={from}&to={to}"), &cookie)
    };
    for (from, to, day) in [
        ("2026-01-01", "9999-12-31", "last"),
        ("2026-01-01", "2500-01-01", "last"),
        ("1969-12-31", "1969-12-31", "first"),
        ("-009999-01-01", "2026-01-01", "first"),
    ] {
        let refused = ask(from, to);
        assert_eq!(refused.status, 422, "{from} to {to}: {}", refused.text);
        let said = format!("The {day} day must be between the years 1970 and 2500.");
        assert!(refused.text.contains(&said), "{from} to {to}");
    }
    // The widest there is.
    let widest = format!("{}/settings/billing/invoices.zip?from=1970-01-01&to=2499-12-31", shop.server.url);
    assert_eq!(ureq::get(widest).header("cookie", &cookie).call().unwrap().status(), 200);
}

#[test]
fn a_lost_dispute_is_credited_and_numbers_have_no_gap_whoever_buys_at_once() {
    let shop = Shop::open();
    let cards: Vec<String> = (0..4).map(|it| shop.customer(&format!("buyer{it}"), VISA)).collect();
    std::thread::scope(|scope| {
        for (buyer, card) in cards.iter().enumerate() {
            let shop = &shop;
            scope.spawn(move || {
                for order in 0..5 {
                    let body = json!({"credits": 1000, "payment_method": card});
                    let bought = shop.buy(&format!("buyer{buyer}"), &format!("order{order}"), &body);
                    assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
                }
            });
        }
    });
    let charged = shop.control("GET", "totals", &json!({}))["succeeded"][0]["id"].as_str().unwrap().to_owned();
    let dispute = shop.control("POST", "disputes", &json!({"payment": charged}));
    let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
    shop.control("POST", &close, &json!({"outcome": "lost"}));
    shop.settle();
    let mut numbers: Vec<String> = Vec::new();
    for buyer in 0..4 {
        let list = shop.server.get(&format!("/v1/accounts/buyer{buyer}/invoices")).json();
        let all = list["data"].as_array().unwrap().iter().map(|it| it["number"].as_str().unwrap().to_owned());
        numbers.extend(all);
    }
    numbers.sort();
    let year = &numbers[0][3..7];
    let mut expected: Vec<String> = (1..=20).map(|it| format!("INV-{year}-{it:06}")).collect();
    expected.insert(0, format!("CN-{year}-000001"));
    assert_eq!(numbers, expected);
}

#[test]
fn a_credit_note_names_who_sold_and_is_counted_with_what_they_sold() {
    let shop = Shop::open();
    let id = crate::money_back::bought(&shop, VISA);
    let other = SELLER.replace("Hydron UAB", "Other GmbH").replace("LT100001919017", "DE136695976");
    let shop = shop.sold_to(&other.replace("\"LT\"", "\"DE\""));
    let refunded = crate::money_back::refund(&shop, &id, "r1", json!({"credits": 100}));
    assert_eq!(refunded.status, 201, "{}", refunded.text);
    shop.settle();
    let papers = shop.server.get("/v1/accounts/ada/invoices").json();
    let note = &papers["data"][0];
    assert_eq!(note["corrects"], papers["data"][1]["number"], "{note}");
    assert_eq!((&note["seller"]["name"], &note["seller"]["tax_id"]), (&json!("Hydron UAB"), &json!("LT100001919017")));
    assert!(note["number"].as_str().unwrap().ends_with("-000001"), "{note}");
}

#[test]
fn each_seller_has_numbers_and_taxes_of_its_own_wherever_it_moves() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let buy = |shop: &Shop, key: &str| {
        let bought = shop.buy("ada", key, &json!({"credits": 1000, "payment_method": card}));
        let invoice = shop.server.get(&format!("/v1/invoices/{}", bought.json()["invoice"].as_str().unwrap())).json();
        (invoice["number"].as_str().unwrap()[9..].to_owned(), invoice["seller"]["name"].as_str().unwrap().to_owned())
    };
    let said = |number: &str, seller: &str| (number.to_owned(), seller.to_owned());
    assert_eq!(buy(&shop, "one"), said("000001", "Hydron UAB"));
    // Another name, address and spelling of the same tax id.
    let moved = SELLER.replace("Gedimino pr. 1", "Konstitucijos pr. 7").replace("LT100001919017", "lt 100001919017");
    let shop = shop.sold_to(&moved.replace("Hydron UAB", "Hydron Cloud UAB"));
    assert_eq!(buy(&shop, "two"), said("000002", "Hydron Cloud UAB"));
    let other = SELLER.replace("Hydron UAB", "Other GmbH").replace("LT100001919017", "DE136695976");
    let shop = shop.sold_to(&other.replace("\"LT\"", "\"DE\""));
    assert_eq!(buy(&shop, "three"), said("000001", "Other GmbH"));
    assert_eq!(buy(&shop, "four"), said("000002", "Other GmbH"));
    let shop = shop.sold_to(SELLER);
    assert_eq!(buy(&shop, "five"), said("000003", "Hydron UAB"));

    let month =
        shop.server.get("/v1/accounts/ada/invoices").json()["data"][0]["issued_at"].as_str().unwrap()[..7].to_owned();
    let report = shop.server.get(&format!("/v1/reports/revenue?month={month}")).json();
    let taxes: Vec<(&str, u64)> = report["taxes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["seller"].as_str().unwrap(), it["invoices"].as_u64().unwrap()))
        .collect();
    assert_eq!(taxes, [("Hydron UAB", 3), ("Other GmbH", 2)]);
    let (_, bytes) = shop.server.download("/v1/accounts/ada/invoices.zip");
    let zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    assert_eq!(zip.len(), 5 * 2 + 1, "those with the same number too");
}

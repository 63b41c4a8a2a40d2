//! The pages at their limits: people who send slowly, accounts with more behind them than a page looks at, streams that
//! outlast what opened them.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::money_shop::Shop;
use crate::pages::{mark_of, visit};
use crate::served::{Served, chat};

const VISA: &str = "4242424242424242";
/// Saves well and is declined when it is charged.
const DECLINES: &str = "4000000000000341";

/// The fields of a form that takes files.
fn multipart(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    format!("{}--x--\r\n", fields.iter().map(part).collect::<String>())
}

/// Begins to send so many bytes to the estimate page, and sends none: what the server says to that.
fn stall(server: &Served, cookie: &str, bytes: usize) -> (BufReader<TcpStream>, String) {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        stream,
        "POST /settings/estimate HTTP/1.1\r\nhost: scrip\r\ncookie: {cookie}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {bytes}\r\nexpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    (stream, line)
}

#[test]
fn uploads_that_stall_on_a_page_leave_the_api_its_room() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "viewer");
    let stalled: Vec<_> = (0..8).map(|_| stall(&server, &cookie, 64 << 20)).collect();
    let waited_for = stalled.iter().filter(|it| it.1.starts_with("HTTP/1.1 100 ")).count();
    let refused = stalled.iter().filter(|it| it.1.starts_with("HTTP/1.1 503 ")).count();
    assert_eq!((waited_for, refused), (1, 7));
    // Nor do they keep off the files of another account.
    server.account("bob");
    let (of_bob, said) = stall(&server, &visit(&server, "bob", "viewer"), 64 << 20);
    assert!(said.starts_with("HTTP/1.1 100 "), "{said}");
    assert_eq!(server.post("/v1/charges/batch", "", &json!([chat("ada", "a", 8_000)])).status, 200);
    let plan = "services:\n  web:\n    image: nginx\n";
    assert_eq!(server.send("/v1/measure/plan", "", "application/yaml", plan).status, 200);
    // What is small takes little room: others still ask what their message would cost.
    let mark = mark_of(&server.browse("/settings/estimate", &cookie).text).to_owned();
    let ask = |text: &str| {
        let fields = [("mark", &*mark), ("kind", "message"), ("model", "gpt-6.1-terra"), ("text", text)];
        server.submit_as("/settings/estimate", &cookie, "multipart/form-data; boundary=x", &multipart(&fields))
    };
    assert!(ask("Why is my build slow?").text.contains("A short reply"));
    drop((stalled, of_bob));
}

#[test]
fn a_message_is_as_long_as_the_api_takes_one_and_no_longer() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "viewer");
    let mark = mark_of(&server.browse("/settings/estimate", &cookie).text).to_owned();
    let ask = |model: &str, text: &str| {
        let fields = [("text", text), ("mark", &*mark), ("kind", "message"), ("model", model)];
        server.submit_as("/settings/estimate", &cookie, "multipart/form-data; boundary=x", &multipart(&fields))
    };
    for (model, text) in [("gpt-6.1-terra", "a".repeat((24 << 20) + 1)), (&*"m".repeat(257), "hello".to_owned())] {
        let refused = ask(model, &text);
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains("a message 24 MiB"), "{}", refused.text);
    }
    // A form that says it is too large is answered before it is sent.
    let (mut stream, line) = stall(&server, &cookie, 80 << 20);
    assert!(line.starts_with("HTTP/1.1 422 "), "{line}");
    let mut page = vec![0; 2_000];
    stream.read_exact(&mut page).unwrap();
}

#[test]
fn a_page_that_looked_at_its_limit_offers_to_go_on_and_does_not_say_that_there_is_nothing() {
    let server = Served::start();
    server.account("ada");
    let of = |project: &str, key: usize| {
        let mut charge = chat("ada", &format!("{project}-{key}"), 8);
        charge["project"] = json!(project);
        charge
    };
    assert_eq!(server.charge(&of("old", 0)).status, 201);
    let many: Vec<Value> = (0..5_000).map(|key| of("new", key)).collect();
    assert_eq!(server.post("/v1/charges/batch", "", &json!(many)).json()["refused"], 0);
    let cookie = visit(&server, "ada", "viewer");
    let further = |path: &str| {
        let page = server.browse(path, &cookie).text;
        assert!(!page.contains("No entries") && !page.contains("No more entries"), "{path}");
        let said = "Nothing that fits the range and the filters among the newest 5,000 entries.";
        let (_, rest) = page.split_once(said).unwrap_or_else(|| panic!("{path}: {page}"));
        let href = rest.split_once("<a class=\"nowrap\" href=\"").unwrap().1.split('"').next().unwrap();
        href.replace("&#38;", "&").replace("&amp;", "&")
    };
    for path in ["/settings/activity?project=old", "/settings/usage?project=old"] {
        let found = server.browse(&further(path), &cookie).text;
        assert!(found.contains("AI chat message") && !found.contains("Look further back"), "{found}");
    }
    let nothing = server.browse(&further("/settings/activity?project=none"), &cookie).text;
    assert!(nothing.contains("No more entries in this range."), "{nothing}");
    let file = server.browse("/settings/activity.csv?project=old", &cookie);
    assert_eq!(file.text.lines().count(), 2, "the names, and the charge: {}", file.text);
    assert!(file.header("content-disposition").unwrap().contains("filename=\"activity-"), "it is whole");

    server.account("bob");
    let cookie = visit(&server, "bob", "viewer");
    let nothing = server.browse("/settings/activity?project=none", &cookie).text;
    assert!(nothing.contains("No entries in this range."), "{nothing}");
}

#[test]
fn an_account_that_rested_is_not_called_new() {
    let server = Served::sandbox();
    server.account("ada");
    let looks_new = || server.browse("/settings/usage", &visit(&server, "ada", "viewer")).text;
    assert!(looks_new().contains("Nothing has been used yet"));
    assert_eq!(server.charge(&chat("ada", "a", 8_000)).status, 201);
    server.advance(90 * 86_400);
    let page = looks_new();
    assert!(page.contains("Nothing was used in this range") && !page.contains("Nothing has been used yet"));
}

#[test]
fn a_stream_ends_with_the_key_or_the_session_that_opened_it() {
    let mut server = Served::start();
    server.account("ada");
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().into();
    let open = |path: &str, header: &str, value: &str| {
        let answer = agent.get(format!("{}{path}", server.url)).header(header, value).call().unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let mut stream = BufReader::new(answer.into_body().into_reader());
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("event: balance"), "{line}");
        stream
    };
    let cookie = visit(&server, "ada", "viewer");
    let page = server.browse("/settings/usage", &cookie).text;
    let minted = server.post("/v1/api-keys", "", &json!({"name": "reader", "scopes": ["read"]})).json();
    let secret = minted["secret"].as_str().unwrap().to_owned();
    let of_session = open("/settings/stream?account=ada", "cookie", &cookie);
    // A page of another account, opened before this one in another tab, hears nothing.
    assert_eq!(server.browse("/settings/stream?account=bob", &cookie).status, 204);
    let of_key = open("/v1/accounts/ada/events", "authorization", &format!("Bearer {secret}"));
    server.submit("/sign-out", &cookie, &format!("mark={}", mark_of(&page)));
    let revoked = server.delete(&format!("/v1/api-keys/{}", minted["id"].as_str().unwrap()));
    assert!(revoked.status < 300, "{}", revoked.text);
    // An account that moves all the while keeps neither open.
    let charged: Vec<_> = (0..50).map(|it| chat("ada", &format!("{it}"), 8)).collect();
    assert!(charged.iter().all(|it| server.charge(it).status == 201));
    for mut stream in [of_session, of_key] {
        std::io::copy(&mut stream, &mut std::io::sink()).expect("it ends, and in good order");
    }
    server.as_key(&secret, |it| assert_eq!(it.get("/v1/accounts/ada/balance").status, 401));
    // A browser whose stream ended comes back; to this answer alone it does not come back again.
    for cookie in [&*cookie, ""] {
        let again = server.browse("/settings/stream", cookie);
        assert_eq!((again.status, &*again.text), (204, ""));
    }
}

#[test]
fn a_purchase_has_its_tax_and_its_state_however_many_payments_came_after() {
    let shop = Shop::open();
    let good = shop.customer("ada", VISA);
    let bought = shop.buy("ada", "good", &json!({"credits": 1000, "payment_method": good}));
    assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
    shop.save_card("ada", DECLINES);
    let methods = shop.server.get("/v1/accounts/ada/payment-methods").json();
    let mut cards = methods["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap());
    let bad = cards.find(|it| *it != good).unwrap();
    for n in 0..201 {
        let tried = shop.buy("ada", &format!("bad_{n}"), &json!({"credits": 1000, "payment_method": bad}));
        assert!(tried.text.contains("failed") || tried.text.contains("declined"), "{}", tried.text);
    }
    let cookie = visit(&shop.server, "ada", "owner");
    let row_of = |path: &str| {
        let page = shop.server.browse(path, &cookie).text;
        let table = page.split_once("Credit purchases, table").expect("it has purchases").1.to_owned();
        table.split_once("</table>").unwrap().0.to_owned()
    };
    for path in ["/settings/billing/history?of=purchases", "/settings/billing"] {
        let row = row_of(path);
        assert!(row.contains("€2.10") && row.contains(">paid<"), "{path}: {row}");
        assert!(row.contains(bought.json()["id"].as_str().unwrap()), "{path}: {row}");
    }
}

#[test]
fn purchases_are_found_behind_any_number_of_gifts() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    for n in 0..2 {
        let bought = shop.buy("ada", &format!("b{n}"), &json!({"credits": 1000, "payment_method": card}));
        assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
    }
    for n in 0..60 {
        let gift = json!({"credits": "1", "source": "promo", "reason": "A gift"});
        assert_eq!(shop.server.post("/v1/accounts/ada/grants", &format!("g{n}"), &gift).status, 201);
    }
    let cookie = visit(&shop.server, "ada", "owner");
    for path in ["/settings/billing/history", "/settings/billing"] {
        let page = shop.server.browse(path, &cookie).text;
        let table = page.split_once("Credit purchases, table").expect("it has purchases").1.split_once("</table>");
        assert_eq!(table.unwrap().0.matches(">paid<").count(), 2, "{path}");
    }
}

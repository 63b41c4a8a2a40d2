//! Moving house with the command an operator types: from a file to PostgreSQL and back, killed on the way, with replies
//! under old keys that are the same to the byte.
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::Schema;
use crate::money_shop::Shop;
use crate::served::{ADMIN, Served, chat};

const VISA: &str = "4242424242424242";

fn migrate(from: &str, to: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrip"));
    command.env_remove("SCRIP_DATABASE_URL").args(["migrate-data", "--from", from, "--to", to]);
    command
}

/// Moves, and says what was moved.
#[track_caller]
fn moved(from: &str, to: &str) -> Value {
    let output = migrate(from, to).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn failed(output: &Output, why: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains(why), "{text}");
}

/// Requests under keys, to be made again.
struct Requests(Vec<(String, String, Value)>);

impl Requests {
    /// Posts, and remembers it.
    #[track_caller]
    fn post(&mut self, server: &Served, path: &str, key: &str, body: &Value) -> Value {
        let reply = server.post(path, key, body);
        assert!([200, 201].contains(&reply.status), "{path}: {}", reply.text);
        self.0.push((path.to_owned(), key.to_owned(), body.clone()));
        reply.json()
    }

    /// What each is answered when it is made again.
    fn again(&self, server: &Served) -> Vec<String> {
        let again = self.0.iter().map(|(path, key, body)| {
            let reply = server.post(path, key, body);
            assert_eq!(reply.header("idempotent-replay"), Some("true"), "{path}: {}", reply.text);
            reply.text
        });
        again.collect()
    }
}

fn field(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("{name}: {value}")).to_owned()
}

/// Everything a platform does, once.
fn live(shop: &Shop) -> Requests {
    let server = &shop.server;
    let mut told = Requests(Vec::new());
    let card = shop.customer("ada", VISA);
    assert_eq!(server.put("/v1/accounts/bob", &json!({"fingerprints": ["card:1", "device:2"]})).status, 201);
    assert_eq!(server.put("/v1/accounts/ada/projects/shop", &json!({"name": "Shop"})).status, 201);
    let charge = |account: &str, key: &str, tokens: u64| {
        let mut body = chat(account, key, tokens);
        (body["project"], body["actor"]) = (json!("shop"), json!("ada@example.com"));
        body
    };
    let first = told.post(server, "/v1/charges", "", &charge("ada", "c1", 80_000));
    for number in 0..150 {
        told.post(server, "/v1/charges", "", &charge("bob", &format!("b{number}"), 8_000 + number));
    }
    let reverse = format!("/v1/charges/{}/reverse", field(&first, "id"));
    told.post(server, &reverse, "r1", &json!({"credits": "2.5", "reason": "slow"}));
    let hold = |key: &str| {
        json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "credits": "20",
            "expires_in_seconds": 86_000, "idempotency_key": key})
    };
    let holds = ["h1", "h2", "h3"].map(|key| field(&told.post(server, "/v1/holds", "", &hold(key)), "id"));
    told.post(server, &format!("/v1/holds/{}/extend", holds[0]), "e1", &json!({"used": {"input_tokens": 9_000}}));
    let used = json!({"quantities": {"input_tokens": 16_000}});
    told.post(server, &format!("/v1/holds/{}/capture", holds[0]), "cap", &used);
    told.post(server, &format!("/v1/holds/{}/release", holds[1]), "rel", &json!({}));
    let promise = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
        "quantities": {"input_tokens": 16_000}, "binding_for_seconds": 600});
    let quote = field(&told.post(server, "/v1/quotes", "q1", &promise), "id");
    let held = json!({"account": "ada", "quote": quote, "expires_in_seconds": 600, "idempotency_key": "hq"});
    told.post(server, "/v1/holds", "", &held);
    let grant = json!({"credits": "7", "source": "promo", "reason": "sorry"});
    let granted = field(&told.post(server, "/v1/accounts/ada/grants", "g1", &grant), "id");
    told.post(server, &format!("/v1/grants/{granted}/void"), "v1", &json!({"reason": "mistake"}));
    let bought =
        told.post(server, "/v1/accounts/ada/purchases", "p1", &json!({"credits": 1000, "payment_method": card}));
    shop.settle();
    let refund = format!("/v1/payments/{}/refund", field(&bought, "id"));
    told.post(server, &refund, "back", &json!({"credits": "100", "reason": "requested_by_customer"}));
    shop.settle();
    assert_eq!(server.put("/v1/accounts/ada/servers/web", &json!({"tier": "entry-level"})).status, 201);
    for action in ["start", "stop"] {
        assert_eq!(server.post(&format!("/v1/accounts/ada/servers/web/{action}"), "", &json!({})).status, 200);
    }
    server.minted("backend", &["read"]);
    told
}

/// What is shown of it all.
fn shown(server: &Served) -> Vec<String> {
    let lists =
        ["grants", "entries?limit=200", "holds", "projects", "payments", "invoices", "payment-methods", "servers"];
    let of_account = |account: &str| lists.map(|it| format!("/v1/accounts/{account}/{it}"));
    let mut paths: Vec<String> = ["ada", "bob"].iter().flat_map(|it| of_account(it)).collect();
    let whole = ["/v1/accounts", "/v1/api-keys", "/v1/rate-cards", "/v1/packages", "/v1/webhook-endpoints"];
    paths.extend(whole.map(str::to_owned));
    let answer = |path: &String| {
        let reply = server.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.text
    };
    paths.iter().map(answer).collect()
}

fn balances(server: &Served) -> Vec<String> {
    ["ada", "bob"]
        .iter()
        .map(|it| server.get(&format!("/v1/accounts/{it}/balance")).json()["posted"].to_string())
        .collect()
}

/// Kills the command once some of it is done.
fn killed_on_the_way(mut moving: Child, schema: &Schema) {
    let mut hand = schema.hand();
    loop {
        let has_begun = hand.query_one("select count(*) from journal", &[]).is_ok_and(|it| 10 < it.get::<_, i64>(0));
        if has_begun || moving.try_wait().unwrap().is_some() {
            break;
        }
    }
    moving.kill().unwrap();
    moving.wait().unwrap();
}

#[test]
fn a_house_moves_to_postgresql_killed_on_the_way_and_back() {
    let (directory, schema) = (TempDir::new().unwrap(), Schema::new());
    let file = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
    let (old, new, back) = (file("old.db"), schema.url(), file("back.db"));
    let shop = Shop::on(&old);
    let requests = live(&shop);
    let (replies, lists, posted) = (requests.again(&shop.server), shown(&shop.server), balances(&shop.server));
    failed(&migrate(&old, &new).output().unwrap(), "open for writing in another process");
    let shop = {
        let parked = file("parked.db");
        let shop = shop.moved(&parked);
        // Three times killed, each time a little further on; then whole.
        for _ in 0..3 {
            let mut command = migrate(&old, &new);
            command.args(["--transactions-at-once", "1"]).stdout(Stdio::null()).stderr(Stdio::null());
            killed_on_the_way(command.spawn().unwrap(), &schema);
        }
        let said = moved(&old, &new);
        assert_eq!((&said["difference_count"], &said["was_resumed"]), (&json!(0), &json!(true)), "{said}");
        assert_eq!((&said["moved"]["accounts"], &said["moved"]["quotes"]), (&json!(2), &json!(1)), "{said}");
        shop.moved(&new)
    };
    assert_eq!(shown(&shop.server), lists);
    assert_eq!(balances(&shop.server), posted);
    assert_eq!(requests.again(&shop.server), replies);
    assert_eq!(shop.server.charge(&chat("ada", "new", 8_000)).status, 201);
    // A node has served from it: it is a store of its own now.
    failed(&migrate(&old, &new).output().unwrap(), "has been served from since");
    // A quote tells what is available now: a credit less than it was.
    let (replies, lists, posted) = (requests.again(&shop.server), shown(&shop.server), balances(&shop.server));
    let shop = shop.moved(&file("parked again.db"));
    assert_eq!(moved(&new, &back)["difference_count"], 0);
    let shop = shop.moved(&back);
    assert_eq!(shown(&shop.server), lists);
    assert_eq!(balances(&shop.server), posted);
    assert_eq!(requests.again(&shop.server), replies);
}

#[test]
fn what_cannot_be_moved_is_refused_and_a_half_filled_store_is_not_served_from() {
    let (directory, schema) = (TempDir::new().unwrap(), Schema::new());
    let file = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
    let (old, other) = (file("old.db"), file("other.db"));
    for store in [&old, &other] {
        let served = Served::start_with(TempDir::new().unwrap().into(), &[("SCRIP_DATABASE_URL", store)], "");
        served.account("ada");
        served.stop();
    }
    failed(&migrate(&file("none.db"), &old).output().unwrap(), "there is no store at");
    failed(&migrate(&old, &old).output().unwrap(), "the same store");
    failed(&migrate(&old, &other).output().unwrap(), "the target is not empty");
    assert_eq!(moved(&old, &schema.url())["was_resumed"], false);
    // As if it had been killed when all was there, and before that was known.
    let back = "update documents set body = replace(body, '\"done\"', '{\"journal\":2}') where kind = 'moving'";
    assert_eq!(schema.hand().execute(back, &[]).unwrap(), 1);
    let mut serve = Command::new(env!("CARGO_BIN_EXE_scrip"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--admin-key", ADMIN, "--database-url", &schema.url()]);
    failed(&serve.output().unwrap(), "half filled from");
    failed(&migrate(&other, &schema.url()).output().unwrap(), "from another store");
    assert_eq!(moved(&old, &schema.url())["was_resumed"], true);
}

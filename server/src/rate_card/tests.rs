//! Documents as their authors write them, and what is said when they slip.
use billing::money::Credits;
use billing::rating::{Price, RateCard, Usage};

use super::*;

/// A small card in which everything that a card can say is said.
const SMALL: &str = r#"version = 7
effective_at = "2026-12-01T00:00:00Z"

[meters.scan]
label = "Scans"
category = "Our own heading"
quantities = [
    { name = "lines", label = "Lines", unit = "line", required = true },
    { name = "servers", label = "Servers", unit = "server" },
    { name = "seconds", label = "Runtime", unit = "second" },
    { name = "points", label = "Points", unit = "point" },
    { name = "files", label = "Files", unit = "file", informational = true },
]
dimensions = ["kind", "asked", "tree"]
minimum = 1
cap = "100.5"
free_when = { kind = "broken" }
cheaper_of = ["kind", "asked"]
once_per = "tree"

[[meters.scan.rates]]
when = { kind = ["deep", "deep-*"], tree = "x" }
base_fee = "0.000001"
per = 1_000
lines = "0.25"
servers = { flat = 3 }
seconds = { price = "5", per = 3600, minimum_seconds = 60, commitment_seconds = 86400, monthly_cap = "3000" }

[[meters.scan.rates]]
lines = { per = 10, started = true, graduated = [{ up_to = 100, price = "2" }, { price = 1, fee = "4" }] }
servers = { volume = [{ up_to = 3, price = "2" }, { up_to = 9, price = "1" }] }
points = { bands = [{ up_to = 15, fee = "10", name = "S" }, { fee = "20", price = "0.5", name = "M" }] }
seconds = 1
"#;

fn usage(meter: &str, quantities: &[(&str, u64)], dimensions: &[(&str, &str)]) -> Usage {
    Usage {
        meter: meter.into(),
        quantities: quantities.iter().map(|it| (it.0.into(), it.1)).collect(),
        dimensions: dimensions.iter().map(|it| (it.0.into(), it.1.into())).collect(),
    }
}

fn price(card: &RateCard, meter: &str, quantities: &[(&str, u64)], dimensions: &[(&str, &str)]) -> Price {
    card.price(&usage(meter, quantities, dimensions)).unwrap()
}

/// Replaces `from` in the small card, and compares the faults.
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(SMALL.contains(from), "{from}");
    let text = SMALL.replacen(from, to, 1);
    let faults = parse_toml(&text).err().unwrap_or_default();
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{from} -> {to}");
}

#[test]
fn faults_name_line_column_and_field() {
    check("version = 7", "version = 7", &[]);
    check(
        "version = 7",
        "version = ",
        &["line 1, column 11: is not TOML: string values must be quoted, expected literal string"],
    );
    check("version = 7", "version = 0", &["line 1, column 1: `version` must be 1 or more"]);
    check("version = 7", "", &["line 1, column 1: `version` is missing"]);
    check(
        "2026-12-01T00:00:00Z",
        "tomorrow",
        &["line 2, column 16: `effective_at` must be a time with its zone, such as 2026-12-01T00:00:00Z"],
    );
    check(
        "cap = \"100.5\"",
        "cap = 100.5",
        &["line 16, column 7: `meters.scan.cap` is a floating-point number, which is never exact: quote it, \"100.5\""],
    );
    check(
        "\"0.000001\"",
        "\"0.0000001\"",
        &["line 23, column 12: `meters.scan.rates[0].base_fee` has more than 6 decimal places"],
    );
    check(
        "lines = \"0.25\"",
        "lines = \"-0.25\"",
        &["line 25, column 1: `meters.scan.rates[0].lines.price` must not be negative"],
    );
    check(
        "lines = \"0.25\"",
        "lines = \"cheap\"",
        &["line 25, column 9: `meters.scan.rates[0].lines` is not a decimal number such as \"12.5\""],
    );
    check(
        "lines = \"0.25\"",
        "lnes = \"0.25\"",
        &["line 25, column 1: `meters.scan.rates[0].lnes` is not known here; did you mean `lines`?"],
    );
    check(
        "once_per",
        "once_pre",
        &["line 19, column 1: `meters.scan.once_pre` is not known here; did you mean `once_per`?"],
    );
    check(
        "started = true",
        "started = 1",
        &["line 30, column 31: `meters.scan.rates[1].lines.started` must be true or false, not a whole number"],
    );
    check(
        "up_to = 100,",
        "up_to = 95,",
        &["line 30, column 52: `meters.scan.rates[1].lines.graduated[0].up_to` ends inside a package of 10"],
    );
    check("per = 1_000", "per = 0", &["line 24, column 7: `meters.scan.rates[0].per` must be 1 or more"]);
    check(
        "{ flat = 3 }",
        "{ flat = 3, price = 4 }",
        &["line 26, column 11: `meters.scan.rates[0].servers` must have exactly one \
             of `price`, `flat`, `graduated`, `volume` and `bands`"],
    );
    check(
        "cheaper_of = [\"kind\", \"asked\"]",
        "cheaper_of = [\"kind\"]",
        &["line 18, column 14: `meters.scan.cheaper_of` must name two dimensions: \
             the one used, then the one asked for"],
    );
    check(
        "\"Our own heading\"",
        "\"code analysis\"",
        &["line 6, column 12: `meters.scan.category` is not known; did you mean `Code analysis`?"],
    );
    check(
        "kind = \"broken\"",
        "kinds = \"broken\"",
        &["line 17, column 15: `meters.scan.free_when.kinds` names `kinds`, \
             which `dimensions` does not list; it lists: kind, asked, tree"],
    );
    check(
        "{ up_to = 3, price = \"2\" }",
        "{ up_to = 3 }",
        &["line 31, column 23: `meters.scan.rates[1].servers.volume[0]` has neither `price` nor `fee`"],
    );
    check(
        "informational = true",
        "informational = true, required = true",
        &["line 12, column 5: `meters.scan.quantities[4]` cannot be both required and informational"],
    );
    check(
        "seconds = 1",
        "seconds = 1\n[[meters.scan.rates]]\nwhen = { tree = [\"x\", \"y\"] }\nlines = 1\n\
             [[meters.scan.rates]]\nwhen = { tree = \"y\" }\nlines = 1",
        &["line 39, column 1: `meters.scan.rates[3].lines` is priced for the same case in rates[2], \
             and neither row is more particular"],
    );
}

#[test]
fn all_faults_are_said_at_once_and_in_order() {
    let text = SMALL
        .replace("label = \"Scans\"", "lable = 5")
        .replace("cap = \"100.5\"", "cap = true")
        .replace("per = 10,", "per = 1.5,");
    let faults: Vec<String> = parse_toml(&text).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "line 4, column 9: `meters.scan.label` is missing",
            "line 5, column 1: `meters.scan.lable` is not known here; did you mean `label`?",
            "line 16, column 7: `meters.scan.cap` must be an amount of credits such as \"12.5\", not true or false",
            "line 30, column 17: `meters.scan.rates[1].lines.per` must be a whole number, not a floating-point number",
        ]
    );
}

#[test]
fn json_faults_name_their_place_too() {
    let card = r#"{
  "version": 1,
  "effective_at": "2026-12-01T00:00:00Z",
  "meters": {
    "m": {
      "label": "M", "category": "X",
      "quantities": [{"name": "n", "label": "N", "unit": "n"}],
      "rates": [{"n": PRICE}]
    }
  }
}"#;
    let check = |price: &str, expected: &str| {
        let faults = parse_json(&card.replace("PRICE", price)).err().unwrap_or_default();
        assert_eq!(faults.iter().map(ToString::to_string).collect::<String>(), expected, "{price}");
    };
    let place = "line 8, column 23: `meters.m.rates[0].n`";
    check("\"1.5\"", "");
    check("3", "");
    check("1.5", &format!("{place} is a floating-point number, which is never exact: quote it, \"1.5\""));
    check("1e3", &format!("{place} is a floating-point number, which is never exact: quote it, \"1e3\""));
    check(
        "99999999999999999999",
        &format!("{place} is a floating-point number, which is never exact: quote it, \"99999999999999999999\""),
    );
    check("null", &format!("{place} must be an amount of credits such as \"12.5\", not null"));
    check(
        "\"1.5\"}, {\"n\": 1",
        "line 8, column 32: `meters.m.rates[1].n` is priced for the same case in rates[0], \
             and neither row is more particular",
    );
    check("1, \"n\": 2", "line 8, column 26: `n` is given twice");
    check("\"1.5\"]", "line 8, column 28: is not JSON: a comma or a closing } is missing");
    check("{\"price\": 1, \"per\": 0}", "line 8, column 43: `meters.m.rates[0].n.per` must be 1 or more");
}

#[test]
fn hostile_documents_are_refused() {
    let said = |faults: Vec<DocumentFault>| faults[0].to_string();
    let large = format!("# {}", "x".repeat(DOCUMENT_BYTES_MAX));
    assert_eq!(said(parse_toml(&large).unwrap_err()), "the document has more than 1048576 bytes");
    let deep = format!("{{\"version\": {}1{}}}", "[".repeat(9000), "]".repeat(9000));
    assert!(parse_json(&deep).is_err());
    let deep = format!("version = {}1{}", "[".repeat(20), "]".repeat(20));
    assert_eq!(said(parse_toml(&deep).unwrap_err()), "line 1, column 26: is nested too deeply");
    for text in
        ["", "[]", "1", "null", "{}", "\u{feff}{}", "{\"version\": 1", "{\"\\u0000\": 1}", "\"x\"", "{\"é\": \"é\", }"]
    {
        assert!(parse_json(text).is_err(), "{text}");
    }
    for text in ["", "x", "version = 1\nversion = 2", "meters = 1", "[meters]\nx = 1", "[[meters]]\n", "é = 'é"] {
        assert!(parse_toml(text).is_err(), "{text}");
    }
}

/// However much is wrong with a document that is as large as one may be, it is read in one go and told in a hundred
/// faults.
#[test]
fn a_document_of_nothing_but_faults_is_refused_like_others() {
    let keys = |count: usize| (0..count).map(|it| format!("\"\\u006b{it}\": 1")).collect::<Vec<_>>().join(",\n");
    let faults = parse_json(&format!("{{\n{}\n}}", keys(10_000))).err().unwrap();
    assert_eq!(faults.len(), 100);
    assert_eq!((faults[1].field.as_str(), faults[1].line, faults[1].column), ("k1", Some(3), Some(1)));
    let twice = parse_json(&format!("{{\n{},\n\"\\u006b7\": 1}}", keys(9_000))).err().unwrap();
    assert_eq!(twice.len(), 1);
    assert_eq!((twice[0].why.as_str(), twice[0].line), ("is given twice", Some(9_002)));
    // Each name is looked for among all others.
    let names: String = (0..9_000).map(|it| format!("\"d{it}\",")).collect();
    let of_dimensions = |count: usize, when: &str| {
        let names = names.split_inclusive(',').take(count).collect::<String>();
        let meter = format!(
            r#"{{"label": "M", "category": "servers", "quantities": [{{"name": "q", "label": "Q", "unit": "q"}}],
            "dimensions": [{}], "rates": [{{"q": 1, "when": {when}}}]}}"#,
            names.trim_end_matches(',')
        );
        let card = format!(r#"{{"version": 1, "effective_at": "2026-12-01T00:00:00Z", "meters": {{"m": {meter}}}}}"#);
        parse_json(&card).err().unwrap_or_default()
    };
    let why = |faults: Vec<DocumentFault>| faults.into_iter().map(|it| it.why).collect::<Vec<_>>();
    assert_eq!(why(of_dimensions(9_000, "{}")), ["has more than 1000 items"]);
    let unknown = format!("{{{}}}", keys(1_000).replace(": 1", ": \"x\""));
    assert_eq!(of_dimensions(900, &unknown).len(), 100);
    let many = format!("{{\"d1\": [{}]}}", names.trim_end_matches(','));
    assert_eq!(why(of_dimensions(16, &many)), ["has more than 1000 items"]);
}

#[test]
fn what_is_written_reads_back_equal() {
    for text in [SMALL, DEFAULT] {
        let card = parse_toml(text).unwrap();
        let written = to_json(&card).to_string();
        assert_eq!(parse_json(&written).unwrap(), card);
        // Whatever keeps it may sort the keys.
        let pretty = serde_json::to_string_pretty(&to_json(&card)).unwrap();
        assert_eq!(parse_json(&pretty).unwrap(), card);
    }
}

#[test]
fn a_document_means_what_it_says() {
    let card = parse_toml(SMALL).unwrap();
    assert_eq!(card.version(), 7);
    assert_eq!(card.effective_at().millis(), 1_796_083_200_000);
    let total = |quantities: &[(&str, u64)], dimensions: &[(&str, &str)]| {
        price(&card, "scan", quantities, dimensions).credits.to_string()
    };
    // The deep row: the fee, and a quarter credit the thousand; then the minimum of 1.
    assert_eq!(total(&[("lines", 8000)], &[("kind", "deep-7"), ("tree", "x")]), "2.000001");
    assert_eq!(total(&[("lines", 1)], &[("kind", "deep"), ("tree", "x")]), "1");
    // The default row: eleven packages of ten, of which one above a hundred, with its fee.
    assert_eq!(total(&[("lines", 101)], &[]), "25");
    assert_eq!(total(&[("lines", 5), ("points", 17), ("files", 3)], &[("kind", "other")]), "23");
    assert_eq!(total(&[("lines", 5), ("servers", 4), ("seconds", 500)], &[]), "100.5");
    assert_eq!(total(&[("lines", 5)], &[("kind", "broken")]), "0");
}

/// A first charge for each model, as a founder would try it.
#[test]
fn the_default_card_prices_current_models() {
    let card = parse_toml(DEFAULT).unwrap();
    let total = |quantities: &[(&str, u64)], dimensions: &[(&str, &str)]| {
        price(&card, "ai_chat", quantities, dimensions).credits.to_string()
    };
    let message = [("input_tokens", 2000), ("output_tokens", 800)];
    for (model, credits) in [
        ("gpt-6-astra", "7.5"),
        ("gpt-6.1-sol-2026-09-29", "1.5"),
        ("gpt-6-luna", "0.075"),
        ("claude-fable-5-1", "7.5"),
        ("claude-opus-5-5", "3"),
        ("claude-sonnet-5-5", "1.5"),
        ("claude-haiku-5-5", "0.075"),
        ("gemini-3.1-pro-preview", "1.7"),
        ("gemini-3.8-flash", "1.125"),
        ("mistral-large-4", "0.758"),
        ("deepseek-flash", "0.195"),
        ("qwen3.7-plus", "0.425"),
        ("kimi-k2.6", "0.6375"),
        ("llama-3.3-70b", "0.2265"),
        ("gpt-oss-120b", "0.0975"),
    ] {
        assert_eq!(total(&message, &[("model", model)]), credits, "{model}");
    }
    let cached =
        [("input_tokens", 100), ("cached_input_tokens", 10_000), ("cache_write_tokens", 1000), ("output_tokens", 100)];
    assert_eq!(total(&cached, &[("model", "claude-sonnet-5-5")]), "0.5875");
    let hour = [&cached[..], &[("cache_write_1h_tokens", 1000)]].concat();
    assert_eq!(total(&hour, &[("model", "claude-sonnet-5-5")]), "1.0875");
    assert_eq!(total(&message, &[("model", "gpt-6-astra"), ("context", "long")]), "12.5");
    assert_eq!(total(&message, &[("model", "claude-opus-5-5"), ("context", "long")]), "3");
    assert_eq!(total(&message, &[("model", "claude-opus-5-5"), ("asked_model", "claude-haiku-5-5")]), "0.075");
    assert_eq!(total(&message, &[("model", "claude-opus-5-5"), ("outcome", "failed")]), "0");
    let unknown = card.price(&usage("ai_chat", &message, &[("model", "gpt-6-sun")])).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "`dimensions.model` has no price for `gpt-6-sun`; among those known are gpt-6-luna, gpt-6-astra, \
         gpt-6.1-sol"
    );
    // Anthropic's price of what is written for an hour is twice that of input, and for five minutes 1.25 times.
    let rows = &card.meter("ai_chat").unwrap().rows;
    let anthropic = rows.iter().filter(|it| it.when[0].values[0].starts_with("claude"));
    for row in anthropic {
        let dimensions: Vec<(&str, &str)> = row.when.iter().map(|it| (&*it.dimension, &*it.values[0])).collect();
        let written = |name| total(&[("input_tokens", 0), (name, 4_000_000)], &dimensions);
        let input = |count| total(&[("input_tokens", count)], &dimensions);
        assert_eq!(written("cache_write_1h_tokens"), input(8_000_000), "{dimensions:?}");
        assert_eq!(written("cache_write_tokens"), input(5_000_000), "{dimensions:?}");
    }
    let models =
        card.meter("ai_chat").unwrap().rows.iter().flat_map(|it| &it.when).filter(|it| &*it.dimension == "model");
    assert!(12 <= models.count());
}

#[test]
fn the_default_card_prices_analyses_plans_and_servers() {
    let card = parse_toml(DEFAULT).unwrap();
    let analysis = |lines| price(&card, "code_analysis", &[("code_lines", lines), ("files", 9)], &[("tree", "t")]);
    let costs = [0, 1, 1000, 1001, 20_000, 84_210, 100_000, 1_000_000].map(|it| analysis(it).credits.to_string());
    assert_eq!(costs, ["0", "6", "6", "7", "23", "75", "87", "500"]);
    assert_eq!(card.meter("code_analysis").unwrap().once_per.as_deref(), Some("tree"));
    let plan = |points| {
        price(&card, "infra_plan", &[("points", points), ("resources", 3)], &[("band", "M"), ("kind", "compose")])
    };
    let costs = [0, 1, 15, 16, 40, 41, 100, 101, 150, 151].map(|it| plan(it).credits.to_string());
    assert_eq!(costs, ["0", "10", "10", "25", "25", "60", "60", "90", "90", "120"]);
    assert_eq!(&*plan(30).lines[0].item, "Plan complexity, M");
    let server =
        |quantity, amount, tier| price(&card, "server", &[(quantity, amount)], &[("tier", tier), ("region", "eu")]);
    assert_eq!(server("provisioned", 1, "business").credits, Credits::whole(600));
    assert_eq!(server("runtime_seconds", 3600, "entry-level").credits, Credits::whole(4));
    assert_eq!(server("runtime_seconds", 1, "enterprise"), server("runtime_seconds", 60, "enterprise"));
    assert_eq!(server("runtime_seconds", 31 * 86_400, "business").credits, Credits::whole(7500));
    let runtime = card.rate_of(&usage("server", &[], &[("tier", "business")]), "runtime_seconds").unwrap().runtime;
    assert_eq!((runtime.minimum_seconds, runtime.monthly_cap), (60, Some(Credits::whole(7500))));
    let bare_metal = card.price(&usage("server", &[("provisioned", 1)], &[("tier", "metal")]));
    assert_eq!(bare_metal.unwrap_err().field(), Some("dimensions.tier"));
}

/// The free flow: twenty messages, an analysis of 20 000 lines and a medium plan, whatever model is chosen.
#[test]
fn a_welcome_grant_covers_the_free_flow() {
    let welcome = Credits::whole(500);
    let card = parse_toml(DEFAULT).unwrap();
    let analysis = price(&card, "code_analysis", &[("code_lines", 20_000)], &[]).credits;
    let plan = price(&card, "infra_plan", &[("points", 40)], &[]).credits;
    for row in &card.meter("ai_chat").unwrap().rows {
        let dimensions: Vec<(&str, &str)> = row.when.iter().map(|it| (&*it.dimension, &*it.values[0])).collect();
        let message = price(&card, "ai_chat", &[("input_tokens", 2000), ("output_tokens", 800)], &dimensions).credits;
        let messages: Credits = (0..20).map(|_| message).sum();
        assert!(messages + analysis + plan <= welcome, "{dimensions:?}: {messages} + {analysis} + {plan}");
    }
}

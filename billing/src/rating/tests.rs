//! Rating's specification, as tables: a usage on the left, its receipt or refusal on the right.
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use super::*;
use crate::refusal::Refusal;
use crate::time::Timestamp;

mod faults;
mod oracle;
mod versions;

pub(super) fn credits(text: &str) -> Credits {
    text.parse().unwrap()
}

/// `name=12` is a quantity, `name=word` a dimension; the first word is the meter.
pub(super) fn usage(text: &str) -> Usage {
    let mut words = text.split(' ');
    let mut usage = Usage { meter: words.next().unwrap().into(), ..Usage::default() };
    for word in words {
        let (name, value) = word.split_once('=').unwrap();
        match value.parse() {
            Ok(amount) => usage.quantities.push((name.into(), amount)),
            Err(_) => usage.dimensions.push((name.into(), value.into())),
        }
    }
    usage.quantities.sort();
    usage.dimensions.sort();
    usage
}

pub(super) fn when(text: &str) -> Vec<Condition> {
    let condition = |it: &str| {
        let (dimension, values) = it.split_once('=').unwrap();
        Condition { dimension: dimension.into(), values: values.split('|').map(Text::from).collect() }
    };
    text.split_whitespace().map(condition).collect()
}

pub(crate) fn per(price: &str, per: u64) -> Scheme {
    Scheme::Metered { per: NonZeroU64::new(per).unwrap(), started: false, tiers: Tiers::One(credits(price)) }
}

pub(super) fn package(tiers: Tiers, per: u64) -> Scheme {
    Scheme::Metered { per: NonZeroU64::new(per).unwrap(), started: true, tiers }
}

pub(super) fn each(tiers: Tiers) -> Scheme {
    Scheme::Metered { per: NonZeroU64::MIN, started: false, tiers }
}

/// `10:2+5` is a tier up to 10 at 2 with a fee of 5; `*` has no end.
pub(super) fn tiers(text: &str) -> Vec<Tier> {
    let tier = |it: &str| {
        let (up_to, rest) = it.split_once(':').unwrap();
        let (price, fee) = rest.split_once('+').unwrap_or((rest, "0"));
        Tier { up_to: up_to.parse().ok(), price: credits(price), fee: credits(fee), name: None }
    };
    text.split(' ').map(tier).collect()
}

pub(crate) fn row(conditions: &str, rates: Vec<(&str, Scheme)>) -> Row {
    let rate =
        |(quantity, scheme): (&str, Scheme)| Rate { quantity: quantity.into(), scheme, runtime: Runtime::default() };
    Row { when: when(conditions), base_fee: None, rates: rates.into_iter().map(rate).collect() }
}

/// A meter of optional quantities; a name that ends in `!` is required, in `?` informational.
pub(crate) fn meter(name: &str, quantities: &str, dimensions: &str, rows: Vec<Row>) -> Meter {
    let quantity = |it: &str| {
        let name = it.trim_end_matches(['!', '?']);
        let role = match it.as_bytes().last() {
            Some(b'!') => Role::Required,
            Some(b'?') => Role::Informational,
            _ => Role::Optional,
        };
        Quantity { name: name.into(), label: name.into(), unit: "unit".into(), role }
    };
    Meter {
        name: name.into(),
        label: name.into(),
        category: Category::AiConversations,
        quantities: quantities.split_whitespace().map(quantity).collect(),
        dimensions: dimensions.split_whitespace().map(Text::from).collect(),
        rows,
        minimum: None,
        cap: None,
        free_when: Vec::new(),
        cheaper_of: None,
        once_per: None,
    }
}

pub(super) fn card(meters: Vec<Meter>) -> RateCard {
    RateCard::new(1, Timestamp::EPOCH, meters).unwrap()
}

fn receipt(price: &Price) -> String {
    let line = |it: &PriceLine| format!("{} {}*{}/{}={}", it.item, it.quantity, it.unit_price, it.per, it.credits);
    format!("{}: {}", price.credits, price.lines.iter().map(line).collect::<Vec<String>>().join("; "))
}

/// Each usage gives its receipt, or is refused with the sentence after `!`.
fn check(meters: Vec<Meter>, table: &[(&str, &str)]) {
    let card = card(meters);
    for (text, expected) in table {
        let said = match card.price(&usage(text)) {
            Ok(price) => receipt(&price),
            Err(refusal) => format!("! {refusal}"),
        };
        assert_eq!(said, *expected, "{text}");
    }
}

/// Two models by the million, one of which also has a cache to write to.
fn chat() -> Meter {
    let sol = vec![("in", per("200", 1_000_000)), ("out", per("1000", 1_000_000))];
    let opus = vec![("in", per("400", 1_000_000)), ("write", per("500", 1_000_000)), ("out", per("2000", 1_000_000))];
    let rows = vec![row("model=sol|sol-20*", sol), row("model=opus", opus)];
    let mut chat = meter("chat", "in! write out", "model asked outcome note", rows);
    chat.free_when = when("outcome=failed|empty");
    chat.cheaper_of = Some(CheaperOf { used: "model".into(), asked: "asked".into() });
    chat
}

#[test]
fn tokens_cost_what_their_model_says() {
    check(
        vec![chat()],
        &[
            ("chat in=1000000 model=sol", "200: in (sol) 1000000*200/1000000=200"),
            ("chat in=1200 out=350 model=sol", "0.59: in (sol) 1200*200/1000000=0.24; out (sol) 350*1000/1000000=0.35"),
            // An alias is priced, and named, as what it stands for.
            ("chat in=1200 model=sol-2026-09-29", "0.24: in (sol) 1200*200/1000000=0.24"),
            (
                "chat in=5000 write=1000 model=opus",
                "2.5: in (opus) 5000*400/1000000=2; write (opus) 1000*500/1000000=0.5",
            ),
            // No writes to a cache that a model lacks are no reason to refuse.
            ("chat in=1 write=0 model=sol note=x", "0.0002: in (sol) 1*200/1000000=0.0002"),
            ("chat in=0 out=0 model=sol", "0: Nothing to charge 1*0/1=0"),
            ("chat in=7 model=sol outcome=failed", "0: Not charged: failed 1*0/1=0"),
            // What failed before it was measured is free as well.
            ("chat outcome=empty", "0: Not charged: empty 1*0/1=0"),
            ("chat in=5000 model=sol outcome=good", "1: in (sol) 5000*200/1000000=1"),
        ],
    );
}

#[test]
fn what_no_rate_covers_is_refused() {
    check(
        vec![chat()],
        &[
            ("talk in=1", "! `meter` `talk` is not on the rate card; known are chat"),
            ("chat in=1 model=gpt-99", "! `dimensions.model` has no price for `gpt-99`; known are opus, sol"),
            ("chat in=0 model=gpt-99", "! `dimensions.model` has no price for `gpt-99`; known are opus, sol"),
            ("chat in=1 model=solo", "! `dimensions.model` has no price for `solo`; known are sol, opus"),
            ("chat in=1", "! `dimensions.model` is missing: it decides the price of `in`"),
            ("chat in=1 write=1 model=sol", "! `quantities.write` has no price for model `sol`"),
            ("chat out=1 model=sol", "! `quantities.in` is missing: `chat` is charged by it"),
            ("chat in=1 outt=1 model=sol", "! `quantities.outt` is not a quantity of `chat`; known are out, in, write"),
            (
                "chat in=1 modle=sol",
                "! `dimensions.modle` is not a dimension of `chat`; known are model, note, asked, outcome",
            ),
            ("chat in=18446744073709551615 model=sol", "! `quantities.in` makes a price beyond 1000000000 credits"),
            ("chat in=5000000000001 model=sol", "! `quantities.in` makes a price beyond 1000000000 credits"),
        ],
    );
    let codes = |text| card(vec![chat()]).price(&usage(text)).unwrap_err().code();
    assert_eq!(codes("chat in=1 model=gpt-99"), "unpriced");
    assert_eq!(codes("chat out=1 model=sol"), "invalid_request");
    assert_eq!(codes("chat in=18446744073709551615 model=sol"), "invalid_request");
    let twice = Usage { quantities: vec![("in".into(), 1), ("in".into(), 2)], ..usage("chat model=sol") };
    assert_eq!(card(vec![chat()]).price(&twice), Err(Refusal::invalid("quantities.in", "is given twice")));
}

/// A card that was made before a quantity had a name of its own prices it as it did then.
#[test]
fn what_a_card_has_no_name_for_costs_what_it_was_counted_as() {
    let rates_of = |prices: &[(&'static str, &str)]| {
        prices.iter().map(|(quantity, price)| (*quantity, each(Tiers::One(credits(price))))).collect::<Vec<_>>()
    };
    let card_of = |quantities: &str, prices: &[(&'static str, &str)]| {
        card(vec![meter("chat", quantities, "model", vec![row("", rates_of(prices))])])
    };
    let (input, minutes, hour) = (("input_tokens", "4"), ("cache_write_tokens", "5"), ("cache_write_1h_tokens", "8"));
    let oldest = card_of("input_tokens!", &[input]);
    let old = card_of("input_tokens! cache_write_tokens", &[input, minutes]);
    let new = card_of("input_tokens! cache_write_tokens cache_write_1h_tokens", &[input, minutes, hour]);
    let priced = |card: &RateCard, text: &str| card.price(&usage(text)).map(|it| format!("{}", it.credits));
    let all = "chat input_tokens=1 cache_write_tokens=10 cache_write_1h_tokens=100";
    assert_eq!([&oldest, &old, &new].map(|it| priced(it, all).unwrap()), ["444", "554", "854"]);
    let hours = "chat input_tokens=0 cache_write_1h_tokens=100";
    assert_eq!([&oldest, &old, &new].map(|it| priced(it, hours).unwrap()), ["400", "500", "800"]);
    // It is one line with what it is counted as, and one ceiling.
    assert_eq!(receipt(&old.price(&usage(hours)).unwrap()), "500: cache_write_tokens 100*5/1=500");
    let ceilings = old.affordable(&usage(hours), credits("50")).unwrap();
    let ceilings: Vec<(&str, Ceiling)> = ceilings.iter().map(|it| (&*it.quantity, it.ceiling)).collect();
    assert_eq!(ceilings, [("input_tokens", Ceiling::Nothing), ("cache_write_tokens", Ceiling::AtMost(10))]);
    // So it is where a card lists the name, and has no price for it for this model; each amount is priced once.
    let listed = |prices: &[(&'static str, &str)]| {
        let rows = vec![row("model=other", rates_of(&[input, minutes, hour])), row("model=mine", rates_of(prices))];
        card(vec![meter("chat", "cache_write_1h_tokens cache_write_tokens input_tokens!", "model", rows)])
    };
    let mine = format!("{all} model=mine");
    assert_eq!(priced(&listed(&[input, minutes]), &mine).unwrap(), "554");
    assert_eq!(priced(&listed(&[input, hour]), &mine).unwrap(), "844");
    assert_eq!(priced(&listed(&[input]), &mine).unwrap(), "444");
    assert_eq!(priced(&listed(&[input]), &format!("{all} model=other")).unwrap(), "854");
    let rate_of = |prices: &[(&'static str, &str)], quantity: &str| {
        let rate = listed(prices).rate_of(&usage("chat model=mine"), quantity).map(|it| format!("{}", it.quantity));
        rate.map_err(|it| format!("{it}"))
    };
    assert_eq!(rate_of(&[input, minutes], "cache_write_1h_tokens").unwrap(), "cache_write_tokens");
    assert_eq!(rate_of(&[input], "cache_write_1h_tokens").unwrap(), "input_tokens");
    assert!(rate_of(&[minutes], "input_tokens").is_err(), "what is asked for is counted as nothing else");
    let refused = |card: &RateCard, text: &str| format!("{}", priced(card, text).unwrap_err());
    let why = "`quantities.input_tokens` has no price for model `mine`";
    assert_eq!(refused(&listed(&[minutes]), &mine), why);
    assert!(refused(&listed(&[input]), &format!("{all} model=mind")).starts_with("`dimensions.model`"));
    // Recorded and not priced is what the card may say, too.
    assert_eq!(priced(&card_of("input_tokens! cache_write_1h_tokens?", &[input]), all).unwrap(), "44");
    let card = card_of("lines!", &[("lines", "1")]);
    let why = "`quantities.cache_write_1h_tokens` is not a quantity of `chat`; known are lines";
    assert_eq!(refused(&card, "chat lines=1 cache_write_1h_tokens=1"), why);
    let many = format!("chat input_tokens=1 cache_write_tokens={}", u64::MAX);
    assert_eq!(refused(&oldest, &many), "`quantities.cache_write_tokens` is more than can be counted");
    let twice = [("cache_write_tokens", 1), ("cache_write_tokens", 2), ("input_tokens", 1)];
    let twice = twice.map(|(name, amount)| (name.into(), amount)).to_vec();
    let refusal = Refusal::invalid("quantities.cache_write_tokens", "is given twice");
    assert_eq!(oldest.price(&Usage { quantities: twice, ..usage("chat") }), Err(refusal));
}

#[test]
fn a_fallback_costs_the_cheaper_of_the_two() {
    check(
        vec![chat()],
        &[
            ("chat in=1000 model=opus asked=sol", "0.2: in (sol) 1000*200/1000000=0.2"),
            ("chat in=1000 model=sol asked=opus", "0.2: in (sol) 1000*200/1000000=0.2"),
            ("chat in=1000 model=opus asked=opus", "0.4: in (opus) 1000*400/1000000=0.4"),
            ("chat in=1000 model=opus asked=gone", "! `dimensions.asked` has no price for `gone`; known are sol, opus"),
            // The model asked for has no price for cache writes, so there is nothing to compare with.
            (
                "chat in=1 write=1000 model=opus asked=sol",
                "0.5004: in (opus) 1*400/1000000=0.0004; write (opus) 1000*500/1000000=0.5",
            ),
        ],
    );
}

#[test]
fn the_sum_is_rounded_once() {
    let rates = |it: &[&'static str]| it.iter().map(|it| (*it, per("0.000001", 3))).collect();
    let meter = meter("thirds", "a b c", "", vec![row("", rates(&["a", "b", "c"]))]);
    check(
        vec![meter],
        &[
            ("thirds a=1", "0.000001: a 1*0.000001/3=0.000001"),
            // Three thirds are one, and the first line carries it.
            ("thirds a=1 b=1 c=1", "0.000001: a 1*0.000001/3=0.000001; b 1*0.000001/3=0; c 1*0.000001/3=0"),
            ("thirds a=1 b=1 c=2", "0.000002: a 1*0.000001/3=0.000001; b 1*0.000001/3=0; c 2*0.000001/3=0.000001"),
            ("thirds a=3", "0.000001: a 3*0.000001/3=0.000001"),
        ],
    );
}

#[test]
fn tiers_and_packages() {
    let steps = "10:2 100:1+5 *:0.5";
    let one = |name, scheme| meter(name, "n", "", vec![row("", vec![("n", scheme)])]);
    let meters = vec![
        one("graduated", each(Tiers::Graduated(tiers(steps)))),
        one("volume", each(Tiers::Volume(tiers(steps)))),
        one("bands", each(Tiers::Bands(tiers("10:0+10 100:0+25 *:0.5+25")))),
        one("package", package(Tiers::One(credits("3")), 1000)),
        one("packages", package(Tiers::Graduated(tiers("2000:3 *:1")), 1000)),
        one("flat", Scheme::Flat(credits("7"))),
        one("ending", each(Tiers::Graduated(tiers("10:1 20:2")))),
        one("gift", per("0", 1)),
        one("units", per("0.000001", 1)),
        one("halves", per("0.000001", 2)),
        one("thirds", per("0.000001", 3)),
    ];
    check(
        meters,
        &[
            // The amounts at which a sum would pass 64 bits, whole or by its carry.
            ("thirds n=18446744073709551615", "! `quantities.n` makes a price beyond 1000000000 credits"),
            ("thirds n=9223372036854775807", "! `quantities.n` makes a price beyond 1000000000 credits"),
            ("thirds n=3000000000000000", "1000000000: n 3000000000000000*0.000001/3=1000000000"),
            ("thirds n=3000000000000001", "! `quantities.n` makes a price beyond 1000000000 credits"),
            ("units n=9223372036854775807", "! `quantities.n` makes a price beyond 1000000000 credits"),
            ("halves n=18446744073709551615", "! `quantities.n` makes a price beyond 1000000000 credits"),
            ("graduated n=10", "20: n, up to 10 10*2/1=20"),
            ("graduated n=12", "27: n, up to 10 10*2/1=20; n, 11 to 100 1*5/1=5; n, 11 to 100 2*1/1=2"),
            (
                "graduated n=101",
                "115.5: n, up to 10 10*2/1=20; n, 11 to 100 1*5/1=5; n, 11 to 100 90*1/1=90; n, above 100 1*0.5/1=0.5",
            ),
            ("volume n=10", "20: n, up to 10 10*2/1=20"),
            ("volume n=11", "16: n, 11 to 100 1*5/1=5; n, 11 to 100 11*1/1=11"),
            ("volume n=200", "100: n, above 100 200*0.5/1=100"),
            ("bands n=1", "10: n, up to 10 1*10/1=10"),
            ("bands n=100", "25: n, 11 to 100 1*25/1=25"),
            ("bands n=102", "26: n, above 100 1*25/1=25; n, above 100 2*0.5/1=1"),
            ("package n=1", "3: n 1*3/1=3"),
            ("package n=1000", "3: n 1*3/1=3"),
            ("package n=1001", "6: n 2*3/1=6"),
            ("packages n=2001", "7: n, up to 2000 2*3/1=6; n, above 2000 1*1/1=1"),
            ("flat n=1", "7: n 1*7/1=7"),
            ("flat n=9", "7: n 1*7/1=7"),
            ("flat n=0", "0: Nothing to charge 1*0/1=0"),
            ("ending n=20", "30: n, up to 10 10*1/1=10; n, 11 to 20 10*2/1=20"),
            ("ending n=21", "! `quantities.n` has no price beyond 20"),
            // A price of nothing is a price, when somebody wrote it down.
            ("gift n=5", "0: n 5*0/1=0"),
        ],
    );
}

#[test]
fn fees_minimums_and_caps() {
    let mut scan = meter("scan", "lines! files?", "outcome", vec![row("", vec![("lines", per("1", 1000))])]);
    scan.rows[0].base_fee = Some(credits("5"));
    scan.minimum = Some(credits("6"));
    scan.cap = Some(credits("10"));
    let mut visit = meter("visit", "", "place", vec![row("place=here", vec![])]);
    visit.rows[0].base_fee = Some(credits("2"));
    check(
        vec![scan, visit],
        &[
            ("scan lines=2000", "7: Base fee 1*5/1=5; lines 2000*1/1000=2"),
            ("scan lines=1 files=9", "6: Base fee 1*5/1=5; lines 1*1/1000=0.001; Up to the minimum 1*0.999/1=0.999"),
            ("scan lines=9000", "10: Base fee 1*5/1=5; lines 9000*1/1000=9; Above the cap 1*-4/1=-4"),
            // Nothing to do costs nothing, fees included.
            ("scan lines=0", "0: Nothing to charge 1*0/1=0"),
            ("visit place=here", "2: Base fee (here) 1*2/1=2"),
            ("visit place=there", "! `dimensions.place` has no price for `there`; known are here"),
            ("visit", "! `dimensions.place` is missing: it decides the price of the base fee"),
        ],
    );
}

#[test]
fn the_more_particular_row_wins() {
    let rows = vec![
        row("tier=big region=eu", vec![("s", per("4", 1))]),
        row("", vec![("s", per("1", 1))]),
        row("tier=big", vec![("s", per("3", 1))]),
        row("tier=b*", vec![("s", per("2", 1))]),
        row("tier=bus*", vec![("s", per("5", 1))]),
    ];
    check(
        vec![meter("server", "s", "tier region", rows)],
        &[
            ("server s=1", "1: s 1*1/1=1"),
            ("server s=1 tier=small", "1: s 1*1/1=1"),
            ("server s=1 tier=basic", "2: s (b*) 1*2/1=2"),
            ("server s=1 tier=business", "5: s (bus*) 1*5/1=5"),
            ("server s=1 tier=but", "2: s (b*) 1*2/1=2"),
            ("server s=1 tier=big", "3: s (big) 1*3/1=3"),
            ("server s=1 tier=big region=us", "3: s (big) 1*3/1=3"),
            ("server s=1 tier=big region=eu", "4: s (big, eu) 1*4/1=4"),
        ],
    );
}

#[test]
fn a_plain_charge_for_runtime_knows_its_minimum_and_cap() {
    let mut meter = meter(
        "server",
        "setup run",
        "",
        vec![row("", vec![("setup", Scheme::Flat(credits("50"))), ("run", per("36", 3600))])],
    );
    meter.rows[0].rates[1].runtime =
        Runtime { minimum_seconds: 60, commitment_seconds: 86_400, monthly_cap: Some(credits("100")) };
    let card = card(vec![meter.clone()]);
    assert_eq!(card.rate_of(&usage("server"), "run"), Ok(&meter.rows[0].rates[1]));
    assert!(card.rate_of(&usage("server"), "runs").is_err());
    check(
        vec![meter],
        &[
            ("server setup=1", "50: setup 1*50/1=50"),
            ("server run=1", "0.6: run 60*36/3600=0.6"),
            ("server run=7200", "72: run 7200*36/3600=72"),
            // No month is longer than 745 hours: more is of two, and three times 730 hours of three.
            ("server run=2682000", "100: run 2682000*36/3600=26820; Above the monthly cap: run 1*-26720/1=-26720"),
            (
                "server run=2682001",
                "200: run 2682001*36/3600=26820.01; Above the monthly cap: run 1*-26620.01/1=-26620.01",
            ),
            ("server run=7884000", "300: run 7884000*36/3600=78840; Above the monthly cap: run 1*-78540/1=-78540"),
            (
                "server run=20000 setup=1",
                "150: setup 1*50/1=50; run 20000*36/3600=200; Above the monthly cap: run 1*-100/1=-100",
            ),
        ],
    );
}

#[test]
fn the_same_again_costs_nothing_where_the_meter_says_so() {
    let mut scan = meter("scan", "lines!", "tree", vec![row("", vec![("lines", per("1", 1000))])]);
    scan.once_per = Some("tree".into());
    let card = card(vec![scan, chat()]);
    assert_eq!(card.once_per(&usage("scan lines=1000 tree=abc")).map(|it| &**it), Some("tree"));
    assert_eq!(card.once_per(&usage("scan lines=1000")), None);
    assert_eq!(card.once_per(&usage("chat in=1 model=sol")), None);
    let again = card.price(&usage("scan lines=1000 tree=abc")).unwrap().again("tree");
    assert_eq!(receipt(&again), "0: Not charged: the same tree as before 1*0/1=0");
}

#[test]
fn ceilings() {
    use Ceiling::{AtMost, Nothing, Unlimited};
    let volume = meter("volume", "n", "", vec![row("", vec![("n", each(Tiers::Volume(tiers("10:2 *:1"))))])]);
    let gift = meter("gift", "n", "", vec![row("", vec![("n", per("0", 1))])]);
    let mut capped = meter("capped", "n", "", vec![row("", vec![("n", per("1", 1_000_000_000))])]);
    capped.cap = Some(credits("3"));
    let card = card(vec![chat(), volume, gift, capped]);
    let check = |text: &str, available: &str, expected: &[(&str, Ceiling)]| {
        let found = card.affordable(&usage(text), credits(available)).unwrap();
        let found: Vec<(&str, Ceiling)> = found.iter().map(|it| (&*it.quantity, it.ceiling)).collect();
        assert_eq!(found, expected, "{text} with {available}");
    };
    check("chat in=1000 out=1000 model=sol", "1.2", &[("in", AtMost(1000)), ("out", AtMost(1000))]);
    check("chat in=1000 out=0 model=sol", "1.2", &[("in", AtMost(6000)), ("out", AtMost(1000))]);
    check("chat in=9000 out=1 model=sol", "1.2", &[("in", AtMost(5995)), ("out", Nothing)]);
    check("chat in=18446744073709551615 model=sol", "1", &[("in", AtMost(5000))]);
    check("chat in=1 model=sol outcome=failed", "0", &[("in", Unlimited)]);
    check("volume n=1", "15", &[("n", AtMost(7))]);
    check("volume n=1", "20", &[("n", AtMost(20))]);
    check("volume n=1", "19", &[("n", AtMost(9))]);
    check("gift n=1", "0", &[("n", Unlimited)]);
    check("capped n=1", "2", &[("n", AtMost(2_000_000_000))]);
    for refused in ["chat in=1 model=x", "chat out=1 model=sol", "chat model=sol"] {
        assert!(card.affordable(&usage(refused), credits("1")).is_err(), "{refused}");
    }
}

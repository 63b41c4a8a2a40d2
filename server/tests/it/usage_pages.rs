//! Usage as its pages and the API tell it: with the same numbers, however long or narrow a table is, and whatever still
//! runs.
use serde_json::{Value, json};

use crate::pages::{mark_of, visit};
use crate::served::{Served, chat};

/// A Monday, twenty past two in Vilnius.
const NOW: &str = "2031-03-10T12:20:00Z";

/// A sandbox at that time, with an account that lives in Vilnius and has enough.
fn lived() -> Served {
    let server = Served::sandbox();
    let moved = server.post("/v1/test-clock/advance", "", &json!({ "to": NOW }));
    assert_eq!(moved.status, 200, "{}", moved.text);
    assert_eq!(server.put("/v1/accounts/ada", &json!({"timezone": "Europe/Vilnius"})).status, 201);
    let grant = json!({"credits": "50000", "source": "adjustment", "reason": "for the test"});
    assert_eq!(server.post("/v1/accounts/ada/grants", "g", &grant).status, 201);
    server
}

fn charged(server: &Served, at: &str, project: &str, credits: u64) {
    let mut charge = chat("ada", &format!("{at}-{project}"), credits * 8_000);
    charge["at"] = json!(at);
    charge["project"] = json!(project);
    let done = server.charge(&charge);
    assert_eq!(done.status, 201, "{}", done.text);
}

/// What the page says between two texts.
fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("no {start} in {page}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end} after {start}")).0
}

/// At noon, half a day is not less than the whole one before.
#[test]
fn what_still_runs_is_compared_with_the_same_part_of_the_time_before_on_the_page_and_in_the_api() {
    let server = lived();
    for (at, credits) in [
        // February, up to the tenth and beyond.
        ("2031-02-10T12:50:00Z", 30),
        ("2031-02-10T13:10:00Z", 1_000),
        ("2031-02-20T09:00:00Z", 1_000),
        // Yesterday at nine, at ten to three, and at five past three.
        ("2031-03-09T07:00:00Z", 4),
        ("2031-03-09T12:50:00Z", 6),
        ("2031-03-09T13:05:00Z", 50),
        ("2031-03-10T07:00:00Z", 5),
    ] {
        charged(&server, at, "shop", credits);
    }
    let cookie = visit(&server, "ada", "viewer");
    // The page's range, what it is compared with in words, the API's range, and both totals.
    for (range, said, asked, total, before) in [
        ("today", "yesterday until 15:00", "from=2031-03-09T22:00:00Z", "5", "10"),
        ("month", "1–10 February until 15:00", "", "65", "30"),
        ("7d", "the 7 days before, until the same hour", "from=2031-03-03T22:00:00Z", "65", "0"),
        (
            "from=2031-03-09&to=2031-03-09",
            "the day before",
            "from=2031-03-08T22:00:00Z&to=2031-03-09T22:00:00Z",
            "60",
            "0",
        ),
    ] {
        let usage = server.get(&format!("/v1/accounts/ada/usage?compare=true&{asked}")).json();
        assert_eq!((&usage["total"], &usage["previous_total"]), (&json!(total), &json!(before)), "{range}: {usage}");
        let range = if range.contains('=') { range.to_owned() } else { format!("range={range}") };
        let page = server.browse(&format!("/settings/usage?{range}"), &cookie).text;
        let line = between(&page, "<p class=\"total\">", "</p>");
        assert!(line.contains(&format!("value=\"{total}\"")), "{range}: {line}");
        if before != "0" {
            assert!(line.contains(&format!("than {said}, {before}.00")), "{range}: {line}");
        }
        let sheet = server.browse(&format!("/settings/usage.csv?{range}"), &cookie).text;
        let all = sheet.lines().last().unwrap();
        assert!(all.contains(&format!(",{total},{before},")), "{range}: {all}");
    }
    let usage = server.get("/v1/accounts/ada/usage?compare=true").json();
    let ends = ["previous_from", "previous_to"].map(|it| usage[it].as_str().unwrap());
    assert_eq!(ends, ["2031-01-31T22:00:00.000Z", "2031-02-10T13:00:00.000Z"]);
    // Hours that are still to come are compared with nothing.
    let sheet = server.browse("/settings/usage.csv?range=today", &cookie).text;
    let hours: Vec<&str> = sheet.lines().filter(|it| it.starts_with("by time")).collect();
    assert_eq!(hours.len(), 24);
    assert!(hours[14].contains(",0,6,") && hours[15].ends_with(",0,,,,,"), "{hours:#?}");
}

/// Every amount of euro cents in a part of a page.
fn cents(part: &str) -> Vec<u64> {
    let amounts = part.split('€').skip(1).map(|it| it.split(|it: char| !it.is_ascii_digit() && it != '.'));
    amounts.map(|mut it| it.next().unwrap().replace('.', "").parse().unwrap()).collect()
}

/// What is cut from each line is not lost: who adds up a table in money has the total that stands above it.
#[test]
fn the_money_of_a_table_adds_up_to_the_money_of_its_total() {
    let server = lived();
    let spend = |project: &str, key: &str, tokens: u64| {
        let mut charge = chat("ada", key, tokens);
        charge["project"] = json!(project);
        charge["actor"] = json!(project);
        assert_eq!(server.charge(&charge).status, 201);
    };
    // A cent and a half each, which is shown as two: together five, and what the analysis costs.
    for project in ["a", "b", "c"] {
        spend(project, project, 12_000);
    }
    let lines = json!({"account": "ada", "meter": "code_analysis", "quantities": {"code_lines": 1000, "files": 1},
        "project": "d", "actor": "d", "idempotency_key": "lines"});
    let charged = server.charge(&lines);
    assert_eq!(charged.status, 201, "{}", charged.text);
    let cookie = visit(&server, "ada", "owner");
    let look = |path: &str| server.browse(&format!("{path}range=today"), &cookie).text;
    let usage = look("/settings/usage?");
    let total = cents(between(&usage, "<p class=\"total\">", "</p>"))[0];
    for (what, start, end) in [
        ("categories", "id=\"categories\"", "</ul>"),
        ("projects", "id=\"projects-title\"", "</table>"),
        ("people", "id=\"actors-title\"", "</ul>"),
    ] {
        let lines = cents(between(&usage, start, end));
        assert!(1 < lines.len() && lines.iter().sum::<u64>() == total, "{what}: {lines:?} of {total}");
    }
    let all = look("/settings/usage/all?of=project&");
    let (sum, lines) =
        (cents(between(&all, "<p class=\"total", "</p>"))[0], cents(between(&all, "<table", "</table>")));
    assert_eq!((sum, lines.iter().sum::<u64>()), (total, total), "{lines:?}");
    // Narrowed to one, the page says what that one is worth by itself.
    assert_eq!(cents(between(&look("/settings/usage?project=c&"), "<p class=\"total\">", "</p>"))[0], 2);
}

/// Who joins a file with another needs the id, and who reads it the name.
#[test]
fn files_have_the_id_and_the_name_of_what_has_both() {
    let server = lived();
    let named = server.put("/v1/accounts/ada/projects/shop", &json!({"name": "Our shop"}));
    assert!(named.status == 200 || named.status == 201, "{}", named.text);
    charged(&server, NOW, "shop", 5);
    let cookie = visit(&server, "ada", "owner");
    let usage = server.browse("/settings/usage.csv?range=today", &cookie).text;
    assert!(usage.starts_with("table,id,name,from,to,") && usage.contains("\nby project,shop,Our shop,"), "{usage}");
    let activity = server.browse("/settings/activity.csv", &cookie).text;
    assert!(activity.contains(",meter,category,project,project_name,model,"), "{activity}");
    assert!(activity.contains(",ai_chat,AI conversations,shop,Our shop,"), "{activity}");
    let revenue = server.get_csv("/v1/reports/revenue?month=2031-03").text;
    for line in ["month,what,of,unit,amount,name\n", "\n2031-03,used,ai_chat,credits,5,AI conversations\n"] {
        assert!(revenue.contains(line), "{line} in {revenue}");
    }
}

/// A month has two sums, and whoever compares them is told why.
#[test]
fn usage_and_statements_say_what_they_go_by_and_lead_to_each_other() {
    let server = lived();
    let page = |path: &str, role: &str| server.browse(path, &visit(&server, "ada", role)).text;
    let usage = page("/settings/usage", "owner");
    assert!(usage.contains("Work counts when it happened; <a href=\"/settings/billing#statements\">"), "{usage}");
    let statements = page("/settings/billing", "owner");
    assert!(statements.contains("A statement goes by when something was booked"), "{statements}");
    assert!(statements.contains("<a href=\"/settings/usage?range=last-month\">Usage</a> counts work by when"));
    // Nobody is led to what they may not see.
    let usage = page("/settings/usage", "member");
    assert!(usage.contains("Work counts when it happened.") && !usage.contains("#statements"), "{usage}");
}

fn credits(value: &Value) -> billing::money::Credits {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

/// What a server uses in the running hour is in the balance, and in usage once it is an entry: everywhere alike.
#[test]
fn the_month_is_one_number_wherever_it_is_read_also_within_an_hour() {
    let server = lived();
    charged(&server, "2031-03-10T07:00:00Z", "shop", 5);
    assert_eq!(server.put("/v1/accounts/ada/servers/web", &json!({"tier": "entry-level", "at": NOW})).status, 201);
    assert_eq!(server.post("/v1/accounts/ada/servers/web/start", "", &json!({"at": NOW})).status, 200);
    server.advance(2 * 3_600 + 600);
    let usage = server.get("/v1/accounts/ada/usage").json();
    let forecast = server.get("/v1/accounts/ada/forecast").json();
    let told = server.get("/v1/accounts/ada/servers/web").json();
    // Five, three hundred for setting it up, and the hours that are over: 40 minutes and one whole.
    let hours = credits(&usage["total"]) - credits(&json!("305"));
    assert!(hours.is_positive() && hours < credits(&told["runtime_credits"]), "{usage} {told}");
    assert_eq!(forecast["spent"], usage["total"]);
    assert_eq!(forecast["servers"][0]["credits"], told["projected_month"], "{forecast} {told}");
    let page = server.browse("/settings/usage?range=month", &visit(&server, "ada", "viewer")).text;
    let total = between(&page, "<p class=\"total\"><data value=\"", "\"");
    assert_eq!(json!(total), usage["total"]);
    let ahead = between(&page, "id=\"outlook\"", "</section>");
    assert!(ahead.contains(&format!("value=\"{total}\"")), "{ahead}");
    let table = between(&page, "Servers, table", "</table>");
    let sum = between(table, "<td class=\"n lead\" title=\"", "</td>");
    let in_range = between(sum, "<b>", "</b>");
    let so_far = between(table, "data-label=\"This month so far\">", "</td>");
    assert_eq!(so_far, in_range, "with its set-up: {table}");
}

#[test]
fn a_project_is_removed_after_a_question_its_history_stays_and_it_comes_back() {
    let server = lived();
    charged(&server, "2031-03-10T07:00:00Z", "old-shop", 5);
    assert_eq!(server.put("/v1/accounts/ada/projects/old-shop", &json!({"name": "Old shop"})).status, 200);
    let order = json!({"project": "old-shop", "tier": "entry-level"});
    assert_eq!(server.put("/v1/accounts/ada/servers/web", &order).status, 201);
    assert_eq!(server.post("/v1/accounts/ada/servers/web/start", "", &json!({})).status, 200);
    let removed = || server.get("/v1/accounts/ada/projects/old-shop").status == 404;
    let path = "/settings/usage/project?project=old-shop";

    // Whoever buys decides; others see no control, and none works for them.
    for role in ["member", "viewer"] {
        let cookie = visit(&server, "ada", role);
        let page = server.browse("/settings/usage?project=old-shop", &cookie).text;
        assert!(page.contains("Project Old shop") && !page.contains("Remove this project"), "{role}");
        assert_eq!(server.browse(path, &cookie).status, 403);
        let form = format!("mark={}&project=old-shop&do=remove", mark_of(&page));
        assert_eq!(server.submit("/settings/usage/project", &cookie, &form).status, 403);
    }
    let cookie = visit(&server, "ada", "billing");
    let page = || server.browse("/settings/usage?project=old-shop", &cookie).text;
    assert!(page().contains("Remove this project"));
    let asked = server.browse(path, &cookie);
    assert_eq!(asked.status, 200);
    for said in ["Remove the project Old shop?", "Its history stays and still adds up", "web still runs in it"] {
        assert!(asked.text.contains(said), "{said}: {}", asked.text);
    }
    let send = |mark: &str, act: &str| {
        let sent = server.submit("/settings/usage/project", &cookie, &format!("mark={mark}&project=old-shop&do={act}"));
        (sent.status, removed())
    };
    assert_eq!(send("forged", "remove"), (403, false));
    assert_eq!(send(mark_of(&asked.text), "remove"), (303, true));
    assert_eq!(send(mark_of(&asked.text), "remove"), (303, true), "sent twice, it is done once");
    assert_eq!(server.browse(path, &cookie).status, 303, "nothing is asked of what is gone");
    let gone = page();
    assert!(gone.contains("Removed project Old shop") && gone.contains("Bring it back"), "{gone}");
    assert!(server.browse("/settings/usage", &cookie).text.contains("Removed: Old shop"));
    let total = between(&gone, "<p class=\"total\"><data value=\"", "\"");
    assert!(credits(&json!("5")) <= credits(&json!(total)), "it adds up: {total}");
    assert_eq!(send(mark_of(&asked.text), "restore"), (303, false));
    assert!(page().contains("Project Old shop"), "under its name");
    assert_eq!(server.browse("/settings/usage/project?project=nobodys", &cookie).status, 404);
}

#[test]
fn of_three_hundred_projects_the_largest_are_shown_the_rest_adds_up_and_all_are_found() {
    let server = lived();
    let charge = |n: u64| {
        let mut charge = chat("ada", &format!("m{n}"), (n + 1) * 8_000);
        charge["at"] = json!("2031-03-10T07:00:00Z");
        charge["project"] = json!(format!("p{n:03}"));
        charge
    };
    let all: Vec<Value> = (0..300).map(charge).collect();
    assert_eq!(server.post("/v1/charges/batch", "", &json!(all)).json()["refused"], 0);
    let cookie = visit(&server, "ada", "viewer");
    let page = server.browse("/settings/usage?range=7d", &cookie).text;
    let projects = between(&page, "Projects, table", "</table>");
    assert_eq!(projects.matches("<th scope=\"row\">").count(), 11);
    let rest = between(projects, ">290 more</a>", "</tr>");
    // 1 to 290.
    assert!(rest.contains("title=\"42195\""), "{rest}");
    let href = between(projects, "<th scope=\"row\"><a href=\"/settings/usage/all", "\"");
    let path = format!("/settings/usage/all{}", href.replace("&#38;", "&").replace("&amp;", "&"));
    assert!(path.contains("range=7d"), "{path}");

    let read = |more: &str| server.browse(&format!("{path}{more}"), &cookie).text;
    let names = |page: &str| -> Vec<String> {
        let rows = page.split("<th scope=\"row\">").skip(1);
        rows.map(|it| between(it, ">", "</a>").to_owned()).collect()
    };
    let first = read("");
    assert!(first.contains("300 in all") && first.contains("1–50 of 300"), "{first}");
    assert!(between(&first, "<p class=\"total", "</p>").contains("value=\"45150\""));
    assert_eq!((names(&first).len(), names(&first)[0].as_str()), (50, "p299"));
    let last = read("&page=6");
    assert!(last.contains("251–300 of 300") && !last.contains("rel=\"next\""), "{last}");
    assert_eq!(names(&last)[49], "p000");
    let by_name = read("&sort=name");
    assert_eq!(names(&by_name)[..2], ["p000", "p001"]);
    let found = read("&find=P29");
    assert_eq!(names(&found).len(), 10);
    // 291 to 300.
    assert!(found.contains("10 found") && found.contains("value=\"2955\""), "{found}");
    assert!(read("&find=nobody").contains("Nothing of this range is called so."));
    assert!(read("&page=99").contains("251–300 of 300"), "beyond the last page is the last");
}

#[test]
fn a_hold_says_what_it_set_aside_and_each_rows_balance_follows_from_the_one_before() {
    let server = lived();
    let hold = |key: &str, credits: &str| {
        let asked = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
            "credits": credits, "expires_in_seconds": 3_600, "idempotency_key": key});
        let held = server.post("/v1/holds", "", &asked);
        assert_eq!(held.status, 201, "{}", held.text);
        held.json()["id"].as_str().unwrap().to_owned()
    };
    let (one, other) = (hold("one", "12.5"), hold("other", "20"));
    assert_eq!(server.post(&format!("/v1/holds/{one}/release"), "r", &json!({})).status, 201);
    let used = json!({"quantities": {"input_tokens": 64_000}});
    let captured = server.post(&format!("/v1/holds/{other}/capture"), "c", &used);
    assert_eq!(captured.status, 201, "{}", captured.text);
    for it in ["web-1", "web-2"] {
        let path = format!("/v1/accounts/ada/servers/{it}");
        assert_eq!(server.put(&path, &json!({"tier": "entry-level"})).status, 201);
        assert_eq!(server.post(&format!("{path}/start"), "", &json!({})).status, 200);
    }
    server.advance(3 * 3_600);
    let cookie = visit(&server, "ada", "viewer");
    let page = server.browse("/settings/activity", &cookie).text;
    for said in ["12.50 set aside", "12.50 given back", "20.00 had been set aside, 12.00 of it given back"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let sheet = server.browse("/settings/activity.ndjson", &cookie).text;
    let rows: Vec<Value> = sheet.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(8 < rows.len(), "{sheet}");
    for pair in rows.windows(2) {
        let (after, before) = (credits(&pair[0]["balance_afterwards"]), credits(&pair[1]["balance_afterwards"]));
        assert_eq!(before + credits(&pair[0]["credits"]), after, "{pair:#?}");
    }
    let aside: Vec<&str> = rows.iter().rev().filter_map(|it| it["set_aside"].as_str()).collect();
    assert_eq!(aside, ["12.5", "20", "-12.5", "-20"]);
}

#[test]
fn under_a_filter_the_month_ahead_and_the_tips_say_that_they_are_of_the_whole_account() {
    let server = lived();
    charged(&server, "2031-03-10T07:00:00Z", "shop", 5);
    let cookie = visit(&server, "ada", "owner");
    let page = |path: &str| server.browse(path, &cookie).text;
    assert!(!page("/settings/usage").contains("of the whole account"));
    for narrowed in ["project=shop", "model=gpt-6.1-terra", "category=AI+conversations"] {
        let ahead = page(&format!("/settings/usage?{narrowed}"));
        assert!(between(&ahead, "id=\"outlook\"", "</h2>").contains("of the whole account"), "{narrowed}");
    }
}

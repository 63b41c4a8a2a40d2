//! The pages and who may see them, without a browser: what browsers make of them is in `browser/`.
use serde_json::json;
use std::io::{BufRead, BufReader};

use server::demo;

use crate::served::{ADMIN, Served, chat};

/// A link for this role, and the cookie it is exchanged for.
pub fn visit(server: &Served, account: &str, role: &str) -> String {
    let asked = json!({"role": role});
    let made = server.post(&format!("/v1/accounts/{account}/portal-sessions"), "", &asked);
    assert_eq!(made.status, 201, "{}", made.text);
    let url = made.json()["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&server.url).expect("it leads to this server").to_owned();
    let followed = server.browse(&path, "");
    assert_eq!((followed.status, followed.header("location")), (303, Some("/settings/usage")));
    let cookie = followed.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

pub fn mark_of(page: &str) -> &str {
    page.split_once("name=\"mark\" value=\"").unwrap().1.split('"').next().unwrap()
}

#[test]
fn the_demonstration_has_a_link_to_each_page_and_a_new_one_each_time() {
    let server = Served::start();
    server.account(demo::ACCOUNT);
    let link = |page| demo::portal_link(&server.url, ADMIN, page).unwrap();
    let links = [link("usage"), link("billing"), link("usage")];
    assert!(links[0] != links[1] && links[0] != links[2] && links.iter().all(|it| it.starts_with(&server.url)));
}

/// Over TLS a cookie counts only under the name that no neighbouring host can set.
#[test]
fn a_cookie_that_a_neighbour_may_have_set_opens_nothing() {
    let server = Served::configured("public_url = \"https://billing.example.com\"");
    server.account("ada");
    let made = server.post("/v1/accounts/ada/portal-sessions", "", &json!({"role": "owner"})).json();
    let path = made["url"].as_str().unwrap().strip_prefix("https://billing.example.com").unwrap().to_owned();
    let followed = server.browse(&path, "");
    let cookie = followed.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(server.browse("/settings/usage", &cookie).status, 200);
    let bare = cookie.strip_prefix("__Host-").unwrap();
    assert_ne!(server.browse("/settings/usage", bare).status, 200);
}

#[test]
fn a_link_opens_the_pages_of_one_account() {
    let server = Served::start();
    server.account("ada");
    server.account("bob");
    server.charge(&chat("ada", "m", 80_000));
    let cookie = visit(&server, "ada", "owner");
    let page = server.browse("/settings/usage", &cookie);
    assert_eq!(page.status, 200);
    for said in ["AI conversations", "Code analysis", "Infrastructure planning", "Server provisioning", "590.00"] {
        assert!(page.text.contains(said), "{said}");
    }
    assert!(!page.text.contains("bob"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"));
    let styled = [" style=", "<style", "onclick", "http://", "https://"].iter().find(|it| page.text.contains(**it));
    assert_eq!(styled, None, "nothing inline, nothing from elsewhere");
    let sheet = server.browse("/settings/usage.csv?range=7d", &cookie);
    assert!(sheet.text.lines().last().unwrap().contains(",10,0,0,0,10,0,1,"), "{}", sheet.text);
    let activity = server.browse("/settings/activity.csv", &cookie);
    assert_eq!(activity.text.lines().count(), 4, "two welcomes, a charge, and the names: {}", activity.text);
}

#[test]
fn links_expire_sessions_end_and_neither_can_be_made_up() {
    let server = Served::sandbox();
    server.account("ada");
    let asked = json!({"role": "owner", "return_url": "https://app.example.com/settings", "expires_in_seconds": 60});
    let made = server.post("/v1/accounts/ada/portal-sessions", "", &asked).json();
    let path = made["url"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    let cookie = visit(&server, "ada", "owner");
    server.advance(61);
    let expired = server.browse(&path, "");
    assert_eq!(expired.status, 410);
    assert!(expired.text.contains("This link has expired"));
    assert!(expired.text.contains("https://app.example.com/settings"), "it says where to get another");
    let altered = path.replacen("link=e", "link=f", 1);
    assert_eq!(server.browse(&altered, "").status, 404);
    assert_eq!(server.browse("/settings/usage", &cookie).status, 200);
    assert_eq!(server.browse("/settings/usage", &format!("{cookie}x")).status, 401);
    // A link is no session, though one house has sealed both.
    let link = path.split_once("link=").unwrap().1;
    assert_eq!(server.browse("/settings/usage", &format!("scrip_session={link}")).status, 401);
    server.advance(4 * 3_600);
    assert_eq!(server.browse("/settings/usage", &cookie).status, 401);
    for wrong in [json!({"role": "king"}), json!({"role": "owner", "return_url": "javascript:alert(1)"})] {
        assert_eq!(server.post("/v1/accounts/ada/portal-sessions", "", &wrong).status, 422);
    }
    let page = json!({"role": "member", "page": "billing"});
    assert_eq!(server.post("/v1/accounts/ada/portal-sessions", "", &page).problem().2, "page");
}

/// Nobody who is refused with credits on the page has to wonder why.
#[test]
fn the_pages_and_the_balance_say_which_credits_are_for_some_work_only() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "owner");
    let page = || server.browse("/settings/usage", &cookie).text;
    assert!(page().contains("data-live=\"scoped\">100.00 of them for servers only<"), "{}", page());
    let balance = || server.get("/v1/accounts/ada/balance").json();
    let scoped = json!([{"meters": ["server"], "projects": [], "credits": "100"}]);
    assert_eq!((&balance()["available"], &balance()["scoped"]), (&json!("600"), &scoped));
    assert_eq!(server.charge(&chat("ada", "all", 500 * 8_000)).status, 201);
    assert!(page().contains("all of them for servers only") && page().contains("Other work is refused"), "{}", page());
    // At the pace of the chats nothing is left for them, whatever there is for servers.
    assert_eq!((&balance()["available"], &balance()["scoped"]), (&json!("100"), &scoped));
    let shown = balance();
    assert_eq!(shown["runs_out_at"], shown["as_of"]);
    let grants = server.get("/v1/accounts/ada/grants").json();
    let id = grants["data"].as_array().unwrap().iter().find(|it| it["scope"]["meters"][0] == "server").unwrap()["id"]
        .clone();
    assert_eq!(
        server.post(&format!("/v1/grants/{}/void", id.as_str().unwrap()), "v", &json!({"reason": "x"})).status,
        201
    );
    assert_eq!(balance()["scoped"], json!([]));
}

#[test]
fn signing_out_ends_the_session_for_every_copy_of_its_cookie() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "viewer");
    let page = server.browse("/settings/usage", &cookie);
    let forged = server.submit("/sign-out", &cookie, "mark=AAAA");
    assert_eq!(forged.status, 403, "a form without the session's mark does nothing");
    assert_eq!(server.browse("/settings/usage", &cookie).status, 200);
    let out = server.submit("/sign-out", &cookie, &format!("mark={}", mark_of(&page.text)));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(server.browse("/settings/usage", &cookie).status, 401);
}

/// Browsers hold what a form leads to to `form-action`, redirects included: one to the app's own site goes nowhere.
#[test]
fn signing_out_leads_back_to_the_app_by_a_link() {
    let server = Served::start();
    server.account("ada");
    let asked = json!({"role": "owner", "return_url": "https://app.example.com/settings?tab=1&of=ada"});
    let made = server.post("/v1/accounts/ada/portal-sessions", "", &asked).json();
    let followed = server.browse(made["url"].as_str().unwrap().strip_prefix(&server.url).unwrap(), "");
    let cookie = followed.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let page = server.browse("/settings/usage", &cookie);
    let out = server.submit("/sign-out", &cookie, &format!("mark={}", mark_of(&page.text)));
    assert_eq!((out.status, out.header("location")), (200, None));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(out.text.contains("You are signed out"), "{}", out.text);
    assert!(out.text.contains("href=\"https://app.example.com/settings?tab=1&#38;of=ada\""), "{}", out.text);
    assert_eq!(server.browse("/settings/usage", &cookie).status, 401);
}

#[test]
fn an_account_is_followed_from_the_event_last_seen() {
    let server = Served::start();
    server.account("ada");
    let follow = |last_seen: Option<&str>, until: &str| {
        let mut stream = BufReader::new(server.follow("/v1/accounts/ada/events", last_seen));
        let mut lines = Vec::new();
        while lines.last().is_none_or(|it: &String| !it.starts_with(until)) {
            let mut line = String::new();
            assert!(0 < stream.read_line(&mut line).unwrap(), "it stays open: {lines:?}");
            lines.push(line);
        }
        lines.concat()
    };
    let first = follow(None, "data");
    assert!(first.contains("event: balance") && first.contains("\"available\":\"600\""), "{first}");
    assert_eq!(server.charge(&chat("ada", "m", 80_000)).status, 201);
    let missed = follow(Some("2"), "data: {\"as_of");
    assert!(missed.contains("event: charge\nid: 3") && missed.contains("\"credits\":\"-10\""), "{missed}");
    assert!(missed.contains("\"available\":\"590\""), "{missed}");
}

#[test]
fn an_estimate_is_the_price_a_charge_would_have() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "member");
    let page = server.browse("/settings/estimate", &cookie);
    let ask = |fields: &[(&str, &str)]| {
        let part = |(name, value): &(&str, &str)| {
            let file = if *name == "file" { "; filename=\"compose.yaml\"" } else { "" };
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
        };
        let mark = ("mark", mark_of(&page.text));
        let body: String = fields.iter().chain([&mark]).map(part).collect();
        server.submit_as("/settings/estimate", &cookie, "multipart/form-data; boundary=x", &format!("{body}--x--\r\n"))
    };
    let server_month = ask(&[("kind", "server"), ("tier", "entry-level"), ("time", "A month")]);
    assert!(server_month.text.contains("value=\"2800\""), "{}", server_month.text);
    let three = ask(&[("kind", "server"), ("tier", "entry-level"), ("time", "Three months")]);
    assert!(three.text.contains("value=\"7800\""), "each month has its cap: {}", three.text);
    assert!(three.text.contains("7,200.00 more than is available"), "{}", three.text);
    let compose = ask(&[("kind", "file"), ("file", "services:\n  web:\n    image: nginx\n")]);
    assert!(compose.text.contains("Planning compose.yaml"), "{}", compose.text);
    let message = ask(&[("kind", "message"), ("model", "gpt-6.1-terra"), ("text", "Why is my build slow?")]);
    assert!(message.text.contains("A short reply"), "{}", message.text);
    let unknown = ask(&[("kind", "message"), ("model", "nobody-knows"), ("text", "hello")]);
    assert_eq!(unknown.status, 422);
    assert_eq!(server.available("ada"), "600", "nothing was charged");
}

#[test]
fn a_budget_is_taken_away_whatever_else_stands_in_its_form() {
    let server = Served::start();
    server.account("ada");
    let budget = json!({"scope": {}, "period": "month", "credits": "10", "action": "notify"});
    assert_eq!(server.put("/v1/accounts/ada/budgets/ai", &budget).status, 201);
    let cookie = visit(&server, "ada", "owner");
    let page = server.browse("/settings/usage/budget?budget=ai", &cookie).text;
    let send = |act: &str| {
        let form = format!("mark={}&budget=ai&credits=some&do={act}", mark_of(&page));
        server.submit("/settings/usage/budget", &cookie, &form).status
    };
    for (unclear, says) in [("12,5", "Write decimals with a point: 12.5."), ("1.000", "Write 1000 or 1.")] {
        let form = format!("mark={}&budget=ai&credits={unclear}&do=save", mark_of(&page));
        let asked = server.submit("/settings/usage/budget", &cookie, &form);
        assert!(asked.status == 422 && asked.text.contains(says), "{unclear}: {}", asked.text);
        assert!(asked.text.contains(&format!("value=\"{unclear}\"")), "{unclear}: {}", asked.text);
    }
    assert_eq!((send("save"), send("delete")), (422, 303));
    assert_eq!(server.get("/v1/accounts/ada/budgets").json()["data"], json!([]));
}

#[test]
fn a_new_budget_takes_no_others_name() {
    let server = Served::start();
    server.account("ada");
    let budget = json!({"scope": {}, "period": "month", "credits": "10", "action": "notify"});
    assert_eq!(server.put("/v1/accounts/ada/budgets/ai-monthly", &budget).status, 201);
    let cookie = visit(&server, "ada", "owner");
    let page = server.browse("/settings/usage/budget", &cookie).text;
    assert!(page.contains("name=\"new\""), "{page}");
    let limit = || server.get("/v1/accounts/ada/budgets/ai-monthly").json()["credits"].clone();
    let send = |form: &str| {
        let form = format!("mark={}&budget=ai+monthly&period=month&action=notify&{form}", mark_of(&page));
        server.submit("/settings/usage/budget", &cookie, &form)
    };
    let refused = send("new=1&credits=20&do=save");
    assert_eq!((refused.status, limit()), (422, json!("10")), "{}", refused.text);
    for kept in [
        "ai-monthly exists already: change that one, or take another name.",
        "name=\"new\" value=\"1\"",
        "value=\"ai monthly\"",
        "value=\"20\"",
    ] {
        assert!(refused.text.contains(kept), "{kept}: {}", refused.text);
    }
    // The same one sent twice is one; and one that is there is changed by its own form.
    assert_eq!(send("new=1&credits=10&do=save").status, 303);
    assert_eq!((send("credits=20&do=save").status, limit()), (303, json!("20")));
    // However a name is spaced, it is the one that the form says it becomes.
    assert!(page.contains("a space becomes a hyphen"), "{page}");
    let spaced =
        format!("mark={}&new=1&budget=+all++of+it+&period=month&credits=5&action=notify&do=save", mark_of(&page));
    assert_eq!(server.submit("/settings/usage/budget", &cookie, &spaced).status, 303);
    assert_eq!(server.get("/v1/accounts/ada/budgets/all-of-it").json()["credits"], json!("5"));
}

#[test]
fn a_budget_keeps_what_it_is_for_where_no_choice_of_its_form_says_that() {
    let server = Served::start();
    server.account("ada");
    let scope = json!({"meters": ["code_analysis", "infra_plan"]});
    let budget = json!({"scope": scope, "period": "month", "credits": "10", "action": "block"});
    assert_eq!(server.put("/v1/accounts/ada/budgets/code", &budget).status, 201);
    let cookie = visit(&server, "ada", "owner");
    let page = server.browse("/settings/usage/budget?budget=code", &cookie).text;
    let chosen = "<option value=\"as-it-is\" selected>Code analysis and Infra plan</option>";
    assert!(page.contains(chosen), "{page}");
    let save = |kind: &str| {
        let form = format!("mark={}&budget=code&credits=20&action=block&kind={kind}", mark_of(&page));
        server.submit("/settings/usage/budget", &cookie, &form).status
    };
    let shown = || server.get("/v1/accounts/ada/budgets/code").json();
    assert_eq!(save("as-it-is"), 303);
    assert_eq!((&shown()["credits"], &shown()["scope"]["meters"]), (&json!("20"), &scope["meters"]));
    // What nothing is charged for must not come to mean everything.
    assert_eq!((save("gardening"), &shown()["scope"]["meters"]), (422, &scope["meters"]));
    assert_eq!(save("ai"), 303);
    let (nothing, servers) = (json!([]), json!(["server"]));
    assert_eq!((&shown()["scope"]["meters"], &shown()["scope"]["except_meters"]), (&nothing, &servers));
    let page = server.browse("/settings/usage/budget?budget=code", &cookie).text;
    assert!(page.contains("<option value=\"ai\" selected>") && !page.contains("as-it-is"), "{page}");
}

#[test]
fn a_budget_of_a_project_that_nobody_named_stays_one_of_that_project() {
    let server = Served::start();
    server.account("ada");
    let mut charge = chat("ada", "1", 1_000);
    charge["project"] = json!("storefront");
    assert_eq!(server.charge(&charge).status, 201);
    let cookie = visit(&server, "ada", "owner");
    for project in ["storefront", "nothing-yet"] {
        let budget = json!({"scope": {"project": project}, "period": "month", "credits": "500", "action": "block"});
        assert!([200, 201].contains(&server.put("/v1/accounts/ada/budgets/b", &budget).status));
        let page = server.browse("/settings/usage/budget?budget=b", &cookie).text;
        assert!(page.contains(&format!("<option value=\"{project}\" selected>")), "{page}");
    }
    let page = server.browse("/settings/usage/budget", &cookie).text;
    assert!(page.contains("<option value=\"storefront\">"), "what was worked in can be chosen: {page}");
}

#[test]
fn where_nothing_is_sold_billing_still_has_statements_and_details() {
    let server = Served::start();
    server.account("ada");
    let asked = json!({"role": "owner", "page": "billing"});
    let made = server.post("/v1/accounts/ada/portal-sessions", "", &asked).json();
    let link = made["url"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    assert_eq!(server.browse(&link, "").header("location"), Some("/settings/billing"));
    let cookie = visit(&server, "ada", "owner");
    assert!(server.browse("/settings/usage", &cookie).text.contains("href=\"/settings/billing\""));
    let page = server.browse("/settings/billing", &cookie).text;
    for (part, is_there) in
        [("statements", true), ("details", true), ("history", true), ("buy", false), ("subscription", false)]
    {
        assert_eq!(page.contains(&format!("<section class=\"card\" id=\"{part}\"")), is_there, "{part}");
        assert_eq!(page.contains(&format!("href=\"#{part}\"")), is_there, "{part}");
    }
    for part in ["auto-topup", "cards"] {
        assert!(!page.contains(&format!("id=\"{part}\"")), "{part}");
    }
}

#[test]
fn billing_details_keep_what_their_form_does_not_show() {
    let server = Served::start();
    let address = json!({"line1": "1 Main St", "line2": "Flat 4", "city": "Austin", "state": "TX",
        "postal_code": "73301", "country": "US", "geo": [30, -97]});
    let ada = json!({"name": "Ada", "address": address});
    assert_eq!(server.put("/v1/accounts/ada", &ada).status, 201);
    let cookie = visit(&server, "ada", "owner");
    let page = server.browse("/settings/billing", &cookie).text;
    assert!(page.contains("name=\"street\" value=\"1 Main St\""), "{page}");
    let form = format!("mark={}&name=Ada&street=2+Main+St&city=&postal_code=73302&country=US", mark_of(&page));
    assert_eq!(server.submit("/settings/billing/details", &cookie, &form).status, 303);
    let kept = json!({"line1": "2 Main St", "line2": "Flat 4", "state": "TX", "postal_code": "73302",
        "country": "US", "geo": [30, -97]});
    assert_eq!(server.get("/v1/accounts/ada").json()["address"], kept);
}

#[test]
fn a_form_of_billing_says_that_it_was_done_or_keeps_what_was_typed_and_says_what_is_wrong() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "owner");
    let mark = mark_of(&server.browse("/settings/billing", &cookie).text).to_owned();
    let send = |form: &str, fields: &str| {
        server.submit(&format!("/settings/billing/{form}"), &cookie, &format!("mark={mark}&{fields}"))
    };
    let saved = send("details", "name=Ada+%26+Co&country=DE&tax_id=+de+136.695.976&postal_code=10115");
    assert_eq!((saved.status, saved.header("location")), (303, Some("/settings/billing?did=details#details-said")));
    let page = server.browse("/settings/billing?did=details", &cookie).text;
    assert!(
        page.contains("role=\"status\" id=\"details-said\" tabindex=\"-1\">Your billing details are saved."),
        "{page}"
    );
    assert_eq!(server.get("/v1/accounts/ada").json()["tax_id"], "DE136695976");
    for (fields, field, says) in [
        (
            "country=DE&tax_id=DE12",
            "tax_id",
            "The VAT number is not in the form of one of Germany, such as DE123456789.",
        ),
        ("postal_code=10115%3B", "postal_code", "The postal code must be of letters, digits, blanks and hyphens."),
        ("postal_code=1234567890123", "postal_code", "The postal code must be at most 12 letters long."),
        ("street=%s", "street", "The street must be at most 120 letters long."),
        ("country=Lithuania", "country", "The country must be an ISO 3166-1 code of two letters such as LT."),
        ("email=nobody", "email", "The e-mail address must be an e-mail address such as ada@example.com."),
    ] {
        let fields = format!("name=Typed+Name&{}", fields.replace("%s", &"x".repeat(121)));
        let refused = send("details", &fields);
        assert_eq!(refused.status, 422, "{fields}");
        let beside = "aria-invalid=\"true\" aria-describedby=\"details-trouble\"";
        let of_field = refused.text.split_once(&format!("name=\"{field}\"")).unwrap().1;
        let of_field = of_field.split_once("</div>").unwrap().0;
        assert!(of_field.contains(beside) && of_field.contains(says), "{fields}: {of_field}");
        assert!(refused.text.contains("value=\"Typed Name\""), "{fields}: what was typed stays");
        assert_eq!(refused.text.matches(says).count(), 1, "{fields}: it is said once");
        assert_eq!(server.get("/v1/accounts/ada").json()["name"], "Ada & Co");
    }
}

#[test]
fn a_buyer_is_told_of_the_tax_that_is_added() {
    for (seller, country, says) in [
        ("LT", "US", "No VAT is added: the country is outside the European Union."),
        ("LT", "DE", "VAT of 19% is added to purchases."),
        ("US", "DE", "No tax is added to purchases."),
        ("", "DE", "No tax is added to purchases."),
    ] {
        let server = Served::configured(&format!("[seller]\nname = \"Acme\"\ncountry = \"{seller}\"\n"));
        assert_eq!(server.put("/v1/accounts/ada", &json!({"address": {"country": country}})).status, 201);
        let cookie = visit(&server, "ada", "owner");
        let page = server.browse("/settings/billing", &cookie).text;
        assert!(page.contains(says), "{seller} to {country}: {page}");
    }
}

#[test]
fn the_console_is_in_nobodys_frame_whoever_may_show_the_pages() {
    let server = Served::configured("[pages]\nembed_origins = [\"https://app.example.com\"]\n");
    let ancestors = |path: &str| {
        let answer = server.browse(path, "");
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        policy.split_once("frame-ancestors ").unwrap().1.to_owned()
    };
    assert_eq!(ancestors("/settings/usage"), "https://app.example.com");
    assert_eq!((ancestors("/console/sign-in"), ancestors("/console")), ("'none'".to_owned(), "'none'".to_owned()));
}

/// Whoever types an address, or loads one again, is told in words and shown the way back; programs read problems.
#[test]
fn an_address_without_a_page_answers_with_one() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "owner");
    for (path, status, back) in [
        ("/settings/nope", 404, "href=\"/settings/usage\""),
        ("/console/nope", 404, "href=\"/console\""),
        ("/sign-out", 405, "href=\"/settings/usage\""),
        ("/console/accounts/ada/grant", 405, "href=\"/console\""),
        ("/nope", 404, "href=\"/settings/usage\""),
    ] {
        let page = server.browse_html(path);
        assert_eq!(page.status, status, "{path}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{path}: {}", page.text);
        assert!(page.text.contains("There is no page here") && page.text.contains(back), "{path}: {}", page.text);
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"), "{path}");
    }
    assert_eq!(server.browse("/settings/nope", &cookie).header("content-type"), Some("text/html; charset=utf-8"));
    let invoice = server.browse("/settings/billing/payments/payment_0t45zs3650pseqcgw4r0000003", &cookie);
    assert_eq!(invoice.status, 404, "{}", invoice.text);
    assert!(invoice.text.contains("<h1>No such payment</h1>") && invoice.text.contains("Back to your usage"));
    assert!(!invoice.text.contains("no such payment"), "{}", invoice.text);
    for path in ["/v1/nope", "/nope"] {
        assert_eq!(server.get(path).problem().1, "not_found", "{path}");
    }
    assert_eq!(server.browse_html("/v1/nope").problem().1, "not_found", "the API is for programs, whoever asks");
}

#[test]
fn a_form_of_another_account_that_was_open_before_says_so() {
    let server = Served::start();
    server.account("ada");
    server.account("bob");
    let of_ada = visit(&server, "ada", "owner");
    let mark = mark_of(&server.browse("/settings/usage", &of_ada).text).to_owned();
    let of_bob = visit(&server, "bob", "owner");
    let anew = visit(&server, "ada", "owner");
    for path in ["/settings/usage/budget", "/settings/billing/details", "/settings/billing/mails", "/sign-out"] {
        let refused = server.submit(path, &of_bob, &format!("mark={mark}&limit=5"));
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text.contains("You sent this from a page of another account."), "{path}: {}", refused.text);
        assert!(refused.text.contains("Nothing was done, for neither of them."), "{path}: {}", refused.text);
        let refused = server.submit(path, &anew, &format!("mark={mark}&limit=5"));
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text.contains("You signed in anew since this page was loaded"), "{path}: {}", refused.text);
    }
    assert_eq!(server.browse("/settings/usage", &of_bob).status, 200, "nobody was signed out");
}

#[test]
fn a_range_or_a_month_that_cannot_be_shown_is_said_in_a_line() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "owner");
    for (query, said) in [
        ("from=2026-11-12&amp;to=2026-11-02", "The first day was after the last, so the first alone is shown."),
        ("from=2026-13-45", "“2026-13-45” is no day of the calendar"),
    ] {
        for path in ["usage", "activity"] {
            let page = server.browse(&format!("/settings/{path}?{}", query.replace("&amp;", "&")), &cookie);
            assert!(page.text.contains(said), "{path} {query}: {}", page.text);
        }
    }
    let early = server.browse("/settings/billing/statement?month=2400-01", &cookie);
    assert!(early.text.contains("January 2400 has not begun."), "{}", early.text);
}

#[test]
fn a_file_that_cannot_be_estimated_is_told_what_is_wrong_with_it() {
    let server = Served::start();
    server.account("ada");
    let cookie = visit(&server, "ada", "member");
    let mark = mark_of(&server.browse("/settings/estimate", &cookie).text).to_owned();
    let ask = |name: &str, file: &str| {
        let body = format!(
            "--x\r\nContent-Disposition: form-data; name=\"mark\"\r\n\r\n{mark}\r\n\
             --x\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\nfile\r\n\
             --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{file}\r\n--x--\r\n"
        );
        server.submit_as("/settings/estimate", &cookie, "multipart/form-data; boundary=x", &body)
    };
    for (name, file, said) in [
        ("shop.zip", "this was never packed", "This zip cannot be opened."),
        ("shop.zip", "PK\u{3}\u{4} and then nothing", "This zip cannot be opened."),
        ("shop.tgz", "neither was this", "This tgz cannot be opened."),
        ("compose.yml", "", "The file is empty."),
        ("notes.txt", " \n", "The file is empty."),
        (
            "notes.txt",
            "Buy milk",
            "What can be read: .zip, .tar and .tar.gz archives, Compose files, and plans as JSON.",
        ),
        ("paper.pdf", "%PDF-1.7\n%\u{b5}\n1 0 obj <<", "What can be read: .zip, .tar and .tar.gz archives"),
        ("compose.yml", "name: shop\n", "The file is no plan: it has no services. What can be read"),
    ] {
        let refused = ask(name, file);
        assert_eq!(refused.status, 422, "{name}: {}", refused.text);
        let problem = refused.text.split_once("role=\"alert\">").unwrap().1.split("</p>").next().unwrap();
        assert!(problem.contains(said) && !problem.contains("-->") && !problem.contains('\n'), "{name}: {problem}");
    }
    assert_eq!(ask("compose.txt", "services:\n  web:\n    image: nginx\n").status, 200, "whatever it is called");
}

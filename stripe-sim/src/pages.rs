//! The pages a customer sees: to pay on, to save a card on, and to prove who they are. Plain forms without script, that
//! say clearly that no money moves.
use serde_json::Value;

use crate::card_table::CARDS;
use crate::params::Params;
use crate::world::{World, text};

/// A page, or where to go instead.
pub enum Shown {
    Page(u16, String),
    Redirect(String),
}

const STYLE: &str = include_str!("page.css");

/// Answers a browser.
pub fn answer(world: &mut World, method: &str, path: &str, query: &str, form: &str) -> Shown {
    world.tick();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["c", "pay", id]) => {
            let said = if query.contains("declined=1") { "Your bank could not confirm that it is you." } else { "" };
            pay(world, id, said, "")
        }
        ("POST", ["c", "pay", id]) => submit(world, id, Params::read(form)),
        ("GET", ["c", "done", id]) => Shown::Redirect(world.complete_session(id)),
        ("GET", ["3ds", id]) => prove(world, id, ""),
        ("POST", ["3ds", id]) => {
            let is_proven = Params::read(form).text("outcome").as_deref() == Some("complete");
            match world.finish_proof(id, is_proven) {
                Ok(url) => Shown::Redirect(url),
                Err(problem) => prove(world, id, problem.error["message"].as_str().unwrap_or_default()),
            }
        }
        ("GET", [""]) => Shown::Page(200, page("Simulator", &front(world))),
        _ => Shown::Page(404, page("Not here", "<h1>There is nothing here</h1>")),
    }
}

fn submit(world: &mut World, id: &str, mut form: Params) -> Shown {
    let number = form.text("number").unwrap_or_default();
    let expiry = form.text("expiry").unwrap_or_default();
    let (month, year) = expiry.split_once('/').unwrap_or((&expiry, ""));
    let (month, year) = (month.trim().parse().unwrap_or(0), year.trim().parse().unwrap_or(0));
    let name = form.text("name").unwrap_or_default();
    let outcome = world.typed_card(&number, month, year).and_then(|it| world.submit_page(id, &it, &name));
    match outcome {
        Ok(url) => Shown::Redirect(url),
        Err(problem) => pay(world, id, problem.error["message"].as_str().unwrap_or_default(), &number),
    }
}

fn pay(world: &World, id: &str, said: &str, number: &str) -> Shown {
    let Ok(session) = world.find("checkout.session", id, "session") else {
        return Shown::Page(404, page("Not here", "<h1>There is no such page</h1>"));
    };
    match session["status"].as_str() {
        Some("expired") => {
            return Shown::Page(200, page("Closed", "<h1>This page has closed</h1><p>Go back and start again.</p>"));
        }
        Some("complete") => {
            let success = escape(&text(&session, "success_url").replace("{CHECKOUT_SESSION_ID}", id));
            let done = format!("<h1>Done</h1><p>This has been done already.</p><p><a href=\"{success}\">Go on</a></p>");
            return Shown::Page(200, page("Done", &done));
        }
        _ => {}
    }
    let is_payment = session["mode"] == "payment";
    let (title, button) = if is_payment {
        let total = money(session["amount_total"].as_i64().unwrap_or_default(), &text(&session, "currency"));
        (format!("Pay {total}"), format!("Pay {total}"))
    } else {
        ("Save a card".to_owned(), "Save card".to_owned())
    };
    let fault =
        if said.is_empty() { String::new() } else { format!("<p class=\"fault\" role=\"alert\">{}</p>", escape(said)) };
    let consent = match (is_payment, session["_save"].is_null()) {
        (true, true) => "",
        _ => "<p class=\"small\">The card will be saved and may be charged later when you are not here, as agreed.</p>",
    };
    let cancel = session["cancel_url"].as_str().map(|it| format!("<a class=\"back\" href=\"{}\">Back</a>", escape(it)));
    let body = format!(
        "<h1>{title}</h1>{lines}{fault}\
         <form method=\"post\" action=\"/c/pay/{id}\">\
         <label>Card number<input name=\"number\" value=\"{number}\" inputmode=\"numeric\" autocomplete=\"off\" \
         required \
         list=\"cards\" placeholder=\"4242 4242 4242 4242\"></label>\
         <div class=\"two\">\
         <label>Expiry<input name=\"expiry\" placeholder=\"MM / YY\" autocomplete=\"off\" required></label>\
         <label>Security code<input name=\"cvc\" placeholder=\"123\" inputmode=\"numeric\" autocomplete=\"off\">\
         </label></div>\
         <label>Name on the card<input name=\"name\" autocomplete=\"off\"></label>{consent}\
         <button>{button}</button></form>{cancel}{cards}",
        lines = lines(&session),
        id = escape(id),
        number = escape(number),
        cancel = cancel.unwrap_or_default(),
        cards = cards(),
    );
    Shown::Page(200, page(&title, &body))
}

fn lines(session: &Value) -> String {
    let Some(lines) = session["_lines"].as_array() else { return String::new() };
    let row = |name: &str, amount: i64, currency: &str| {
        format!("<tr><td>{}</td><td>{}</td></tr>", escape(name), money(amount, currency))
    };
    let rows: String = lines
        .iter()
        .map(|it| row(&text(it, "description"), it["amount_total"].as_i64().unwrap_or_default(), &text(it, "currency")))
        .collect();
    let total = row("Total", session["amount_total"].as_i64().unwrap_or_default(), &text(session, "currency"));
    format!("<table>{rows}<tfoot>{total}</tfoot></table>")
}

/// The cards to try, folded away.
fn cards() -> String {
    let what = [
        ("4242424242424242", "works"),
        ("4000002500003155", "asks for 3-D Secure, once"),
        ("4000002760003184", "asks for 3-D Secure, every time"),
        ("4000000000000002", "is declined"),
        ("4000000000009995", "has not enough money"),
        ("4000000000000341", "can be saved and is declined later"),
        ("4000000000000259", "is disputed by its bank"),
    ];
    let spaced = |number: &str| {
        let digits: Vec<char> = number.chars().collect();
        digits.chunks(4).map(|it| it.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
    };
    let rows: String = what
        .iter()
        .map(|(number, what)| format!("<tr><td><code>{}</code></td><td>{what}</td></tr>", spaced(number)))
        .collect();
    let all: String = CARDS.iter().map(|it| format!("<option value=\"{}\">", spaced(it.number))).collect();
    format!(
        "<details><summary>Cards to try</summary><table>{rows}</table><p class=\"small\">With any date to come and any \
         code.</p></details><datalist id=\"cards\">{all}</datalist>"
    )
}

fn prove(world: &World, id: &str, said: &str) -> Shown {
    let kind = if id.starts_with("seti") { "setup_intent" } else { "payment_intent" };
    let Ok(intent) = world.find(kind, id, "intent") else {
        return Shown::Page(404, page("Not here", "<h1>There is nothing to prove here</h1>"));
    };
    if intent["status"] != "requires_action" {
        let over = format!("<h1>Nothing is to be proven here any more</h1><p class=\"fault\">{}</p>", escape(said));
        return Shown::Page(200, page("Over", &over));
    }
    let what = if kind == "payment_intent" {
        format!("a payment of {}", money(intent["amount"].as_i64().unwrap_or_default(), &text(&intent, "currency")))
    } else {
        "the saving of your card".to_owned()
    };
    let body = format!(
        "<h1>Your bank asks: is it you?</h1><p>This stands for your bank's own page (3-D Secure). It is about \
         {what}.</p>\
         <form method=\"post\" action=\"/3ds/{id}\"><button name=\"outcome\" value=\"complete\">It is me</button>\
         <button class=\"plain\" name=\"outcome\" value=\"fail\">Refuse</button></form>",
        id = escape(id),
    );
    Shown::Page(200, page("Your bank", &body))
}

fn front(world: &World) -> String {
    let row = |it: &Value| {
        let amount = money(it["amount"].as_i64().unwrap_or_default(), &text(it, "currency"));
        format!("<tr><td><code>{}</code></td><td>{amount}</td><td>{}</td></tr>", text(it, "id"), text(it, "status"))
    };
    let rows: String = world.shelf.all("payment_intent").take(20).map(row).collect();
    let rows = if rows.is_empty() { "<tr><td>None yet</td></tr>".to_owned() } else { rows };
    format!("<h1>A simulator of Stripe</h1><p>The newest payments it was asked for:</p><table>{rows}</table>")
}

fn money(amount: i64, currency: &str) -> String {
    let places = match currency {
        "jpy" | "krw" | "vnd" | "clp" => 0,
        "bhd" | "kwd" | "omr" | "jod" | "tnd" => 3,
        _ => 2,
    };
    let unit = 10_i64.pow(places);
    let fraction =
        if places == 0 { String::new() } else { format!(".{:0width$}", amount % unit, width = places as usize) };
    format!("{}{fraction} {}", amount / unit, currency.to_uppercase())
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} · simulator</title>\
         <style>{STYLE}</style></head><body><p class=\"banner\">This is a <b>simulator</b> of Stripe's pages, not \
         Stripe. No money moves, and only test cards are taken: never type a real one.</p>\
         <main>{body}</main></body></html>",
        title = escape(title),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

//! What e-mails say: plain words, amounts with their money, times in the account's zone. Made of what a notice tells;
//! what it does not tell is left out.
//!
//! Numbers and dates are written as on the pages and on invoices, which the mails are about.
use billing::money::{Credits, Currency, Money};
use billing::payment::Failure;
use billing::time::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::digest;
use super::letter::Letter;
use crate::app::{App, Known};
use crate::service::{printed, rounded};

/// A notice's facts, each read where it is there.
pub(super) struct Facts<'a> {
    app: &'a App,
    known: &'a Known,
    about: &'a Value,
}

/// What an e-mail says of something that happened.
pub(super) fn letter(app: &App, known: &Known, what: &str, about: &Value) -> Letter {
    let facts = Facts { app, known, about };
    let mut letter = match what.split_once('.') {
        Some(("balance" | "budget" | "grant" | "server", _)) => of_credits(&facts, what),
        Some(("digest", _)) => digest::letter(&facts),
        _ => of_money(&facts, what),
    };
    letter.account = facts.account();
    if letter.subject.is_empty() {
        letter.subject.clone_from(&letter.title);
    }
    letter
}

fn of_credits(facts: &Facts<'_>, what: &str) -> Letter {
    match what {
        "balance.low" => facts
            .letter("Your credits are running low", "What is left keeps working. Add credits before it is used up.")
            .row("Left", facts.credits("available"))
            .paragraph(facts.set_apart("and does not count here"))
            .row("Told below", facts.credits("threshold"))
            .row("Owed", facts.owed())
            .button("Add credits", facts.billing()),
        "balance.exhausted" => facts
            .letter("Your credits are used up", "New work is refused until credits are added. Nothing is lost.")
            .row("Left", facts.credits("available"))
            .paragraph(facts.set_apart("and all other work is refused"))
            .row("Owed", facts.owed())
            .row("Servers run on until", facts.when("grace_until"))
            .button("Add credits", facts.billing()),
        "server.runway_low" => facts
            .letter(
                "Your servers will run out of credits",
                "They use up what is left by then. Add credits, or stop what you do not need.",
            )
            .row("Used up", facts.when("runs_out_at"))
            .row("Left", facts.credits("available"))
            .button("Add credits", facts.billing()),
        "server.stop_due" => {
            let text = if facts.text("reason") == Some("budget") {
                "A budget that you set does not let them run on. What they hold is kept. Raising it starts them again."
            } else {
                "The credits are used up and the time servers may run on without is over. What they hold is kept. \
                 Adding credits starts them again."
            };
            facts
                .letter("Your servers are being stopped", text)
                .row("Servers", facts.list("servers"))
                .row("Budget", facts.plain("budget"))
                .row("Owed", facts.owed())
                .button("Open billing", facts.billing())
        }
        "server.release_due" => facts
            .letter(
                "Your servers are being released",
                "They were stopped for lack of credits, and kept for as long as was said.",
            )
            .row("Servers", facts.list("servers"))
            .button("Add credits", facts.billing()),
        "server.resume_due" => facts
            .letter("Your servers are coming back", "Nothing holds them back any more, and what was owed is paid.")
            .row("Servers", facts.list("servers"))
            .row("Left", facts.credits("available")),
        "grant.expiring" => facts
            .letter("Some of your credits expire soon", "They are used first. What is not used by then is gone.")
            .row("Unused", facts.credits("credits"))
            .row("Until", facts.when("expires_at")),
        "budget.threshold_reached" => {
            let (name, percent) = (facts.text("budget").unwrap_or("A budget"), facts.number("percent").unwrap_or(100));
            let title = format!("{name} has reached {percent}% of its budget");
            let blocks = facts.text("action") == Some("block");
            let note = if blocks { "At 100% it refuses further work." } else { "It only tells, and stops nothing." };
            facts
                .letter(&title, note)
                .row("Used", facts.credits("used").or_else(|| facts.credits("spent")))
                .row("Budget", facts.credits("limit").or_else(|| facts.credits("credits")))
                .row("Project", facts.plain("project"))
                .row("For", facts.plain("actor"))
                .row("Counted by", facts.plain("period"))
        }
        _ => facts.letter("Something happened to your credits", ""),
    }
}

fn of_money(facts: &Facts<'_>, what: &str) -> Letter {
    match what {
        "payment.succeeded" => {
            let (title, text) = match facts.text("purpose") {
                Some("auto_topup") => (
                    "Your credits were topped up",
                    "Your balance fell below the threshold you set, so auto-topup bought more.",
                ),
                Some("subscription") if facts.is_upgrade() => (
                    "Your plan is upgraded",
                    "The credits for the rest of this period are in your account. The plan is charged from the next \
                     period on.",
                ),
                Some("subscription") => (
                    "Your subscription is paid",
                    "This period's credits are in your account. Unused ones of earlier periods stay.",
                ),
                _ => ("Thank you for your payment", "The credits are in your account."),
            };
            facts.receipt(title, text).button("Open billing", facts.link())
        }
        "payment.refunded" => facts
            .letter("Your refund is on its way", "It goes back the way you paid; banks take up to ten days to show it.")
            .row("Refunded", facts.money("amount").or_else(|| facts.money("total")))
            .row("Credits taken back", facts.credits("credits"))
            .row("Reason", facts.plain("reason"))
            .row("Payment", facts.plain("payment")),
        "subscription.renewal_upcoming" => facts
            .letter(
                "Your subscription renews soon",
                "You need do nothing. You can cancel until then, and keep all your credits.",
            )
            .row("Renews", facts.when("renews_at").or_else(|| facts.when("at")))
            .row("Plan", facts.plain("plan"))
            .row("Amount", facts.money("total").or_else(|| facts.money("price")))
            .row("Credits", facts.credits("credits"))
            .row("Card", facts.card())
            .button("Manage the subscription", facts.billing()),
        "subscription.ending" | "subscription.resumed" => of_change_of_mind(facts, what),
        "subscription.canceled" => facts
            .letter("Your subscription has ended", "Nothing more is charged. Unused credits stay in your account.")
            .row("Plan", facts.plain("plan"))
            .row("Credits left", facts.credits("available"))
            .row("Reason", facts.plain("reason")),
        "invoice.issued" => {
            let is_credit_note = facts.text("kind") == Some("credit_note");
            facts
                .letter(
                    if is_credit_note { "Your credit note" } else { "Your invoice" },
                    "For your records. It is in your billing history, too.",
                )
                .row("Number", facts.plain("number").or_else(|| facts.plain("invoice")))
                .row("Total", facts.money("total"))
                .row("VAT in it", facts.money("tax"))
                .button("Open billing", facts.link())
        }
        "payment_method.expiring" => facts
            .letter(
                "Your card expires soon",
                "Payments that happen by themselves would then fail. Add the new one before.",
            )
            .row("Card", facts.card())
            .row("Expires", facts.plain("expires").or_else(|| facts.when("expires_at")))
            .button("Add a card", facts.billing()),
        _ => of_trouble(facts, what),
    }
}

/// Word of a subscription that it will end, or that it goes on after all.
fn of_change_of_mind(facts: &Facts<'_>, what: &str) -> Letter {
    let letter = if what == "subscription.ending" {
        facts
            .letter(
                "Your subscription is cancelled",
                "It goes on until the period that you paid for ends, and does not renew: nothing more is charged. \
                 Unused credits stay in your account. Until then you can take this back on the billing page.",
            )
            .row("Goes on until", facts.when("period_end"))
            .button("Keep the subscription", facts.billing())
    } else {
        facts
            .letter(
                "Your subscription goes on",
                "It is cancelled no longer, and renews when its period ends. You can cancel it again until then.",
            )
            .row("Renews", facts.when("renews_at"))
            .row("Amount", facts.money("total"))
            .button("Manage the subscription", facts.billing())
    };
    letter.row("Plan", facts.plain("plan"))
}

/// What needs the customer.
fn of_trouble(facts: &Facts<'_>, what: &str) -> Letter {
    match what {
        "payment.failed" => {
            let (title, text, what_to_do) = of_failure(facts.about);
            facts.refused(title, text).button(what_to_do, facts.link())
        }
        "payment.requires_action" => {
            let is_topup = facts.text("purpose") == Some("auto_topup");
            let pauses = "Auto-topup goes on when you have confirmed it, or switched it on again.";
            facts
                .refused(
                    "Please confirm your payment",
                    "Your bank wants to be sure that it is you. Nothing is charged before that.",
                )
                .paragraph(is_topup.then(|| pauses.to_owned()))
                .button("Confirm the payment", facts.link())
        }
        "payment.disputed" => {
            let (title, text) = match facts.text("status") {
                Some("won") => ("A dispute is over", "The payment stands, and its credits are yours to use again."),
                Some("lost") => ("A dispute is over", "The money went back to you, and its credits were taken back."),
                _ => (
                    "A payment is disputed",
                    "Your bank says that you dispute a payment. Its unused credits rest until the bank has decided.",
                ),
            };
            facts
                .letter(title, text)
                .row("Amount", facts.money("amount").or_else(|| facts.money("total")))
                .row("Payment", facts.plain("payment"))
        }
        "auto_topup.failed" => {
            let (title, text) = ("Auto-topup did not go through", topup_failed(facts.about));
            if failure_of(facts.about) == Some(Failure::PriceChanged) {
                return facts.dearer(title, &text).button("See the new price", facts.link());
            }
            facts.refused(title, &text).button("Look at billing", facts.link())
        }
        "auto_topup.paused" => {
            let (text, what_to_do) = topup_paused(facts.about);
            facts.refused("Auto-topup is paused", text).button(what_to_do, facts.link())
        }
        "subscription.past_due" => {
            let again = if is_tried_again(facts.about) { " We try again;" } else { "" };
            let settles = if again.is_empty() { " A card that works" } else { " a card that works" };
            let text = format!("Your credits stay and keep working.{again}{settles} settles it at once.");
            facts.refused("Your renewal could not be paid", &text).button("Update the card", facts.link())
        }
        _ => facts.letter("Something happened to your payments", ""),
    }
}

fn failure_of(about: &Value) -> Option<Failure> {
    about["failure"]["code"].as_str()?.parse().ok()
}

/// Whether it is tried again by itself: then the notice says when.
fn is_tried_again(about: &Value) -> bool {
    about["next_try_at"].is_string()
}

/// Title, text and what to do, of a payment that failed.
fn of_failure(about: &Value) -> (&'static str, &'static str, &'static str) {
    match failure_of(about) {
        // Money was collected, and whoever reads that nothing was pays twice.
        Some(Failure::WrongAmount) => (
            "Your payment came in with another amount",
            "Your credits wait until that is cleared up. Please do not pay again.",
            "Look at billing",
        ),
        _ => ("Your payment did not go through", "Nothing was charged.", "Try again"),
    }
}

fn topup_failed(about: &Value) -> String {
    if failure_of(about) == Some(Failure::PriceChanged) && !is_tried_again(about) {
        return "Nothing was charged, and nothing will be before you agree to the new price.".to_owned();
    }
    let charged = match failure_of(about) {
        Some(Failure::WrongAmount) => "Another amount was collected than was asked for, and its credits wait",
        _ => "Nothing was charged",
    };
    if is_tried_again(about) {
        format!("{charged}; it is tried again. Add credits by hand, or another card, to be safe.")
    } else {
        format!("{charged}; it is not tried again before you switch it on again. Add credits by hand meanwhile.")
    }
}

/// Text and what to do, of an auto-topup that paused.
fn topup_paused(about: &Value) -> (&'static str, &'static str) {
    match failure_of(about) {
        // The month's maximum is reached, which is no failure.
        _ if is_tried_again(about) => {
            ("It goes on by itself, and at once when you raise the maximum.", "Look at billing")
        }
        Some(Failure::AuthenticationRequired) => {
            ("It goes on when you have confirmed the payment, or switched it on again.", "Look at billing")
        }
        Some(Failure::Disputed) => ("It charges nothing until that is settled.", "Look at billing"),
        _ => ("It charges nothing until you switch it on again.", "Switch it on again"),
    }
}

impl<'a> Facts<'a> {
    fn account(&self) -> String {
        let account = &self.known.account;
        account.name.clone().unwrap_or_else(|| account.id.to_string())
    }

    pub(super) fn letter(&self, title: &str, text: &str) -> Letter {
        let paragraphs = Some(text).filter(|it| !it.is_empty()).map(str::to_owned).into_iter().collect();
        Letter { title: title.to_owned(), paragraphs, ..Letter::default() }
    }

    fn receipt(&self, title: &str, text: &str) -> Letter {
        self.letter(title, text)
            .row("Item", self.plain("item").or_else(|| self.plain("plan")))
            .row("Credits", self.credits("credits"))
            .row("Net", self.money("net"))
            .row("VAT", self.money("tax"))
            .row("Total", self.money("total").or_else(|| self.money("amount")))
            .row("Card", self.card())
            .row("Invoice", self.invoice())
            .row("Payment", self.plain("payment"))
    }

    fn refused(&self, title: &str, text: &str) -> Letter {
        self.letter(title, text)
            .row("Reason", self.plain("reason").or_else(|| self.plain("failure")))
            .row("Amount", self.money("total").or_else(|| self.money("amount")))
            .row("Credits", self.credits("credits"))
            .row("Card", self.card())
            .row("Tried again", self.when("next_try_at"))
    }

    /// What was not charged because it costs more than was agreed to.
    fn dearer(&self, title: &str, text: &str) -> Letter {
        let credits = self.text("credits").and_then(|it| it.parse().ok());
        let costs = credits.map(|it| printed::money(self.app.price_of_topup(self.known, it).total));
        self.letter(title, text)
            .row("Credits", self.credits("credits"))
            .row("Agreed", self.money("total"))
            .row("Costs now", costs)
    }

    /// Whether it paid for the rest of a period, on a larger plan.
    fn is_upgrade(&self) -> bool {
        let payment = self.text("payment").and_then(|it| it.parse().ok());
        let kept = payment.and_then(|it| self.app.payment_kept(it).ok().flatten());
        kept.is_some_and(|it| it.body.period.is_some_and(|it| it.is_upgrade))
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.about[name].as_str().filter(|it| !it.is_empty())
    }
    fn plain(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.about[name].as_u64()
    }
    pub(super) fn about(&self) -> &'a Value {
        self.about
    }
    pub(super) fn zone(&self) -> &TimeZone {
        &self.known.zone
    }

    /// Credits with what they are worth: what there is to spend never more than there is.
    pub(super) fn credits(&self, name: &str) -> Option<String> {
        let credits: Credits = self.text(name)?.parse().ok()?;
        let said = if name == "available" { rounded::have(credits) } else { rounded::used(credits) };
        Some(self.with_money(&said, credits))
    }
    pub(super) fn worth(&self, credits: Credits) -> String {
        self.with_money(&rounded::used(credits), credits)
    }
    fn with_money(&self, said: &str, credits: Credits) -> String {
        let money = self.app.at_list_price(credits, self.known.account.currency);
        format!("{} credits ({})", said.strip_suffix(".00").unwrap_or(said), printed::money(money))
    }

    /// An invoice by the number that stands on it.
    fn invoice(&self) -> Option<String> {
        let invoice = self.app.invoice(self.text("invoice")?.parse().ok()?).ok()?;
        Some(invoice.invoice.number.to_string())
    }

    /// Credits among those that are left which are no help here, and what that means.
    fn set_apart(&self, so: &str) -> Option<String> {
        let credits = self.credits("for_other_work")?;
        Some(format!("{credits} of what is left can be used for certain kinds of work only, {so}."))
    }

    /// A debt, where there is one.
    fn owed(&self) -> Option<String> {
        self.credits("debt").filter(|_| self.text("debt") != Some("0"))
    }

    fn money(&self, name: &str) -> Option<String> {
        let said = &self.about[name];
        let currency: Currency = said["currency"].as_str()?.parse().ok()?;
        Some(printed::money(Money { amount: said["amount"].as_i64()?, currency }))
    }

    pub(super) fn when(&self, name: &str) -> Option<String> {
        let at: jiff::Timestamp = self.text(name)?.parse().ok()?;
        Some(moment(Timestamp::from_millis(at.as_millisecond()), &self.known.zone))
    }

    fn card(&self) -> Option<String> {
        let card = &self.about["card"];
        match (card["brand"].as_str(), card["last4"].as_str()) {
            (Some(brand), Some(last)) => Some(format!("{brand} ending in {last}")),
            _ => card.as_str().map(str::to_owned),
        }
    }

    fn list(&self, name: &str) -> Option<String> {
        let names: Vec<&str> = self.about[name].as_array()?.iter().filter_map(Value::as_str).collect();
        Some(names.join(", ")).filter(|it| !it.is_empty())
    }

    /// Where the notice leads, else where billing is.
    fn link(&self) -> Option<String> {
        let url = self.text("url").filter(|it| it.starts_with("https://") || it.starts_with("http://"));
        url.map(str::to_owned).or_else(|| self.billing())
    }

    /// Where this customer comes to billing: by the platform, which knows who they are.
    pub(super) fn billing(&self) -> Option<String> {
        self.app.billing_url(&self.known.account.id, None)
    }
}

impl Letter {
    /// A line of the letter's table; none where there is nothing to say.
    pub(super) fn row(mut self, name: &str, value: Option<String>) -> Letter {
        self.rows.extend(value.map(|it| (name.to_owned(), it)));
        self
    }
    /// A sentence more; none where there is nothing to say.
    pub(super) fn paragraph(mut self, text: Option<String>) -> Letter {
        self.paragraphs.extend(text);
        self
    }
    pub(super) fn button(mut self, label: &str, url: Option<String>) -> Letter {
        self.button = url.map(|it| (label.to_owned(), it));
        self
    }
}

/// `26 Nov 2026, 14:02 (Europe/Vilnius)`.
fn moment(at: Timestamp, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default().to_zoned(zone.clone());
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} ({name})", at.strftime("%-d %b %Y, %H:%M"))
}

/// `26 Nov`.
pub(super) fn day(at: Timestamp, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default().to_zoned(zone.clone());
    at.strftime("%-d %b").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_names_its_zone() {
        let at = Timestamp::from_millis("2026-11-26T12:02:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(moment(at, &TimeZone::get("Europe/Vilnius").unwrap()), "26 Nov 2026, 14:02 (Europe/Vilnius)");
    }

    #[test]
    fn no_mail_says_that_nothing_was_charged_where_something_was_nor_that_it_is_tried_where_it_is_not() {
        let about = |code: &str, next_try_at: Option<&str>| {
            let failure = serde_json::json!({"code": code});
            serde_json::json!({"failure": failure, "next_try_at": next_try_at})
        };
        let later = Some("2026-12-01T00:00:00.000Z");
        for failure in Failure::ALL {
            let is_charged = failure == Failure::WrongAmount;
            for next_try_at in [None, later] {
                let about = about(failure.as_str(), next_try_at);
                for text in [of_failure(&about).1, &topup_failed(&about)] {
                    assert_eq!(text.contains("Nothing was charged"), !is_charged, "{failure}: {text}");
                }
                assert_eq!(topup_failed(&about).contains("it is tried again"), next_try_at.is_some(), "{failure}");
            }
        }
        let paused = |code, next_try_at| topup_paused(&about(code, next_try_at)).0;
        assert!(paused("declined", None).contains("until you switch it on again"));
        assert!(paused("monthly_maximum", later).contains("by itself"));
        assert!(paused("authentication_required", None).contains("confirmed"));
        assert!(paused("disputed", None).contains("until that is settled"));
        let dearer = topup_failed(&serde_json::json!({"failure": {"code": "price_changed"}}));
        assert!(dearer.contains("agree to the new price"), "{dearer}");
    }
}

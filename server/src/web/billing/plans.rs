//! Having another plan, and ending the one there is: each is asked first, with what it costs and means, and done by a
//! second click that carries what was agreed to.
//!
//! How the subscription stands is said in `subscription`.
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use billing::Refusal;
use billing::id::Name;
use billing::subscription::State as Standing;
use billing::time::Timestamp;

use super::agree::{Agree, CHANGED, bill, is_agreed};
use super::form::Form;
use super::subscription::{lapses, present};
use super::{PATH, Paged, Trouble, admit_change, back, done, may_change, message, refused, rows, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, PlanOffer, PriceOfCredits, Purpose, SubscribeOrder, Subscription};
use crate::web::frame::Frame;
use crate::web::visit::Visitor;

pub const SECTION: &str = "subscription";
pub const REVIEW: &str = "/settings/billing/subscription";
const END: &str = "/settings/billing/subscription/end";

/// What subscribing, or changing, means; asked before it is done.
pub async fn review(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    may_change(&site, &visitor).await?;
    let plan = visitor.query.get("plan").map(str::to_owned);
    reviewed(&site, visitor, plan, None).await
}

async fn reviewed(site: &Arc<Site>, visitor: Visitor, plan: Option<String>, warning: Option<&'static str>) -> Paged {
    let visitor = Arc::new(visitor);
    let (asking, asked) = (Arc::clone(&visitor), site.app.clone());
    let filled = site.aside(move || {
        let plan: Name = plan.unwrap_or_default().parse().map_err(|_| Refusal::PlanNotFound)?;
        agreement(&asked, &asking, &plan, warning)
    });
    match filled.await.map_err(|it| message::failed(site, it))? {
        Ok(agree) => Ok(agree.answer()),
        Err(error) => refused(site, &visitor, Trouble::of(SECTION, error, &visitor.query)).await,
    }
}

fn agreement(app: &App, visitor: &Visitor, plan: &Name, warning: Option<&'static str>) -> Result<Agree, Error> {
    let account = &visitor.session.account;
    let balance = app.balance(account, None)?;
    let cards = app.payment_methods(account)?;
    let present = present(app, account)?;
    let mut agree = Agree {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        title: String::new(),
        sentences: Vec::new(),
        bill: Vec::new(),
        notes: vec![
            "You can cancel at any time, here, in two clicks. It takes effect when the period ends; until then \
                     you can take it back."
                .to_owned(),
        ],
        warning: warning.map(str::to_owned),
        action: REVIEW,
        fields: vec![("plan", plan.to_string()), ("key", app.form_key()?)],
        button: String::new(),
        is_danger: false,
        instead: ("/settings/billing#subscription".to_owned(), "Not now"),
    };
    let card = rows::card_named(&cards, present.as_ref().and_then(|it| it.method.as_deref()));
    let total = match present {
        None => start(&mut agree, &app.plan_offer(account, plan)?, &card),
        Some(it) => change(&mut agree, visitor, app, (&it, plan, &card))?,
    };
    agree.fields.push(("total", total.to_string()));
    agree.notes.push(match lapses(&app.plan_offer(account, plan)?.plan) {
        None => "Unused credits carry over: into the next period, into another plan, and beyond its end.".to_owned(),
        Some(text) => format!("Of this plan, {text}. Other credits stay as they are."),
    });
    Ok(agree)
}

fn start(agree: &mut Agree, offer: &PlanOffer, card: &str) -> i64 {
    let (plan, price) = (&offer.plan, &offer.price);
    let credits = rows::whole(plan.credits());
    agree.title = format!("Subscribe to {}?", plan.name);
    agree.sentences = vec![format!(
        "{card} is charged {} now, and again each {} until you cancel. Each time {credits} credits are added.",
        show::money(price.total),
        plan.every
    )];
    agree.bill = bill(format!("{credits} credits, {}% less than one by one", offer.percent_off), price);
    agree.button = format!("Subscribe and pay {}", show::money(price.total));
    price.total.amount
}

fn change(
    agree: &mut Agree,
    visitor: &Visitor,
    app: &App,
    (present, plan, card): (&Subscription, &Name, &str),
) -> Result<i64, Error> {
    let account = &visitor.session.account;
    let day = show::day(Timestamp::from_millis(present.period_end), &visitor.known.zone);
    let change = app.plan_change(account, plan)?;
    let (offer, each) = (&change.offer, show::money(change.offer.price.total));
    let credits = rows::whole(offer.plan.credits());
    let then = format!("From {day} on, {card} is charged {each} each {} for {credits} credits.", offer.plan.every);
    if present.ends {
        let text =
            format!("You cancelled your subscription. This takes that back: it renews on {day}, and after that.");
        let before = agree.warning.take().map(|it| format!("{it} ")).unwrap_or_default();
        agree.warning = Some(format!("{before}{text}"));
        // That this is known goes with the click, as the price does.
        agree.fields.push(("cancelled", "1".to_owned()));
    }
    agree.title = format!("Change to {}?", offer.plan.name);
    if present.plan.id == offer.plan.id {
        agree.title = format!("Stay on {}?", offer.plan.name);
    }
    let Some(now) = &change.now else {
        agree.sentences = vec![format!("Nothing is charged now. {then}")];
        agree.notes.push(format!("Until {day} everything stays as it is, and no credits are taken away."));
        agree.button =
            if present.plan.id == offer.plan.id { "Stay on this plan" } else { "Change at renewal" }.to_owned();
        return Ok(0);
    };
    agree.sentences = vec![
        format!("About {} credits are added now, for the rest of the period until {day}.", show::have(now.credits)),
        then,
    ];
    agree.bill = bill(format!("The difference between the plans until {day}"), now);
    agree.notes.push(
        "The difference gets smaller with every minute; you pay what it is when you press the button.".to_owned(),
    );
    agree.button = format!("Upgrade and pay {}", show::money(now.total));
    Ok(now.total.amount)
}

/// Subscribes or changes, as was agreed.
pub async fn agree(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let plan = form.get("plan").map(str::to_owned);
    let Some(Ok(name)) = plan.as_ref().map(|it| it.parse::<Name>()) else {
        return refused(&site, &visitor, Trouble::of(SECTION, Refusal::PlanNotFound.into(), form.said())).await;
    };
    let account = visitor.session.account.clone();
    let (wanted, said) = (name.clone(), form.get("total").map(str::to_owned));
    let looked = site.look(move |app| {
        let present = present(app, &account)?;
        let is_agreed = is_what_was_said(app, &account, (&wanted, present.is_some()), said.as_deref())?;
        Ok((present.is_some(), is_agreed, present.is_some_and(|it| it.ends)))
    });
    let (is_change, is_agreed, is_cancelled) = looked.await.map_err(|it| message::failed(&site, it))?;
    // Somebody cancelled it since the page was opened, and this would take that back: it is asked anew.
    let is_news = is_cancelled && form.get("cancelled").is_none();
    if !is_agreed || is_news {
        return reviewed(&site, visitor, plan, (!is_agreed).then_some(CHANGED)).await;
    }
    let order = SubscribeOrder {
        account: visitor.session.account.clone(),
        plan: name,
        method: None,
        return_url: Some(format!("{}/settings/billing/returned", site.origin(&visitor.headers))),
        key: form.get("key").unwrap_or_default().into(),
        by: visitor.by(),
    };
    let subscribed = if is_change { site.app.change_plan(order).await } else { site.app.subscribe(order).await };
    match subscribed {
        Ok(_) => after(&site, &visitor, form.get("total") == Some("0")).await,
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}

/// Whether the total is still what was on the page. Of an upgrade it may only have become less.
fn is_what_was_said(
    app: &App,
    account: &Name,
    (plan, is_change): (&Name, bool),
    said: Option<&str>,
) -> Result<bool, Error> {
    if !is_change {
        return Ok(is_agreed(said, &app.plan_offer(account, plan)?.price));
    }
    let now: Option<PriceOfCredits> = app.plan_change(account, plan)?.now;
    let total = now.map_or(0, |it| it.total.amount);
    let said = said.and_then(|it| it.parse::<i64>().ok()).unwrap_or(-1);
    Ok(if total == 0 { said == 0 } else { total <= said })
}

/// To the payment, where there is one; else back to where it stands.
async fn after(site: &Arc<Site>, visitor: &Visitor, is_free: bool) -> Paged {
    if is_free {
        return Ok(done("plan"));
    }
    let account = visitor.session.account.clone();
    let newest = site.look(move |app| Ok(app.payments(&account, None, 1)?.pop()));
    let newest = newest.await.map_err(|it| message::failed(site, it))?;
    let of_it = newest.filter(|it| it.payment.purpose == Purpose::Subscription);
    let to = of_it.map_or_else(|| format!("{PATH}#{SECTION}"), |it| format!("{PATH}/payments/{}", it.id));
    Ok(Redirect::to(&to).into_response())
}

const LET_THROUGH: &str = "Should your bank have let it through already, you have its credits.";

/// The first of two clicks.
pub async fn review_end(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    may_change(&site, &visitor).await?;
    let filled = site.look(move |app| {
        let account = &visitor.session.account;
        let balance = app.balance(account, None)?;
        let Some(it) = present(app, account)? else { return Ok(None) };
        let day = show::day(Timestamp::from_millis(it.period_end), &visitor.known.zone);
        let is_over = app.ends_at_once(visitor.known.account.number, &it)?;
        let sentence = match it.state() {
            Standing::Incomplete => format!("Its first payment is given up. {LET_THROUGH}"),
            _ if is_over => {
                let why = "It ends at once: its renewal has not been paid. A payment that is under way is given up.";
                format!("{why} {LET_THROUGH}")
            }
            _ => format!("It ends on {day}. Nothing more is charged, and you keep what you have paid for."),
        };
        Ok(Some(Agree {
            frame: Frame::of(app, &visitor, &balance, PATH)?,
            title: format!("Cancel {}?", it.plan.name),
            sentences: vec![sentence],
            bill: Vec::new(),
            notes: vec![
                match lapses(&it.plan) {
                    None => "All your credits stay, those from this subscription too. They do not expire.".to_owned(),
                    Some(text) => format!("Your credits stay. Of those from this subscription, {text}."),
                },
                if is_over { String::new() } else { format!("Until {day} you can change your mind with one click.") },
            ],
            warning: None,
            action: END,
            fields: vec![("ends", "1".to_owned())],
            button: if is_over { "Cancel now".to_owned() } else { format!("Cancel on {day}") },
            is_danger: true,
            instead: ("/settings/billing#subscription".to_owned(), "Keep it"),
        }))
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(filled.map_or_else(|| back(SECTION), |it| it.answer()))
}

/// The second click, or taking it back.
pub async fn end(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let ends = form.get("ends") == Some("1");
    let (app, account, by) = (Arc::clone(&site.app), visitor.session.account.clone(), visitor.by());
    let ended = site.aside(move || app.end_subscription(&account, ends, &by, None)).await;
    match ended.map_err(|it| message::failed(&site, it))? {
        Ok(_) => Ok(done(if ends { "end" } else { "keep" })),
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}

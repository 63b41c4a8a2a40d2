//! Webhooks: who is told, whether they listen, what they were told, and telling it again.
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::{DeliveryId, EndpointId};
use billing::time::Timestamp;
use jiff::tz::TimeZone;

use super::confirm::{Question, ask};
use super::form::Form;
use super::refused::{Refused, again};
use super::{Desk, Paged, done, message, page};
use crate::app::App;
use crate::http::Site;
use crate::service::{DeliveryView, EndpointView, Error, Happening, MadeEndpoint};
use crate::web::frame::When;
use crate::web::range::Query;
use crate::web::visit::Host;

const HERE: &str = "/console/webhooks";
/// Deliveries of a page.
const SHOWN: usize = 50;
/// Deliveries looked at to say how an endpoint is doing.
const LOOKED_AT: usize = 50;

#[derive(Template)]
#[template(path = "console/webhooks.html")]
struct WebhooksPage {
    desk: Desk,
    endpoints: Vec<EndpointRow>,
    events: Vec<&'static str>,
    /// Shown once, here.
    secret: Option<(String, String)>,
    refused: Refused,
}

struct EndpointRow {
    id: String,
    url: String,
    events: String,
    made: When,
    failing: Option<When>,
    /// It was given up on, and is told nothing until somebody says so.
    is_disabled: bool,
    health: String,
}

fn row(app: &App, it: EndpointView) -> Result<EndpointRow, Error> {
    let id: EndpointId = it.id.parse().map_err(|_| Refusal::WebhookEndpointNotFound)?;
    let recent = app.deliveries(id, None, LOOKED_AT)?;
    let heard = recent.iter().filter(|it| it.delivery.state.as_str() == "delivered").count();
    Ok(EndpointRow {
        events: if it.endpoint.events.is_empty() { "everything".to_owned() } else { it.endpoint.events.join(", ") },
        made: When::moment(it.created_at, &TimeZone::UTC),
        failing: it.endpoint.failing_since.map(|at| When::moment(Timestamp::from_millis(at), &TimeZone::UTC)),
        is_disabled: it.endpoint.disabled_at.is_some(),
        health: match recent.len() {
            0 => "nothing told lately".to_owned(),
            all => format!("{heard} of the last {all} heard"),
        },
        url: it.endpoint.url,
        id: it.id,
    })
}

fn webhooks_page(app: &App, host: &Host, made: Option<MadeEndpoint>) -> Result<WebhooksPage, Error> {
    let endpoints = app.endpoints()?.into_iter().map(|it| row(app, it)).collect::<Result<_, _>>()?;
    let secret = made.and_then(|it| Some((it.endpoint.endpoint.url, it.secret?.reveal())));
    let events = Happening::ALL.iter().map(|it| it.as_str()).collect();
    Ok(WebhooksPage { desk: Desk::of(app, host, HERE)?, endpoints, events, secret, refused: Refused::default() })
}

pub async fn list(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled =
        site.look(move |app| webhooks_page(app, &host, None)).await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

/// Makes an endpoint. Its secret comes at once and once, so nothing is asked in between.
pub async fn create(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let chosen = Happening::ALL.iter().map(|it| it.as_str()).filter(|it| form.get(it).is_some());
    let events: Vec<String> = chosen.map(str::to_owned).collect();
    let (url, under) = (form.get("url").unwrap_or_default().to_owned(), form.under(&host));
    let (app, by) = (Arc::clone(&site.app), host.operator.name.clone());
    let made = site.aside(move || app.create_endpoint(&url, &events, &by, under.as_ref())).await;
    let made = match made.map_err(|it| message::failed(&site, it))? {
        Ok(made) => made,
        Err(error) => {
            let fill = move |app: &App, refused| Ok(WebhooksPage { refused, ..webhooks_page(app, &host, None)? });
            return again(&site, &form, error, fill).await;
        }
    };
    let filled = site.look(move |app| webhooks_page(app, &host, Some(made))).await;
    Ok(page(StatusCode::CREATED, &filled.map_err(|it| message::failed(&site, it))?))
}

#[derive(Template)]
#[template(path = "console/webhook.html")]
struct WebhookPage {
    desk: Desk,
    endpoint: EndpointRow,
    deliveries: Vec<DeliveryRow>,
    older: Option<String>,
}

struct DeliveryRow {
    id: String,
    event: String,
    when: When,
    state: &'static str,
    class: &'static str,
    /// How the last try went, and when the next is.
    said: String,
    tries: usize,
    body: String,
}

fn delivery(it: DeliveryView) -> DeliveryRow {
    let state = it.delivery.state.as_str();
    let last = it.delivery.log.last().map(|it| match (it.status, &it.why) {
        (Some(status), _) => format!("answered {status}"),
        (None, Some(why)) => why.clone(),
        (None, None) => "no answer".to_owned(),
    });
    let next = it.next_try_at.map(|at| format!("next try {}", super::show::minute(at, &TimeZone::UTC)));
    DeliveryRow {
        event: it.delivery.what,
        when: When::moment(it.created_at, &TimeZone::UTC),
        class: match state {
            "delivered" => "good",
            "failed" => "bad",
            "pending" => "warn",
            _ => "",
        },
        state,
        said: last.into_iter().chain(next).collect::<Vec<_>>().join("; "),
        tries: it.delivery.log.len(),
        body: it.delivery.body,
        id: it.id,
    }
}

fn id_of(text: &str) -> Result<EndpointId, Error> {
    text.parse().map_err(|_| Refusal::WebhookEndpointNotFound.into())
}

pub async fn show(State(site): State<Arc<Site>>, Path(endpoint): Path<String>, host: Host) -> Paged {
    let filled = site.look(move |app| {
        let id = id_of(&endpoint)?;
        let found = app.endpoints()?.into_iter().find(|it| it.id == endpoint);
        let found = found.ok_or(Refusal::WebhookEndpointNotFound)?;
        let deliveries = app.deliveries(id, host.query.get("before"), SHOWN)?;
        let last = deliveries.last().filter(|_| deliveries.len() == SHOWN).map(|it| it.id.clone());
        let older = last.map(|it| Query::default().with(&[("before", &it)]).href(&format!("{HERE}/{endpoint}")));
        let desk = Desk::of(app, &host, HERE)?;
        Ok(WebhookPage {
            desk,
            endpoint: row(app, found)?,
            deliveries: deliveries.into_iter().map(delivery).collect(),
            older,
        })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

/// A delivery told again, a secret exchanged, an endpoint deleted.
pub async fn change(State(site): State<Arc<Site>>, Path(endpoint): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let failed = |it: Error| message::failed(&site, it.into());
    let id = id_of(&endpoint).map_err(failed)?;
    let home = format!("{HERE}/{endpoint}");
    let what = form.get("do").unwrap_or_default().to_owned();
    if what == "enable" {
        let by = host.operator.name.clone();
        site.look(move |app| app.enable_endpoint(id, &by, None)).await.map_err(|it| message::failed(&site, it))?;
        return Ok(done(&home, "enable"));
    }
    if what == "resend" {
        let delivery: DeliveryId =
            form.get("delivery").unwrap_or_default().parse().map_err(|_| failed(Refusal::DeliveryNotFound.into()))?;
        let (by, under) = (super::by(&host), form.under(&host));
        let sent = site.look(move |app| app.resend(id, delivery, &by, under.as_ref()));
        sent.await.map_err(|it| message::failed(&site, it))?;
        return Ok(done(&home, "resend"));
    }
    if !form.is_sure() {
        return ask(&site, &host, &form, question(&what, home)).await;
    }
    let by = host.operator.name.clone();
    if what == "delete" {
        return match site.look(move |app| app.delete_endpoint(id, &by)).await {
            Ok(()) => Ok(done(HERE, "delete")),
            // Sent twice: it is gone already.
            Err(problem) if problem.kind.status == 404 => Ok(done(HERE, "delete")),
            Err(problem) => Err(message::failed(&site, problem)),
        };
    }
    let filled = site.look(move |app| {
        let made = app.rotate_endpoint_secret(id, &by, form.under(&host).as_ref())?;
        webhooks_page(app, &host, Some(made))
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn question(what: &str, home: String) -> Question {
    let (title, says, button) = match what {
        "delete" => (
            "Delete the endpoint?",
            vec![
                "It is told nothing any more, from this moment on.".to_owned(),
                "What is on its way to it is given up. What it was told stays to be looked up by the API.".to_owned(),
            ],
            "Delete it",
        ),
        _ => (
            "Exchange the secret?",
            vec![
                "A new secret is made and shown once.".to_owned(),
                "For a day both sign, so that nothing is missed while the receiver changes over.".to_owned(),
            ],
            "Exchange it",
        ),
    };
    Question {
        title: title.to_owned(),
        says,
        button,
        is_harsh: what == "delete",
        adds: Vec::new(),
        action: home.clone(),
        back: home,
        tab: HERE,
    }
}

//! *What would it cost?* A message, a repository, a plan or a server is measured and priced, and nothing is charged.
//!
//! The price is the very one a charge would have: the same measurers, the same rate card, the same rounding. A server's
//! is of so much time in as few months as hold it, and no less than its commitment.
use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::multipart::Field;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use billing::money::Credits;
use billing::rating::{Price, PriceLine, RateCard};
use billing::server::Tariff;
use meters::chat::ChatRequest;
use meters::repository::{Options, measure_archive, quietly};
use meters::{MeasureError, Measurement, chat, plan};

use super::frame::{Frame, Rate};
use super::prices::{self, PriceTable};
use super::visit::Visitor;
use super::{Paged, form, message, page, show};
use crate::app::App;
use crate::http::{CHAT_BYTES_MAX, Site, in_time, length_of, oversize, paced, turn_away};
use crate::service::{DIMENSION_LENGTH_MAX, Error, Order, QuoteOrder, QuoteView};

const PATH: &str = "/settings/estimate";
/// Bytes of a file dropped on the page.
const FILE_BYTES_MAX: usize = 64 << 20;
/// Of the whole form.
const FORM_BYTES_MAX: usize = FILE_BYTES_MAX + (1 << 20);
const TOO_LARGE: &str = "A file may have at most 64 MiB, and a message 24 MiB. Please send less.";
const BROKEN: &str =
    "The form broke off on its way, or came too slowly; a file may have at most 64 MiB. Please send it again.";
const READS: &str = "What can be read: .zip, .tar and .tar.gz archives, Compose files, and plans as JSON.";
/// Replies as people know them, in tokens.
const REPLIES: [(&str, u64); 3] = [("A short reply", 150), ("A usual reply", 500), ("A long reply", 2_000)];
/// Times a server may run, in hours. A month has 730, as everywhere servers are rented.
const TIMES: [(&str, u64); 4] = [("A day", 24), ("A week", 168), ("A month", 730), ("Three months", 2_190)];

#[derive(Template)]
#[template(path = "estimate.html")]
struct EstimatePage {
    frame: Frame,
    asked: Asked,
    models: Vec<String>,
    tiers: Vec<String>,
    times: Vec<&'static str>,
    outcome: Option<Outcome>,
    problem: Option<String>,
    prices: Vec<PriceTable>,
    in_force: String,
}

/// What came of it.
struct Outcome {
    title: String,
    cases: Vec<Case>,
    evidence: Vec<(String, String)>,
    /// Of the last case.
    lines: Vec<super::usage::ReceiptLine>,
    rate_card: u32,
}

/// One price, as people read it.
struct Case {
    label: String,
    credits: String,
    exact: String,
    money: String,
    afterwards: String,
    is_affordable: bool,
}

/// The form's fields.
#[derive(Clone, Debug, Default)]
struct Asked {
    mark: String,
    kind: String,
    text: String,
    model: String,
    tier: String,
    time: String,
    file: Bytes,
    file_name: String,
}

/// The page takes files, which are larger than forms.
pub fn routes() -> MethodRouter<Arc<Site>> {
    get(show).post(estimate).layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
}

async fn show(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    filled(&site, visitor, Asked::default(), None).await
}

async fn estimate(State(site): State<Arc<Site>>, visitor: Visitor, request: Request) -> Paged {
    let length = length_of(request.headers());
    if let Some(length) = length.filter(|it| FORM_BYTES_MAX < *it) {
        let _ = oversize(request.into_body(), length, FORM_BYTES_MAX).await;
        return filled(&site, visitor, Asked::default(), Some(Err(TOO_LARGE.to_owned()))).await;
    }
    let room = match site.page_room_for(&visitor.session.account, length.unwrap_or(FORM_BYTES_MAX)) {
        Ok(room) => room,
        Err(busy) => {
            let (head, body) = request.into_parts();
            turn_away(&head.headers, body).await;
            return Err(message::failed(&site, busy));
        }
    };
    let request = request.map(|it| paced(it, length.unwrap_or_default()));
    let read = in_time(read(request, &site)).await.map_err(|it| message::failed(&site, it))?;
    let mut asked = match read {
        Ok(asked) => asked,
        Err(why) => return filled(&site, visitor, Asked::default(), Some(Err(why.to_owned()))).await,
    };
    form::check_mark(&site, &visitor, &asked.mark).await?;
    let measuring = asked.clone();
    asked.file = Bytes::new();
    let measured = site.measure_for_page(move || {
        let _room = room;
        Ok(measure(&measuring))
    });
    let measured = measured.await.map_err(|it| show::sentence(&it.detail)).and_then(|it| it);
    filled(&site, visitor, asked, Some(measured)).await
}

/// The form's fields, read whole; a file is kept in memory, and nothing of it afterwards. What is wrong with one is
/// said when all have come: a browser that is answered before sees a broken connection.
async fn read(request: Request, site: &Arc<Site>) -> Result<Asked, &'static str> {
    let mut fields = Multipart::from_request(request, site).await.map_err(|_| BROKEN)?;
    let mut asked = Asked::default();
    let mut wrong = None;
    while let Some(field) = fields.next_field().await.map_err(|_| BROKEN)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            asked.file_name = field.file_name().unwrap_or_default().to_owned();
            asked.file = field.bytes().await.map_err(|_| BROKEN)?;
            continue;
        }
        let most = if name == "text" { CHAT_BYTES_MAX } else { DIMENSION_LENGTH_MAX };
        let Some(text) = text_of(field, most).await? else {
            wrong = wrong.or(Some(TOO_LARGE));
            continue;
        };
        if billing::payment::looks_like_card_number(&text) {
            wrong = Some(
                "It holds what looks like the number of a card. Those are for the payment provider’s page alone: \
                 take it out, and send it again.",
            );
            continue;
        }
        match name.as_str() {
            "mark" => asked.mark = text,
            "kind" => asked.kind = text,
            "text" => asked.text = text,
            "model" => asked.model = text,
            "tier" => asked.tier = text,
            "time" => asked.time = text,
            _ => {}
        }
    }
    wrong.map_or(Ok(asked), Err)
}

/// What a field says; none where that is more than `most` bytes.
async fn text_of(mut field: Field<'_>, most: usize) -> Result<Option<String>, &'static str> {
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(part) = field.chunk().await.map_err(|_| BROKEN)? {
        length += part.len();
        if length <= most {
            bytes.extend_from_slice(&part);
        }
    }
    Ok((length <= most).then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

/// A title, and what was measured in each case.
type Measured = (String, Vec<(String, Measurement)>);

/// What is measured, or in words why it is not.
fn measure(asked: &Asked) -> Result<Measured, String> {
    match asked.kind.as_str() {
        "message" => {
            let measured = chat::measure(&ChatRequest::of_text(&asked.model, &asked.text)).map_err(|it| said(&it))?;
            let case = |(label, tokens): (&str, u64)| {
                let mut with_reply = measured.clone();
                with_reply.quantities.insert("output_tokens".to_owned(), tokens);
                (format!("{label}, about {} tokens", show::thousands(tokens)), with_reply)
            };
            Ok((format!("This message to {}", asked.model), REPLIES.into_iter().map(case).collect()))
        }
        "server" => {
            let hours = TIMES.iter().find(|(label, _)| *label == asked.time).map_or(730, |(_, it)| *it);
            let label = if asked.time.is_empty() { "A month" } else { &asked.time };
            let measured = Measurement {
                meter: "server".to_owned(),
                quantities: [("provisioned".to_owned(), 1), ("runtime_seconds".to_owned(), hours * 3_600)].into(),
                dimensions: [("tier".to_owned(), asked.tier.clone())].into(),
                evidence: serde_json::Value::Null,
            };
            Ok((format!("A server of the tier {}", asked.tier), vec![(format!("{label}, with its set-up"), measured)]))
        }
        _ => measure_file(&asked.file, &asked.file_name),
    }
}

fn said(error: &MeasureError) -> String {
    show::sentence(&error.to_string())
}

/// A file is what it begins as; what it is called says what whoever dropped it takes it for.
fn measure_file(file: &[u8], name: &str) -> Result<Measured, String> {
    let ending = name.rsplit_once('.').map(|it| it.1.to_ascii_lowercase()).unwrap_or_default();
    let archive = ["zip", "tar", "gz", "tgz"].into_iter().find(|it| **it == *ending);
    let unopened =
        || format!("This {} cannot be opened. Pack it again, and send it whole.", archive.unwrap_or("archive"));
    let once = |title: &str, it: Measurement| (format!("{title} {name}"), vec![("Once".to_owned(), it)]);
    if file.trim_ascii().is_empty() {
        return Err(if name.is_empty() { "No file was chosen." } else { "The file is empty." }.to_owned());
    }
    if is_archive(file) {
        return match measure_archive(file, &Options::default(), &quietly) {
            Ok(counted) => Ok(once("Analyzing", counted.measurement)),
            Err(MeasureError::InvalidArchive { .. }) => Err(unopened()),
            Err(other) => Err(said(&other)),
        };
    }
    if archive.is_some() {
        return Err(unopened());
    }
    match plan::measure(file) {
        Ok(measured) => Ok(once("Planning", measured)),
        Err(MeasureError::UnknownPlan { .. }) if !["json", "yaml", "yml"].contains(&&*ending) => Err(READS.to_owned()),
        // A parser draws where it stopped, below its first line.
        Err(MeasureError::UnknownPlan { problem }) => {
            Err(format!("The file is no plan: {}. {READS}", problem.lines().next().unwrap_or_default()))
        }
        Err(other) => Err(said(&other)),
    }
}

/// Whether it begins as gzip, zip or tar files do.
fn is_archive(file: &[u8]) -> bool {
    file.starts_with(&[0x1f, 0x8b]) || file.starts_with(b"PK") || file.get(257..262) == Some(b"ustar")
}

async fn filled(site: &Arc<Site>, visitor: Visitor, asked: Asked, came: Option<Result<Measured, String>>) -> Paged {
    let filled = site.look(move |app| {
        let (outcome, problem) = match came {
            None => (None, None),
            Some(Err(why)) => (None, Some(why)),
            Some(Ok(measured)) => match priced(app, &visitor, measured) {
                Ok(outcome) => (Some(outcome), None),
                Err(Error::Refused(refusal)) => (None, Some(refusal.to_string())),
                Err(other) => return Err(other),
            },
        };
        let balance = app.balance(&visitor.session.account, None)?;
        let cards = app.cards();
        let card = cards.in_force(visitor.now);
        let since = |it: &RateCard| {
            format!("version {}, in force since {}", it.version(), show::day(it.effective_at(), &visitor.known.zone))
        };
        Ok(EstimatePage {
            prices: card.map(|it| prices::tables(it)).unwrap_or_default(),
            in_force: card.map(|it| since(it)).unwrap_or_default(),
            frame: Frame::of(app, &visitor, &balance, PATH)?,
            asked,
            models: values(app, "ai_chat", "model"),
            tiers: values(app, "server", "tier"),
            times: TIMES.iter().map(|(label, _)| *label).collect(),
            outcome,
            problem,
        })
    });
    let filled = filled.await.map_err(|it| message::failed(site, it))?;
    let status = if filled.problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(page(status, &filled))
}

fn priced(app: &App, visitor: &Visitor, (title, cases): Measured) -> Result<Outcome, Error> {
    let rate = Rate { app, currency: visitor.known.account.currency };
    let mut shown = Vec::new();
    let mut last: Option<QuoteView> = None;
    let mut evidence = Vec::new();
    for (label, measured) in cases {
        let order = Order {
            meter: measured.meter.as_str().into(),
            quantities: measured.quantities.iter().map(|(name, it)| (name.as_str().into(), *it)).collect(),
            dimensions: measured
                .dimensions
                .iter()
                .map(|(name, it)| (name.as_str().into(), it.as_str().into()))
                .collect(),
            ..Order::default()
        };
        let account = Some(visitor.session.account.clone());
        let mut quote = app.quote(&QuoteOrder { account, order, binding: None, key: None })?;
        commit(app, visitor, &measured, &mut quote.price);
        let available = quote.available.unwrap_or_default();
        let is_affordable = quote.is_affordable.unwrap_or(false) && quote.price.credits <= available;
        let afterwards = if is_affordable {
            format!("leaves {} available for work like this", show::have(available - quote.price.credits))
        } else {
            format!("{} more than is available for it", show::used(available.short_of(quote.price.credits)))
        };
        shown.push(Case {
            label,
            credits: show::used(quote.price.credits),
            exact: quote.price.credits.to_string(),
            money: rate.of(quote.price.credits),
            afterwards,
            is_affordable,
        });
        evidence = super::usage::evidence(&measured.evidence.to_string());
        last = Some(quote);
    }
    let price = last.map(|it| it.price);
    let lines = price.as_ref().map(|it| super::usage::lines(&it.lines)).unwrap_or_default();
    let rate_card = price.as_ref().map_or(0, |it| it.rate_card);
    Ok(Outcome { title, cases: shown, evidence, lines, rate_card })
}

/// Of a server that is released before the end of its commitment, the rest is charged as well.
fn commit(app: &App, visitor: &Visitor, measured: &Measurement, price: &mut Price) {
    let Some(tier) = measured.dimensions.get("tier").filter(|_| measured.meter == "server") else { return };
    let cards = app.cards();
    let Some(card) = cards.in_force(visitor.now) else { return };
    let Ok(tariff) = Tariff::of(card, tier.as_str().into(), None) else { return };
    let more = price.credits.short_of(tariff.least());
    if more.is_positive() {
        let hours = show::thousands(tariff.commitment_seconds.div_ceil(3_600));
        let item = format!("Minimum commitment, {hours} hours").into();
        let unit = "server".into();
        price.lines.push(PriceLine { item, quantity: 1, unit, unit_price: more, per: 1, credits: more });
        price.credits += more;
    }
}

/// The values of a dimension that the latest prices name one by one.
pub fn values(app: &App, meter: &str, dimension: &str) -> Vec<String> {
    let cards = app.cards();
    let rows = cards.latest().and_then(|it| it.meter(meter)).map(|it| it.rows.as_slice()).unwrap_or_default();
    let conditions = rows.iter().flat_map(|it| &it.when).filter(|it| &*it.dimension == dimension);
    let named = conditions.flat_map(|it| &it.values).filter(|it| !it.ends_with('*'));
    let mut values: Vec<String> = Vec::new();
    for value in named {
        if !values.iter().any(|it| **it == **value) {
            values.push(value.to_string());
        }
    }
    values
}

impl EstimatePage {
    /// The headline: one price, or from the least to the most.
    fn headline(outcome: &Outcome) -> String {
        match (outcome.cases.first(), outcome.cases.last()) {
            (Some(first), Some(last)) if first.credits != last.credits => {
                format!("{} – {}", first.credits, last.credits)
            }
            (Some(first), _) => first.credits.clone(),
            _ => show::used(Credits::ZERO),
        }
    }
}

//! What is sold: packages and plans, put on sale, changed and withdrawn.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::Name;
use billing::money::{Credits, Currency};
use billing::subscription::Every;

use super::confirm::{Question, ask};
use super::form::Form;
use super::refused::{Refused, again};
use super::{Desk, Paged, done, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, Package, Plan};
use crate::web::billing::lapses;
use crate::web::number;
use crate::web::visit::Host;

const HERE: &str = "/console/offers";
/// What is put on sale, as its form's address calls it.
const PACKAGE: &str = "package";
const PLAN: &str = "plan";

#[derive(Template)]
#[template(path = "console/offers.html")]
struct OffersPage {
    desk: Desk,
    currency: String,
    packages: Vec<PackageRow>,
    plans: Vec<PlanRow>,
    /// What the forms are filled with: an offer that is to be changed, or nothing.
    package: Filled,
    plan: Filled,
    /// Why the form that was sent was refused, of packages and of plans.
    package_problem: Option<String>,
    plan_problem: Option<String>,
}

/// A form's fields as they are shown.
#[derive(Default)]
struct Filled {
    /// It changes what is on sale.
    is_known: bool,
    id: String,
    name: String,
    credits: String,
    bonus: String,
    price: String,
    every: String,
    periods: String,
    maximum: String,
}

struct PackageRow {
    id: String,
    name: String,
    credits: String,
    bonus: String,
    price: String,
    saves: String,
}

struct PlanRow {
    id: String,
    name: String,
    credits: String,
    every: String,
    lasts: String,
    price: String,
    saves: String,
}

pub async fn show(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| offers_page(app, &host)).await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn offers_page(app: &App, host: &Host) -> Result<OffersPage, Error> {
    let currency = app.settings().currency;
    let (packages, plans) = (app.packages(currency)?, app.plans(currency)?);
    let (package, plan) = (host.query.get("package"), host.query.get("plan"));
    let package = packages.iter().find(|it| Some(&*it.id) == package).map(|it| of_package(it, currency));
    let plan = plans.iter().find(|it| Some(&*it.id) == plan).map(|it| of_plan(it, currency));
    Ok(OffersPage {
        desk: Desk::of(app, host, HERE)?,
        currency: currency.as_str().to_uppercase(),
        packages: packages.iter().map(|it| package_row(app, it, currency)).collect(),
        plans: plans.iter().map(|it| plan_row(app, it, currency)).collect(),
        package: package.unwrap_or_default(),
        plan: plan.unwrap_or_default(),
        package_problem: None,
        plan_problem: None,
    })
}

/// The page once more, with what was typed to put a package or a plan on sale, and why that cannot be done.
async fn putting_again(site: &Arc<Site>, host: &Host, form: &Form, (what, error): (&'static str, Error)) -> Paged {
    let (host, typed) = (host.clone(), typed(form));
    let fill = move |app: &App, refused: Refused| {
        let page = offers_page(app, &host)?;
        Ok(if what == PLAN {
            let plan = Filled { is_known: page.plans.iter().any(|it| it.id == typed.id), ..typed };
            OffersPage { plan, plan_problem: refused.problem, ..page }
        } else {
            let package = Filled { is_known: page.packages.iter().any(|it| it.id == typed.id), ..typed };
            OffersPage { package, package_problem: refused.problem, ..page }
        })
    };
    again(site, form, error, fill).await
}

fn typed(form: &Form) -> Filled {
    let text = |name: &str| form.get(name).unwrap_or_default().to_owned();
    Filled {
        is_known: false,
        id: text("id"),
        name: text("name"),
        credits: text("credits"),
        bonus: text("bonus"),
        price: text("price"),
        every: text("every"),
        periods: text("carry_over_periods"),
        maximum: text("carry_over_maximum"),
    }
}

fn plain(amount: i64, currency: Currency) -> String {
    billing::invoice::Decimal(billing::money::Money { amount, currency }).to_string()
}

fn of_package(it: &Package, currency: Currency) -> Filled {
    Filled {
        is_known: true,
        id: it.id.clone(),
        name: it.name.clone(),
        credits: number::typed(Credits::from_micros(it.credits)),
        bonus: number::typed(Credits::from_micros(it.bonus)),
        price: plain(it.price, currency),
        ..Filled::default()
    }
}

fn of_plan(it: &Plan, currency: Currency) -> Filled {
    Filled {
        is_known: true,
        id: it.id.clone(),
        name: it.name.clone(),
        credits: number::typed(it.credits()),
        price: plain(it.price, currency),
        every: it.every.to_string(),
        periods: it.carry_over_periods.map(|it| it.to_string()).unwrap_or_default(),
        maximum: it.carry_over_maximum().map(number::typed).unwrap_or_default(),
        ..Filled::default()
    }
}

fn package_row(app: &App, it: &Package, currency: Currency) -> PackageRow {
    PackageRow {
        id: it.id.clone(),
        name: it.name.clone(),
        credits: show::have(Credits::from_micros(it.credits)),
        bonus: show::have(Credits::from_micros(it.bonus)),
        price: priced(it.price, currency),
        saves: off(app, it.granted(), it.price, currency),
    }
}

fn plan_row(app: &App, it: &Plan, currency: Currency) -> PlanRow {
    PlanRow {
        id: it.id.clone(),
        name: it.name.clone(),
        credits: show::have(it.credits()),
        every: it.every.to_string(),
        lasts: lapses(it).unwrap_or_else(|| "for ever".to_owned()),
        price: priced(it.price, currency),
        saves: off(app, it.credits(), it.price, currency),
    }
}

fn priced(amount: i64, currency: Currency) -> String {
    show::money(billing::money::Money { amount, currency })
}

/// How much less than at list price, in per cent.
fn off(app: &App, credits: Credits, price: i64, currency: Currency) -> String {
    let list = app.at_list_price(credits, currency).amount;
    if list <= price {
        return "none".to_owned();
    }
    format!("{}% off", i128::from(list - price) * 100 / i128::from(list))
}

fn put(what: &str, says: Vec<String>, is_new: bool) -> Question {
    let title = if is_new { format!("Put the {what} on sale?") } else { format!("Change the {what}?") };
    let button = if is_new { "Put it on sale" } else { "Change it" };
    let action = format!("{HERE}/{what}");
    Question { title, says, button, is_harsh: false, adds: Vec::new(), action, back: HERE.to_owned(), tab: HERE }
}

fn credits(form: &Form, field: &'static str) -> Result<i64, Error> {
    let text = form.get(field).unwrap_or("0");
    Ok(number::credits(field, text)?.micros())
}

fn price(form: &Form, currency: Currency) -> Result<i64, Error> {
    Ok(number::money("price", form.get("price").unwrap_or_default(), currency)?.amount)
}

fn id(form: &Form) -> Result<String, Error> {
    let id: Name = form.get("id").unwrap_or_default().parse().map_err(|why| Refusal::invalid("id", why))?;
    Ok(id.to_string())
}

fn package_of(form: &Form, currency: Currency) -> Result<Package, Error> {
    Ok(Package {
        id: id(form)?,
        name: form.get("name").unwrap_or_default().to_owned(),
        credits: credits(form, "credits")?,
        bonus: credits(form, "bonus")?,
        price: price(form, currency)?,
        currency,
        is_gone: false,
    })
}

pub async fn put_package(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let currency = site.app.settings().currency;
    let package = match package_of(&form, currency) {
        Ok(package) => package,
        Err(error) => return putting_again(&site, &host, &form, (PACKAGE, error)).await,
    };
    if !form.is_sure() {
        let known = site.look(move |app| app.packages(currency)).await.map_err(|it| message::failed(&site, it))?;
        let is_new = known.iter().all(|it| it.id != package.id);
        let row = package_row(&site.app, &package, currency);
        let says = vec![
            format!(
                "“{}” sells {} credits, and {} on top, for {}, tax aside.",
                row.name, row.credits, row.bonus, row.price
            ),
            format!("Beside the list price: {}.", row.saves),
            "What was bought before stays as it is.".to_owned(),
        ];
        return ask(&site, &host, &form, put(PACKAGE, says, is_new)).await;
    }
    let (app, by) = (Arc::clone(&site.app), host.operator.name.clone());
    let put = site.aside(move || app.put_package(&package, &by)).await;
    match put.map_err(|it| message::failed(&site, it))? {
        Ok(_) => Ok(done(HERE, "offer")),
        Err(error) => putting_again(&site, &host, &form, (PACKAGE, error)).await,
    }
}

/// For how many periods unused credits last; nothing said keeps them.
fn carry_over(form: &Form) -> Result<Option<u32>, Error> {
    let number =
        |text: &str| text.parse().map_err(|_| Refusal::invalid("carry_over_periods", "must be a whole number"));
    Ok(form.get("carry_over_periods").map(number).transpose()?)
}

fn plan_of(form: &Form, currency: Currency) -> Result<Plan, Error> {
    let every = form.get("every").map_or(Ok(Every::Month), str::parse);
    let every = every.map_err(|()| Refusal::invalid("every", "must be month or year"))?;
    Ok(Plan {
        id: id(form)?,
        name: form.get("name").unwrap_or_default().to_owned(),
        credits: credits(form, "credits")?,
        price: price(form, currency)?,
        currency,
        every,
        carry_over_periods: carry_over(form)?,
        carry_over_maximum: match form.get("carry_over_maximum") {
            Some(_) => Some(credits(form, "carry_over_maximum")?),
            None => None,
        },
        is_gone: false,
    })
}

pub async fn put_plan(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let currency = site.app.settings().currency;
    let plan = match plan_of(&form, currency) {
        Ok(plan) => plan,
        Err(error) => return putting_again(&site, &host, &form, (PLAN, error)).await,
    };
    if !form.is_sure() {
        let known = site.look(move |app| app.plans(currency)).await.map_err(|it| message::failed(&site, it))?;
        let is_new = known.iter().all(|it| it.id != plan.id);
        let row = plan_row(&site.app, &plan, currency);
        let says = vec![
            format!("“{}” gives {} credits every {}, for {}, tax aside.", row.name, row.credits, row.every, row.price),
            format!("Beside buying the same credits one by one: {}. Without a real discount it is refused.", row.saves),
            match lapses(&plan) {
                None => "Unused credits carry over for as long as it takes.".to_owned(),
                Some(text) => format!("Of this plan, {text}."),
            },
            "Whoever has the plan keeps it as it was.".to_owned(),
        ];
        return ask(&site, &host, &form, put(PLAN, says, is_new)).await;
    }
    let (app, by) = (Arc::clone(&site.app), host.operator.name.clone());
    let put = site.aside(move || app.put_plan(&plan, &by)).await;
    match put.map_err(|it| message::failed(&site, it))? {
        Ok(_) => Ok(done(HERE, "offer")),
        Err(error) => putting_again(&site, &host, &form, (PLAN, error)).await,
    }
}

pub async fn withdraw(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let is_plan = form.get("what") == Some("plan");
    let failed = |it: Error| message::failed(&site, it.into());
    let id: Name = id(&form).map_err(failed)?.parse().map_err(|_| failed(Refusal::PackageNotFound.into()))?;
    if !form.is_sure() {
        let kept = if is_plan { "Whoever has the plan keeps it." } else { "What was bought of it stays." };
        let question = Question {
            title: format!("Sell {id} no longer?"),
            says: vec!["Nobody can buy it from this moment on.".to_owned(), kept.to_owned()],
            button: "Withdraw it",
            is_harsh: true,
            adds: Vec::new(),
            action: format!("{HERE}/withdraw"),
            back: HERE.to_owned(),
            tab: HERE,
        };
        return ask(&site, &host, &form, question).await;
    }
    let by = host.operator.name.clone();
    let gone = site.look(move |app| if is_plan { app.delete_plan(&id, &by) } else { app.delete_package(&id, &by) });
    match gone.await {
        Ok(()) => Ok(done(HERE, "withdraw")),
        // Sent twice: it is gone already.
        Err(problem) if problem.kind.status == 404 => Ok(done(HERE, "withdraw")),
        Err(problem) => Err(message::failed(&site, problem)),
    }
}

//! What is sold: packages of credits. The price here is the price; nobody else may say one.
use billing::Refusal;
use billing::id::Name;
use billing::money::{Credits, Currency};
use serde::{Deserialize, Serialize};
use store::{Audit, Change, Document};

use super::Error;
use super::documents::Kept;
use super::prices::least_charge;
use crate::app::App;

const KIND: &str = "package";
/// Packages on sale at once, those taken away included.
const PACKAGES_MAX: usize = 500;
/// How often a change that met another is tried again.
const ATTEMPTS_MAX: u32 = 8;

/// Packages where the operator has set none: at list price, with more on top the more is bought. Credits, percent. The
/// least of the plans saves more than the most of these: who agrees to buy each month has the better price.
const DEFAULTS: [(&str, &str, i64, i64); 4] = [
    ("starter", "Starter", 1_000, 0),
    ("builder", "Builder", 5_000, 5),
    ("team", "Team", 20_000, 8),
    ("scale", "Scale", 100_000, 10),
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    /// Micro-credits that are paid for, and those on top.
    pub credits: i64,
    pub bonus: i64,
    /// Minor units, tax aside.
    pub price: i64,
    #[serde(with = "super::word")]
    pub currency: Currency,
    /// Taken off sale; what was bought of it stays.
    pub is_gone: bool,
}

impl Package {
    pub fn granted(&self) -> Credits {
        Credits::from_micros(self.credits + self.bonus)
    }
}

impl App {
    /// What is on sale in a currency, cheapest first.
    pub fn packages(&self, currency: Currency) -> Result<Vec<Package>, Error> {
        let stored = self.all_kept::<Package>(Document::HOUSE, KIND, None, PACKAGES_MAX)?;
        let defaults = DEFAULTS.iter().map(|it| self.default_package(it, currency));
        // One of another currency leaves it; one that was taken off sale is gone in all.
        let replaces =
            |stored: &Package, it: &Package| stored.id == it.id && (stored.is_gone || stored.currency == it.currency);
        let is_replaced = |it: &Package| stored.iter().any(|stored| replaces(&stored.body, it));
        // Where a credit costs next to nothing, no card can be charged the smallest.
        let can_be_paid = |it: &Package| least_charge(currency) <= it.price;
        let mut packages: Vec<Package> = defaults.filter(|it| !is_replaced(it) && can_be_paid(it)).collect();
        let on_sale = |it: &Kept<Package>| !it.body.is_gone && it.body.currency == currency;
        packages.extend(stored.iter().filter(|it| on_sale(it)).map(|it| it.body.clone()));
        packages.sort_by(|one, other| (one.price, &one.id).cmp(&(other.price, &other.id)));
        Ok(packages)
    }

    /// The cheapest package that grants so many credits; none where no single one does.
    fn package_covering(&self, account: &Name, credits: Credits) -> Option<String> {
        let known = self.known(account).ok()?;
        let packages = self.packages(known.account.currency).ok()?;
        packages.into_iter().find(|it| credits <= it.granted()).map(|it| it.id)
    }

    /// Where the customer buys credits, by the platform, which knows who they are: its address with the account filled
    /// in, and what is missing with the smallest package that covers it.
    pub fn billing_url(&self, account: &Name, missing: Option<Credits>) -> Option<String> {
        let template = self.settings.purchase_url.as_ref()?;
        let shortfall = missing.map_or_else(String::new, |it| it.to_string());
        let url = template.replace("{account}", account.as_str()).replace("{shortfall}", &shortfall);
        if !url.contains("{package}") {
            return Some(url);
        }
        let package = missing.and_then(|it| self.package_covering(account, it)).unwrap_or_default();
        Some(url.replace("{package}", &package))
    }

    pub(super) fn package(&self, id: &str, currency: Currency) -> Result<Package, Error> {
        let found = self.packages(currency)?.into_iter().find(|it| it.id == id);
        Ok(found.ok_or(Refusal::PackageNotFound)?)
    }

    /// Puts a package on sale, or changes it. Says whether it is new.
    pub fn put_package(&self, package: &Package, by: &str) -> Result<bool, Error> {
        let most = Credits::whole(100_000_000).micros();
        if !(1..=most).contains(&package.credits) {
            return Err(Refusal::invalid("credits", "must be more than 0 and at most 100000000").into());
        }
        if !(0..=most).contains(&package.bonus) {
            return Err(Refusal::invalid("bonus", "must be 0 or more and at most 100000000").into());
        }
        self.chargeable(package.price, package.currency)?;
        if package.name.is_empty() || 200 < package.name.len() || package.name.chars().any(char::is_control) {
            return Err(Refusal::invalid("name", "must be 1 to 200 bytes without control characters").into());
        }
        self.write_package(package, "package.put", by)
    }

    /// Takes a package off sale.
    pub fn delete_package(&self, id: &Name, by: &str) -> Result<(), Error> {
        let stored = self.kept::<Package>(Document::HOUSE, KIND, id.as_str())?.map(|it| it.body);
        let default = DEFAULTS.iter().find(|it| it.0 == id.as_str());
        let default = default.map(|it| self.default_package(it, self.settings.currency));
        let package = stored.or(default).filter(|it| !it.is_gone).ok_or(Refusal::PackageNotFound)?;
        self.write_package(&Package { is_gone: true, ..package }, "package.delete", by)?;
        Ok(())
    }

    fn write_package(&self, package: &Package, action: &str, by: &str) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.kept::<Package>(Document::HOUSE, KIND, &package.id)?;
            if found.as_ref().is_some_and(|it| it.body == *package) {
                return Ok(false);
            }
            let is_new = found.as_ref().is_none_or(|it| it.body.is_gone);
            let kept = match found {
                Some(kept) => Kept { body: package.clone(), ..kept },
                None => Kept::new(Document::HOUSE, KIND, package.id.clone(), package.clone()),
            };
            let now = self.now();
            let detail = serde_json::to_string(package).expect("a package is plain JSON");
            let (action, subject) = (action.to_owned(), package.id.clone());
            let audit = Audit { at: now, by: by.to_owned(), action, subject, detail };
            if self.keep(&[kept.next(now, None), Change::Audit(audit)])? {
                return Ok(is_new);
            }
        }
        Err(Error::Busy)
    }

    fn default_package(&self, (id, name, credits, percent): &(&str, &str, i64, i64), currency: Currency) -> Package {
        let paid = Credits::whole(*credits);
        Package {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            credits: paid.micros(),
            bonus: paid.micros() / 100 * percent,
            price: self.list_price(paid, currency),
            currency,
            is_gone: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::Settings;
    use crate::rate_card;
    use store::sqlite::{Options, Sqlite};

    #[tokio::test(flavor = "multi_thread")]
    async fn every_plan_is_a_better_price_than_any_package() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let store = Sqlite::open(&directory.path().join("scrip.db"), Options::default()).expect("a store");
        let card = rate_card::parse_toml(rate_card::DEFAULT).expect("a card");
        let app = App::open(Arc::new(store), Settings::default(), &card).expect("it opens");
        let per_credit = |price: i64, credits: Credits| (i128::from(price), i128::from(credits.micros()));
        for currency in [Currency::EUR, "jpy".parse().expect("a currency")] {
            for plan in app.plans(currency).expect("plans") {
                for package in app.packages(currency).expect("packages") {
                    let (by_plan, credits) = per_credit(plan.price, plan.credits());
                    let (one_off, granted) = per_credit(package.price, package.granted());
                    assert!(by_plan * granted < one_off * credits, "{} and {} in {currency}", plan.id, package.id);
                }
            }
        }
        app.close();
    }
}

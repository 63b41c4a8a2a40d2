//! What a purchase would cost this account, tax included: what is shown before anybody is asked for money.
use billing::id::Name;
use billing::money::{Credits, Money};
use billing::tax::Treatment;

use super::{Error, Goods};
use crate::app::App;

#[derive(Clone, Debug)]
pub struct PriceOfCredits {
    pub credits: Credits,
    pub net: Money,
    pub tax: Money,
    pub total: Money,
    /// Hundredths of a percent.
    pub tax_rate: u32,
    /// Why the tax is what it is.
    pub treatment: Treatment,
}

impl App {
    /// The price of a package or an amount, as [`App::purchase`] would ask it now.
    pub fn price_of_credits(&self, account: &Name, goods: &Goods) -> Result<PriceOfCredits, Error> {
        let known = self.known(account)?;
        let currency = known.account.currency;
        let (credits, net) = match goods {
            Goods::Package(id) => {
                let package = self.package(id.as_str(), currency)?;
                (package.granted(), package.price)
            }
            Goods::Credits(credits) => {
                let net = self.list_price(*credits, currency);
                self.within_bounds(net, currency)?;
                (*credits, net)
            }
        };
        Ok(self.price_with_tax(&known, credits, net))
    }
}

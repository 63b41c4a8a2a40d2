//! What other prices would have cost: a rate card tried against work that was really done.
use billing::ledger::What;
use billing::rating::RateCard;
use billing::time::Span;
use billing::total::TotalCredits;
use store::Account;

use super::Error;
use crate::app::App;

/// How far back work is priced again.
const SINCE: Span = Span::DAY.times(30);
/// Charges priced again in all, and accounts looked at: a page waits for it.
const CHARGES_MAX: u64 = 100_000;
const ACCOUNTS_MAX: usize = 2_000;
const READ_AT_ONCE: usize = 500;

/// One account's last month by the prices it paid and by others.
#[derive(Clone, Debug)]
pub struct Repriced {
    pub account: Account,
    pub charges: u64,
    pub paid: TotalCredits,
    pub would_pay: TotalCredits,
    /// Charges the other card has no price for; they count as they were.
    pub unpriced: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Repricing {
    /// Those whose sum would differ, largest difference first.
    pub changed: Vec<Repriced>,
    pub accounts: u64,
    pub charges: u64,
    pub paid: TotalCredits,
    pub would_pay: TotalCredits,
    /// There was more than a page can wait for.
    pub is_partial: bool,
}

impl App {
    /// The last 30 days of charges, priced again by `card`.
    pub fn reprice(&self, card: &RateCard) -> Result<Repricing, Error> {
        let mut all = Repricing::default();
        let accounts = self.store.accounts(None, ACCOUNTS_MAX)?;
        all.is_partial = accounts.len() == ACCOUNTS_MAX;
        for account in accounts {
            if CHARGES_MAX <= all.charges {
                all.is_partial = true;
                break;
            }
            let repriced = self.reprice_account(card, account, CHARGES_MAX - all.charges)?;
            if repriced.charges == 0 {
                continue;
            }
            all.accounts += 1;
            all.charges += repriced.charges;
            all.paid += repriced.paid;
            all.would_pay += repriced.would_pay;
            if repriced.paid != repriced.would_pay || 0 < repriced.unpriced {
                all.changed.push(repriced);
            }
        }
        all.changed.sort_by_key(|it| -(it.would_pay - it.paid).micros().abs());
        Ok(all)
    }

    fn reprice_account(&self, card: &RateCard, account: Account, most: u64) -> Result<Repriced, Error> {
        let since = self.now() - SINCE;
        let number = account.number;
        let (paid, would_pay) = (TotalCredits::ZERO, TotalCredits::ZERO);
        let mut repriced = Repriced { account, charges: 0, paid, would_pay, unpriced: 0 };
        let mut before = u64::MAX;
        while repriced.charges < most {
            let read = self.store.transactions(number, before, READ_AT_ONCE)?;
            for transaction in &read {
                before = transaction.place.version;
                if transaction.at < since {
                    return Ok(repriced);
                }
                let What::Charged { work, credits, .. } = &transaction.what else { continue };
                repriced.charges += 1;
                repriced.paid += *credits;
                match card.price(&work.usage) {
                    // What was free for a reason beside its price (the same tree again) stays free.
                    Ok(_) if credits.is_zero() && !work.price.credits.is_zero() => {}
                    Ok(price) => repriced.would_pay += price.credits,
                    Err(_) => {
                        repriced.unpriced += 1;
                        repriced.would_pay += *credits;
                    }
                }
            }
            if read.len() < READ_AT_ONCE {
                break;
            }
        }
        Ok(repriced)
    }
}

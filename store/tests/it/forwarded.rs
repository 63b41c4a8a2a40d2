//! What a store says that stands between a test and another store: `commit` and `reserve` are its own, all else is as
//! its `inner` says.

macro_rules! forwarded {
    () => {
        fn is_spent(&self) -> bool {
            self.inner.is_spent()
        }
        fn is_shared(&self) -> bool {
            self.inner.is_shared()
        }
        fn breaks(&self) -> u64 {
            self.inner.breaks()
        }
        fn committers(&self) -> usize {
            self.inner.committers()
        }
        forwarded! {
            recall(names: &[store::NameHash], accounts: &[billing::id::AccountNumber]) -> store::Recalled;
            versions(accounts: &[billing::id::AccountNumber]) -> Vec<u64>;
            transaction(place: billing::id::Place) -> Option<Arc<billing::ledger::Transaction>>;
            transactions_at(places: &[billing::id::Place]) -> Vec<Option<Arc<billing::ledger::Transaction>>>;
            transactions(it: billing::id::AccountNumber, before: u64, limit: usize)
                -> Vec<Arc<billing::ledger::Transaction>>;
            granting(it: billing::id::AccountNumber, before: u64, limit: usize)
                -> Vec<Arc<billing::ledger::Transaction>>;
            journal(after: u64, each: &mut dyn FnMut(u64, billing::ledger::Transaction)) -> ();
            journal_length() -> u64;
            usage_as_of(it: billing::id::AccountNumber, from: billing::time::Timestamp, to: billing::time::Timestamp)
                -> (u64, Vec<store::UsageRow>);
            due(at: billing::time::Timestamp, limit: usize) -> Vec<billing::id::AccountNumber>;
            account(id: &billing::id::Name) -> Option<store::Account>;
            account_numbered(it: billing::id::AccountNumber) -> Option<store::Account>;
            accounts(after: Option<&billing::id::Name>, limit: usize) -> Vec<store::Account>;
            accounts_called(beginning: &str, limit: usize) -> Vec<store::Account>;
            fingerprints_known(fingerprints: &[[u8; 32]]) -> Vec<bool>;
            accounts_changed(within: billing::time::Span) -> Vec<billing::id::AccountNumber>;
            projects(it: billing::id::AccountNumber) -> Vec<store::Project>;
            rate_cards() -> Vec<store::CardRecord>;
            api_keys() -> Vec<store::ApiKey>;
            quote(it: billing::id::AccountNumber, id: &str) -> Option<store::QuoteRecord>;
            document(it: billing::id::AccountNumber, kind: &str, id: &str) -> Option<store::Document>;
            documents(it: billing::id::AccountNumber, kind: &str, before: Option<&str>, limit: usize)
                -> Vec<store::Document>;
            documents_due(kinds: store::Kinds<'_>, at: billing::time::Timestamp, limit: usize)
                -> Vec<store::Document>;
            documents_at_rest(kind: &str, before: billing::time::Timestamp, limit: usize) -> Vec<store::Document>;
            payments(before: billing::time::Timestamp, limit: usize) -> Vec<store::Document>;
            reply(key: store::NameHash) -> Option<store::Reply>;
            audit(before: u64, limit: usize) -> Vec<(u64, store::Audit)>;
        }
    };
    ($($name:ident($($given:ident: $of:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($given: $of),*) -> Result<$answer, store::Fault> {
            self.inner.$name($($given),*)
        })*
    };
}
pub(crate) use forwarded;

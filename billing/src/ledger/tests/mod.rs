//! The ledger's rules, as tables, as exhaustive short histories, and as properties of random ones.
mod budgets;
mod burn;
mod histories;
mod late;
mod money;
mod properties;
mod returns;
mod script;
mod tables;
mod undo;

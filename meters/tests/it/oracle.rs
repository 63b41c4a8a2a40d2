//! Independent oracles.

//! What goes over the wire: one type for each kind of value, saying how it is read, written and documented.
//!
//! Must never know routes or use cases. Invariant: what a type's schema forbids, its reader refuses.
mod amount;
mod instant;
mod maps;
mod names;
mod raw;

pub use amount::{Amount, AmountIn, TotalAmount};
pub use instant::{Instant, InstantIn};
pub use maps::{Dimensions, DimensionsIn, Quantities, QuantitiesIn, texts};
pub use names::{AccountId, ChargeRef, EntryRef, GrantRef, HoldRef, NameIn, TextIn};
pub use raw::{ObjectIn, RawOut};

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// A schema of one string type.
fn text_schema(description: &str, pattern: &str, example: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(pattern))
        .examples([example])
        .build()
}

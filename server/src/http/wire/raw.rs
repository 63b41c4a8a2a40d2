//! JSON that is kept as it came: a caller's metadata, a measurer's evidence, an artefact to be measured.
use billing::rating::Text;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A JSON object in a request, as it was written.
#[derive(Clone, Copy, Debug)]
pub struct ObjectIn<'a>(pub &'a RawValue);

/// JSON that was kept as text, written as it is.
#[derive(Clone, Copy, Debug)]
pub struct RawOut<'a>(pub &'a str);

impl ObjectIn<'_> {
    pub fn text(&self) -> Text {
        self.0.get().into()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ObjectIn<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ObjectIn<'a>, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('{') { Ok(ObjectIn(raw)) } else { Err(D::Error::custom("must be a JSON object")) }
    }
}

impl Serialize for RawOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

fn object(description: &str) -> RefOr<Schema> {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some(description));
    RefOr::T(schema.into())
}

impl PartialSchema for ObjectIn<'_> {
    fn schema() -> RefOr<Schema> {
        object("Any JSON object, kept as it came.")
    }
}
impl ToSchema for ObjectIn<'_> {
    fn name() -> std::borrow::Cow<'static, str> {
        "AnyObject".into()
    }
}
impl PartialSchema for RawOut<'_> {
    fn schema() -> RefOr<Schema> {
        object("Any JSON object, kept as it came.")
    }
}
impl ToSchema for RawOut<'_> {
    fn name() -> std::borrow::Cow<'static, str> {
        "AnyObject".into()
    }
}

//! The card as JSON: what the store keeps and the API shows. It says everything and assumes nothing, so a card reads
//! the same whatever became of the defaults of documents since.
use billing::money::Credits;
use billing::rating::{Condition, Meter, Quantity, Rate, RateCard, Role, Row, Runtime, Scheme, Tier, Tiers};
use serde_json::{Map, Value, json};

/// The one form of `card` in JSON.
pub fn to_json(card: &RateCard) -> Value {
    let effective_at = jiff::Timestamp::from_millisecond(card.effective_at().millis());
    let effective_at = effective_at.expect("a card takes effect within the calendar").to_string();
    let meters: Map<String, Value> = card.meters().map(|it| (it.name.to_string(), meter(it))).collect();
    json!({"version": card.version(), "effective_at": effective_at, "meters": meters})
}

fn credits(amount: Credits) -> Value {
    Value::from(amount.to_string())
}

/// Leaves out what is null, false or empty: the reader takes its absence for just that.
fn sparse(value: Value) -> Value {
    let is_said = |it: &Value| match it {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(entries) => Value::Object(entries.into_iter().filter(|it| is_said(&it.1)).collect()),
        other => other,
    }
}

fn meter(meter: &Meter) -> Value {
    let dimensions: Vec<&str> = meter.dimensions.iter().map(|it| &**it).collect();
    sparse(json!({
        "label": &*meter.label,
        "category": meter.category.as_str(),
        "quantities": meter.quantities.iter().map(quantity).collect::<Vec<Value>>(),
        "dimensions": dimensions,
        "minimum": meter.minimum.map(credits),
        "cap": meter.cap.map(credits),
        "free_when": conditions(&meter.free_when),
        "cheaper_of": meter.cheaper_of.as_ref().map(|it| [it.used.to_string(), it.asked.to_string()]),
        "once_per": meter.once_per.as_deref(),
        "rates": meter.rows.iter().map(row).collect::<Vec<Value>>(),
    }))
}

fn quantity(quantity: &Quantity) -> Value {
    sparse(json!({
        "name": &*quantity.name,
        "label": &*quantity.label,
        "unit": &*quantity.unit,
        "required": quantity.role == Role::Required,
        "informational": quantity.role == Role::Informational,
    }))
}

fn conditions(when: &[Condition]) -> Value {
    let values = |it: &Condition| it.values.iter().map(|it| Value::from(&**it)).collect::<Vec<Value>>();
    Value::Object(when.iter().map(|it| (it.dimension.to_string(), Value::from(values(it)))).collect())
}

fn row(row: &Row) -> Value {
    let mut entries = Map::new();
    entries.insert("when".to_owned(), conditions(&row.when));
    entries.insert("base_fee".to_owned(), row.base_fee.map_or(Value::Null, credits));
    entries.extend(row.rates.iter().map(|it| (it.quantity.to_string(), rate(it))));
    sparse(Value::Object(entries))
}

fn rate(rate: &Rate) -> Value {
    let mut entries = Map::new();
    match &rate.scheme {
        Scheme::Flat(price) => {
            entries.insert("flat".to_owned(), credits(*price));
        }
        Scheme::Metered { per, started, tiers } => {
            let (name, value) = match tiers {
                Tiers::One(price) => ("price", credits(*price)),
                Tiers::Graduated(tiers) => ("graduated", steps(tiers)),
                Tiers::Volume(tiers) => ("volume", steps(tiers)),
                Tiers::Bands(tiers) => ("bands", steps(tiers)),
            };
            entries.insert(name.to_owned(), value);
            entries.insert("per".to_owned(), Value::from(per.get()));
            entries.insert("started".to_owned(), Value::from(*started));
        }
    }
    let Runtime { minimum_seconds, commitment_seconds, monthly_cap } = rate.runtime;
    for (name, seconds) in [("minimum_seconds", minimum_seconds), ("commitment_seconds", commitment_seconds)] {
        if seconds != 0 {
            entries.insert(name.to_owned(), Value::from(seconds));
        }
    }
    entries.insert("monthly_cap".to_owned(), monthly_cap.map_or(Value::Null, credits));
    sparse(Value::Object(entries))
}

fn steps(tiers: &[Tier]) -> Value {
    let step = |it: &Tier| {
        sparse(json!({
            "up_to": it.up_to,
            "price": credits(it.price),
            "fee": credits(it.fee),
            "name": it.name.as_deref(),
        }))
    };
    Value::from(tiers.iter().map(step).collect::<Vec<Value>>())
}

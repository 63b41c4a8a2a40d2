//! Every object there is, as the JSON it is shown as, in the order of making.
use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

#[derive(Debug, Default)]
pub struct Shelf {
    serial: u64,
    things: BTreeMap<u64, Value>,
    serials: HashMap<String, u64>,
}

impl Shelf {
    /// A name nobody has, the same in every run: `pi_1Sim00000000000042`.
    pub fn new_id(&mut self, prefix: &str) -> String {
        self.serial += 1;
        let id = format!("{prefix}_1Sim{:014}", self.serial);
        self.serials.insert(id.clone(), self.serial);
        id
    }

    /// Puts an object in the place its id was made for.
    pub fn put(&mut self, thing: &Value) {
        let serial = self.serials[thing["id"].as_str().expect("every object has an id")];
        self.things.insert(serial, thing.clone());
    }

    pub fn get(&self, id: &str) -> Option<&Value> {
        self.things.get(self.serials.get(id)?)
    }

    /// All of it, to be put away.
    pub fn memory(&self) -> Value {
        let things: Vec<Value> = self.things.iter().map(|(serial, thing)| json!([serial, thing])).collect();
        json!({"serial": self.serial, "things": things})
    }

    /// What was put away.
    pub fn recall(&mut self, memory: &Value) {
        self.serial = memory["serial"].as_u64().unwrap_or(self.serial);
        for thing in memory["things"].as_array().into_iter().flatten() {
            if let (Some(serial), Some(id)) = (thing[0].as_u64(), thing[1]["id"].as_str()) {
                self.serials.insert(id.to_owned(), serial);
                self.things.insert(serial, thing[1].clone());
            }
        }
    }

    /// The objects of one kind, newest first.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl DoubleEndedIterator<Item = &'a Value> {
        self.things.values().rev().filter(move |it| it["object"] == kind)
    }
}

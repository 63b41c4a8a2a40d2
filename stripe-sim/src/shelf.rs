//! Every object there is, as the JSON it is shown as, in the order of making.
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

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

    pub fn remove(&mut self, id: &str) {
        if let Some(serial) = self.serials.get(id) {
            self.things.remove(serial);
        }
    }

    /// The objects of one kind, newest first.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl DoubleEndedIterator<Item = &'a Value> {
        self.things.values().rev().filter(move |it| it["object"] == kind)
    }
}

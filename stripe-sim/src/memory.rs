//! All that there is, as one JSON value: a simulator that is started again can go on where the one before ended.
use serde_json::{Value, json};

use crate::card_table::{self, Plastic};
use crate::world::World;

impl World {
    /// Everything but requests, faults and notices on their way.
    pub fn memory(&self) -> Value {
        let cards = self.cards.iter().map(|(id, it)| json!([id, it.card.number, it.is_saved]));
        json!({"shelf": self.shelf.memory(), "cards": cards.collect::<Vec<Value>>()})
    }

    /// Becomes what another was.
    pub fn recall(&mut self, memory: &Value) {
        self.shelf.recall(&memory["shelf"]);
        for card in memory["cards"].as_array().into_iter().flatten() {
            let (Some(id), Some(number)) = (card[0].as_str(), card[1].as_str()) else { continue };
            if let Some(found) = card_table::by_number(number) {
                self.cards.insert(id.to_owned(), Plastic { card: found, is_saved: card[2] == true });
            }
        }
    }
}

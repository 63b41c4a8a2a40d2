//! Notices as the simulator sends them: signed, repeated, late, out of order and lost.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use billing::time::Span;
use serde_json::json;
use server::stripe::{Event, Notice, NoticeFault, PageStatus, PaymentStatus};

use super::{SECRET, Town, now};

/// Somebody who listens: answers 200 and keeps what was said, header and body.
pub fn listen() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hear", listener.local_addr().unwrap());
    let (say, hear) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            loop {
                let (mut line, mut signature, mut length) = (String::new(), String::new(), 0);
                while 0 < stream.read_line(&mut line).unwrap_or(0) && line != "\r\n" {
                    let (name, value) = line.split_once(':').unwrap_or((&line, ""));
                    match &*name.to_lowercase() {
                        "stripe-signature" => signature = value.trim().to_owned(),
                        "content-length" => length = value.trim().parse().unwrap(),
                        _ => {}
                    }
                    line.clear();
                }
                if length == 0 {
                    break;
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                // First, so that whoever has waited for the answer finds it here.
                if say.send((signature, body)).is_err() {
                    return;
                }
                stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        }
    });
    (url, hear)
}

impl Town {
    fn heard(&self, hear: &Receiver<(String, Vec<u8>)>) -> Vec<Notice> {
        self.control("POST", "notices/flush", &json!({}));
        let all = hear.try_iter();
        all.map(|(signature, body)| self.provider.read_notice(&body, &signature, now()).unwrap()).collect()
    }
}

/// The payments that succeeded, by our id.
fn paid(notices: &[Notice]) -> Vec<String> {
    let ours = notices.iter().filter_map(|it| match &it.event {
        Event::Payment(payment) if payment.status == PaymentStatus::Succeeded => payment.ours.clone(),
        _ => None,
    });
    ours.collect()
}

#[test]
fn what_happens_is_told_in_our_words() {
    let town = Town::new();
    let (url, hear) = listen();
    town.control("POST", "webhook", &json!({"url": url, "secrets": ["whsec_new", SECRET]}));
    let customer = town.customer("acct_ada");
    let page = town.purchase_page(&customer, "payment_1");
    town.type_card(&page, "4242424242424242").unwrap();
    let notices = town.heard(&hear);
    assert_eq!(paid(&notices), ["payment_1"]);
    let is_page = |it: &Notice| matches!(&it.event, Event::Page(page) if page.status == PageStatus::Complete);
    let is_card = |it: &Notice| matches!(&it.event, Event::CardAdded(card) if card.last4 == "4242");
    assert!(notices.iter().any(is_page) && notices.iter().any(is_card), "{notices:?}");
    assert!(notices.iter().all(|it| !it.is_live));
}

#[test]
fn a_card_that_was_taken_away_is_told_of_with_whose_it_was() {
    let town = Town::new();
    let (url, hear) = listen();
    let (customer, card) = town.customer_with("acct_ada", "4242424242424242");
    town.control("POST", "webhook", &json!({"url": url, "secrets": [SECRET]}));
    town.provider.remove_card(&card, "remove").unwrap();
    let removed: Vec<_> = town.heard(&hear).into_iter().map(|it| it.event).collect();
    let is_of_ada = |it: &Event| {
        let Event::CardRemoved(it) = it else { return false };
        it.reference == card && it.customer.as_deref() == Some(&*customer)
    };
    assert!(removed.iter().any(is_of_ada), "{removed:?}");
}

#[test]
fn a_forged_or_old_notice_is_not_believed() {
    let town = Town::new();
    let (url, hear) = listen();
    town.control("POST", "webhook", &json!({"url": url, "secrets": ["whsec_of_somebody_else"]}));
    town.customer("acct_ada");
    town.control("POST", "notices/flush", &json!({}));
    let (signature, body) = hear.recv().unwrap();
    assert_eq!(town.provider.read_notice(&body, &signature, now()), Err(NoticeFault::WrongSignature));

    town.control("POST", "webhook", &json!({"url": url, "secrets": [SECRET]}));
    town.customer("acct_bob");
    town.control("POST", "notices/flush", &json!({}));
    let (signature, body) = hear.recv().unwrap();
    assert!(town.provider.read_notice(&body, &signature, now()).is_ok());
    let later = now() + Span::MINUTE.times(6);
    assert_eq!(town.provider.read_notice(&body, &signature, later), Err(NoticeFault::Stale));
}

#[test]
fn notices_come_twice_late_and_in_any_order_and_keep_their_names() {
    let town = Town::new();
    let (url, hear) = listen();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    town.control("POST", "webhook", &json!({"url": url, "secrets": [SECRET]}));
    town.control("POST", "notices", &json!({"repeats": 1, "held": true}));
    town.charge(&saved, "payment_1");
    town.charge(&saved, "payment_2");
    assert!(town.heard(&hear).is_empty(), "they are held");
    town.control("POST", "notices/release", &json!({"reversed": true}));
    let notices = town.heard(&hear);
    assert_eq!(paid(&notices), ["payment_2", "payment_2", "payment_1", "payment_1"]);
    let mut names: Vec<&str> = notices.iter().map(|it| &*it.reference).collect();
    names.dedup();
    assert_eq!(names.len() * 2, notices.len(), "the same event has the same name");
}

#[test]
fn what_notices_missed_is_read_from_the_list() {
    let town = Town::new();
    let (url, hear) = listen();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    town.control("POST", "webhook", &json!({"url": url, "secrets": [SECRET]}));
    town.control("POST", "notices", &json!({"lose": 1_000_000}));
    for number in 0..60 {
        town.charge(&saved, &format!("payment_{number}"));
    }
    assert!(town.heard(&hear).is_empty(), "they are lost");
    let events = town.provider.events(now() - Span::HOUR, now() + Span::HOUR).unwrap().unwrap();
    let events: Vec<Notice> = events.into_iter().map(Result::unwrap).collect();
    assert!(50 < events.len(), "more than the provider gives at a time");
    let expected: Vec<String> = (0..60).map(|it| format!("payment_{it}")).collect();
    assert_eq!(paid(&events), expected, "oldest first");
}

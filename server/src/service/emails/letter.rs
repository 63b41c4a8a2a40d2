//! A letter as mail programs show it: the same words as text and as HTML. What anybody typed is escaped in the one and
//! kept to its line in the other.
use askama::Template;

use crate::brand::Brand;
use crate::service::preferences::Topic;

/// What a mail says.
#[derive(Clone, Debug, Default)]
pub(super) struct Letter {
    pub subject: String,
    pub title: String,
    pub paragraphs: Vec<String>,
    /// Names and values, in lines.
    pub rows: Vec<(String, String)>,
    /// What to do, and where.
    pub button: Option<(String, String)>,
    /// Whose account it is about.
    pub account: String,
}

/// How to get no more of these.
#[derive(Clone, Debug)]
pub(super) struct Unsubscribe {
    pub url: String,
    pub topic: Topic,
}

#[derive(Template)]
#[template(path = "email.html")]
struct Html<'a> {
    brand: &'a str,
    accent: String,
    ink: &'static str,
    letter: &'a Letter,
    unsubscribe: Option<&'a Unsubscribe>,
}

/// Text and HTML of a letter.
pub(super) fn rendered(brand: &Brand, letter: &Letter, unsubscribe: Option<&Unsubscribe>) -> (String, String) {
    let (accent, ink) = (brand.accent.hex(), brand.accent.ink());
    let html = Html { brand: &brand.name, accent, ink, letter, unsubscribe }.render();
    // A template only fails when writing text into memory does.
    (text(&brand.name, letter, unsubscribe), html.unwrap_or_default())
}

fn text(brand: &str, letter: &Letter, unsubscribe: Option<&Unsubscribe>) -> String {
    let mut text = format!("{}\n", one_line(&letter.title));
    for paragraph in &letter.paragraphs {
        text.push_str(&format!("\n{}\n", one_line(paragraph)));
    }
    if !letter.rows.is_empty() {
        text.push('\n');
    }
    for (name, value) in &letter.rows {
        text.push_str(&format!("{}: {}\n", one_line(name), one_line(value)));
    }
    if let Some((label, url)) = &letter.button {
        text.push_str(&format!("\n{label}: {}\n", one_line(url)));
    }
    text.push_str(&format!("\n-- \n{brand}, about the account {}\n", one_line(&letter.account)));
    if let Some(it) = unsubscribe {
        text.push_str(&format!("No more of these ({}): {}\n", it.topic.label(), it.url));
    }
    text
}

fn one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_typed_is_only_text() {
        let hostile = "<script>alert(1)</script>\r\nBcc: x@y.example \"'&";
        let letter = Letter {
            subject: hostile.to_owned(),
            title: hostile.to_owned(),
            paragraphs: vec![hostile.to_owned()],
            rows: vec![(hostile.to_owned(), hostile.to_owned())],
            button: Some(("Go".to_owned(), format!("https://x.example/\"{hostile}"))),
            account: hostile.to_owned(),
        };
        let unsubscribe = Unsubscribe { url: "https://x.example/u?token=a.b".to_owned(), topic: Topic::Digest };
        let (text, html) = rendered(&Brand::default(), &letter, Some(&unsubscribe));
        assert!(!html.contains("<script") && !html.contains("\"'&"), "{html}");
        assert!(!text.lines().any(|it| it.starts_with("Bcc")), "{text}");
        assert!(text.contains("https://x.example/u?token=a.b") && html.contains("https://x.example/u?token=a.b"));
    }
}

//! Query strings: every parameter known by name, each read once, each complaint naming it.
use std::borrow::Cow;
use std::str::FromStr;

use billing::id::Name;
use billing::time::Timestamp;

use utoipa::IntoParams;

use super::problem::Problem;
use super::wire::InstantIn;

/// Items of a page where nothing is said, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 500;

/// The parameters of one request.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

/// Which part of a list that is had whole.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Stretch {
    /// Items a page; all there are where nothing is said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,9}$")]
    cursor: usize,
}

impl Stretch {
    /// That part of `all`, and the cursor of the next.
    pub fn of<T>(&self, all: Vec<T>) -> (Vec<T>, Option<String>) {
        let end = self.limit.map_or(all.len(), |it| self.cursor.saturating_add(it).min(all.len()));
        let next = (end < all.len()).then(|| end.to_string());
        (all.into_iter().take(end).skip(self.cursor).collect(), next)
    }
}

impl Query {
    /// Reads `text`, refusing what is not among `known`, what comes twice and what has no value.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Query, Problem> {
        let mut read: Vec<(String, String)> = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|it| !it.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&&*name) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Problem::invalid(name, format_args!("is not a parameter here; known are {known}")));
            }
            if read.iter().any(|it| it.0 == name) {
                return Err(Problem::invalid(name, "is given twice"));
            }
            if value.is_empty() {
                return Err(Problem::invalid(name, "is empty; give it a value, or leave it out"));
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(Query(read))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|it| it.0 == name).map(|it| &*it.1)
    }
    pub fn instant(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let read = |it: &str| InstantIn::from_str(it).map(|it| it.0).map_err(|why| Problem::invalid(name, why));
        self.text(name).map(read).transpose()
    }
    pub fn name(&self, name: &str) -> Result<Option<Name>, Problem> {
        self.text(name).map(|it| it.parse().map_err(|why| Problem::invalid(name, why))).transpose()
    }
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid(name, "must be true or false")),
        }
    }
    pub fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.text("limit") else { return Ok(PAGE) };
        let read = text.parse().ok().filter(|it| (1..=PAGE_MAX).contains(it));
        read.ok_or_else(|| Problem::invalid("limit", format_args!("must be 1 to {PAGE_MAX}")))
    }
    /// Which part of a list is wanted, by `limit` and `cursor`.
    pub fn stretch(&self) -> Result<Stretch, Problem> {
        let limit = self.text("limit").map(|_| self.limit()).transpose()?;
        let cursor = self.cursor()?.map_or(0, |it| usize::try_from(it).unwrap_or(usize::MAX));
        Ok(Stretch { limit, cursor })
    }
    /// A cursor that is an id of what is listed.
    pub fn cursor_of<Id: FromStr + ToString>(&self) -> Result<Option<String>, Problem> {
        let wrong = |_| Problem::invalid("cursor", "must be the `next_cursor` of the page before");
        let read = |it: &str| it.parse::<Id>().map(|it| it.to_string()).map_err(wrong);
        self.text("cursor").map(read).transpose()
    }
    /// A cursor that counts: what `next_cursor` said.
    pub fn cursor(&self) -> Result<Option<u64>, Problem> {
        let wrong = |_| Problem::invalid("cursor", "must be the `next_cursor` of the page before");
        self.text("cursor").map(|it| it.parse().map_err(wrong)).transpose()
    }
}

/// Percent-decoding, and `+` for a space, as forms write it.
fn decoded(text: &str) -> Result<Cow<'_, str>, Problem> {
    if !text.contains(['%', '+']) {
        return Ok(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit =
                    |it: Option<u8>| it.and_then(|it| char::from(it).to_digit(16)).and_then(|it| u8::try_from(it).ok());
                let pair = (digit(rest.next()), digit(rest.next()));
                let (Some(high), Some(low)) = pair else {
                    return Err(Problem::invalid("query", "has a broken % escape"));
                };
                bytes.push(high << 4 | low);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map(Into::into).map_err(|_| Problem::invalid("query", "must be UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_walked_through_page_by_page() {
        let stretch = |text: &str| Query::parse(Some(text), &["limit", "cursor"]).expect("it is good").stretch();
        let part = |text: &str| stretch(text).expect("it is good").of(vec![1, 2, 3, 4, 5]);
        assert_eq!(part(""), (vec![1, 2, 3, 4, 5], None));
        assert_eq!(part("limit=2"), (vec![1, 2], Some("2".to_owned())));
        assert_eq!(part("limit=2&cursor=2"), (vec![3, 4], Some("4".to_owned())));
        assert_eq!(part("limit=2&cursor=4"), (vec![5], None));
        assert_eq!(part("limit=500&cursor=9"), (vec![], None));
        assert!(stretch("limit=0").is_err() && stretch("cursor=x").is_err());
    }

    #[test]
    fn parameters_are_read_and_misspelt_ones_refused() {
        let query = Query::parse(
            Some("from=2026-11-01T00%3A00%3A00%2B02:00&meter=ai+chat&limit=7"),
            &["from", "meter", "limit"],
        );
        let query = query.expect("it is good");
        assert_eq!(query.text("meter"), Some("ai chat"));
        assert_eq!(query.limit().expect("it is good"), 7);
        assert_eq!(query.instant("from").expect("it is good").map(|it| it.millis()), Some(1_793_484_000_000));
        for (text, field) in [
            ("form=x", "form"),
            ("from=1&from=2", "from"),
            ("from=", "from"),
            ("from=%zz", "query"),
            ("from=%ff", "query"),
        ] {
            assert_eq!(
                Query::parse(Some(text), &["from"]).err().and_then(|it| it.field).as_deref(),
                Some(field),
                "{text}"
            );
        }
    }
}

//! Portal sessions: how a person who is signed in at the platform comes to see one account's pages here.
//!
//! The platform asks for a link; the link opens a session; the session is for one account and one role, and ends by the
//! clock or by signing out. Links and sessions are sealed values that nobody has to look up; only that a session was
//! ended before its time is written down, and of a link that was asked for under a key what it says without its seal.
use std::fmt;
use std::str::FromStr;

use billing::Refusal;
use billing::id::Name;
use billing::rating::Text;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Change, CommitError, Document};

use super::console::LET_IN;
use super::order::Fingerprint;
use super::requests::answer_in;
use super::seal::random_name;
use super::{By, Error};
use crate::app::App;

/// How long a link works where nothing is said: time enough to be redirected, not to be passed around.
pub const LINK_LASTS: Span = Span::MINUTE.times(5);
/// The longest a link may work.
pub const LINK_LASTS_MAX: Span = Span::DAY;
/// How long a session lasts, whoever is active in it.
pub const SESSION_LASTS: Span = Span::HOUR.times(4);
/// The longest address to return to.
const RETURN_URL_LENGTH_MAX: usize = 1_024;
/// The kind of document that says that a session was ended by its owner.
const ENDED: &str = "portal_session_end";

/// How often an order that met another under its key is looked at again.
const ATTEMPTS_MAX: u32 = 8;

const LINK: &str = "portal link";
const SESSION: &str = "portal session";
const FORM: &str = "portal form";

/// What a person may do on the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Owner,
    /// Buys credits, keeps cards and invoices.
    Billing,
    /// Sees usage; sees no cards and no invoices.
    Member,
    /// Sees everything, changes nothing.
    Viewer,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Owner, Role::Billing, Role::Member, Role::Viewer];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Billing => "billing",
            Role::Member => "member",
            Role::Viewer => "viewer",
        }
    }
    pub fn sees_billing(self) -> bool {
        !matches!(self, Role::Member)
    }
    pub fn changes_billing(self) -> bool {
        matches!(self, Role::Owner | Role::Billing)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Role, Refusal> {
        let found = Role::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| Refusal::invalid("role", "must be owner, billing, member or viewer"))
    }
}

/// The page a link opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortalPage {
    #[default]
    Usage,
    Billing,
    /// Billing, with the smallest package chosen that brings so many micro-credits, or with so many filled in.
    Purchase {
        needed: i64,
    },
    Estimate,
}

impl PortalPage {
    fn as_str(self) -> &'static str {
        match self {
            PortalPage::Usage => "usage",
            PortalPage::Billing => "billing",
            PortalPage::Purchase { .. } => "purchase",
            PortalPage::Estimate => "estimate",
        }
    }
}

#[derive(Clone, Debug)]
pub struct LinkOrder {
    pub account: Name,
    pub role: Role,
    pub page: PortalPage,
    /// Where "back" leads.
    pub return_url: Option<String>,
    pub lasts: Option<Span>,
}

#[derive(Clone, Debug)]
pub struct PortalLink {
    pub token: String,
    pub expires_at: Timestamp,
    /// It was asked for before, under the same key.
    pub is_replay: bool,
}

/// A person at the pages.
#[derive(Clone, Debug)]
pub struct PortalSession {
    pub id: String,
    pub account: Name,
    pub role: Role,
    pub return_url: Option<String>,
    pub expires_at: Timestamp,
}

/// What came of following a link.
#[derive(Clone, Debug)]
pub enum Followed {
    /// The session's token, for the cookie, and where to go.
    Opened { token: String, page: PortalPage },
    /// It was a link once. Where it came from knows how to make another.
    Expired { return_url: Option<String> },
    /// Nothing this house has sealed.
    Unknown,
}

impl LinkOrder {
    fn fingerprint(&self) -> Fingerprint {
        let mut request = Fingerprint::of(LET_IN);
        request.text(self.role.as_str()).text(self.page.as_str());
        if let PortalPage::Purchase { needed } = self.page {
            request.number(needed.unsigned_abs());
        }
        request.text(self.return_url.as_deref().unwrap_or_default());
        request.number(self.lasts.map_or(u64::MAX, |it| it.millis().unsigned_abs()));
        request
    }
}

/// A link or a session as it is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    id: String,
    account: String,
    role: Role,
    page: PortalPage,
    return_url: Option<String>,
    until: i64,
}

impl App {
    /// A link into one account's pages, for one person.
    pub fn portal_link(&self, order: &LinkOrder) -> Result<PortalLink, Error> {
        self.close_link(&self.link(order)?, false)
    }

    /// The same for who asks at the API: the same link again under the same key, and an operator's asking written down.
    pub fn order_portal_link(&self, order: &LinkOrder, by: &By, key: Option<&Text>) -> Result<PortalLink, Error> {
        let account = self.known(&order.account)?.account.number;
        for _ in 0..ATTEMPTS_MAX {
            let (fresh, before) = self.asked_perhaps(account, key, order.fingerprint())?;
            if let Some(link) = before.as_deref().and_then(answer_in::<Sealed>) {
                return self.close_link(&link, true);
            }
            let (link, now) = (self.link(order)?, self.now());
            let (subject, detail) = (order.account.to_string(), order.role.to_string());
            let mut changes: Vec<Change> = fresh.map(|it| it.answered(&link, now)).into_iter().collect();
            changes.extend(by.noted(now, LET_IN, subject, detail));
            if changes.is_empty() || self.keep(&changes)? {
                return self.close_link(&link, false);
            }
        }
        Err(Error::Busy)
    }

    fn close_link(&self, link: &Sealed, is_replay: bool) -> Result<PortalLink, Error> {
        let expires_at = Timestamp::from_millis(link.until);
        Ok(PortalLink { token: self.seal()?.close(LINK, link)?, expires_at, is_replay })
    }

    fn link(&self, order: &LinkOrder) -> Result<Sealed, Error> {
        self.known(&order.account)?;
        let lasts = order.lasts.unwrap_or(LINK_LASTS);
        if lasts < Span::SECOND || LINK_LASTS_MAX < lasts {
            return Err(Refusal::invalid("expires_in_seconds", "must be 1 to 86400 (a day)").into());
        }
        if order.return_url.as_deref().is_some_and(|it| !is_web_address(it)) {
            let why = "must begin with https:// or http:// and have at most 1024 bytes without spaces";
            return Err(Refusal::invalid("return_url", why).into());
        }
        let is_billing = matches!(order.page, PortalPage::Billing | PortalPage::Purchase { .. });
        if is_billing && !order.role.sees_billing() {
            return Err(Refusal::invalid("page", "is not one that a member sees; open `usage`").into());
        }
        Ok(Sealed {
            id: random_name("naming a portal link")?,
            account: order.account.to_string(),
            role: order.role,
            page: order.page,
            return_url: order.return_url.clone(),
            until: (self.now() + lasts).millis(),
        })
    }

    /// Opens a session for whoever brings a link.
    pub fn follow_portal_link(&self, token: &str) -> Result<Followed, Error> {
        let seal = self.seal()?;
        let Some(link) = seal.open::<Sealed>(LINK, token) else { return Ok(Followed::Unknown) };
        let now = self.now();
        if Timestamp::from_millis(link.until) <= now {
            return Ok(Followed::Expired { return_url: link.return_url });
        }
        let page = link.page;
        let until = (now + SESSION_LASTS).millis();
        let session = Sealed { id: random_name("naming a portal session")?, until, ..link };
        Ok(Followed::Opened { token: seal.close(SESSION, &session)?, page })
    }

    /// The session a cookie stands for; none when it is over, was ended, or never was.
    pub fn portal_session(&self, token: &str) -> Result<Option<PortalSession>, Error> {
        let Some(sealed) = self.seal()?.open::<Sealed>(SESSION, token) else { return Ok(None) };
        let expires_at = Timestamp::from_millis(sealed.until);
        let Ok(account) = sealed.account.parse::<Name>() else { return Ok(None) };
        let Sealed { id, role, return_url, .. } = sealed;
        let session = PortalSession { id, account, role, return_url, expires_at };
        Ok(if self.lasts(&session)? { Some(session) } else { None })
    }

    /// Whether a session is neither over nor was ended.
    pub fn lasts(&self, session: &PortalSession) -> Result<bool, Error> {
        if session.expires_at <= self.now() {
            return Ok(false);
        }
        let number = self.known(&session.account)?.account.number;
        Ok(self.store.document(number, ENDED, &session.id)?.is_none())
    }

    /// Ends a session before its time: a copy of its cookie opens nothing any more.
    pub fn end_portal_session(&self, session: &PortalSession) -> Result<(), Error> {
        let end = Document {
            account: self.known(&session.account)?.account.number,
            kind: ENDED.to_owned(),
            id: session.id.clone(),
            version: 1,
            at: self.now(),
            due_at: None,
            body: "{}".to_owned(),
        };
        match self.store.commit(&[Change::Document(end)]) {
            // Ended twice is ended.
            Ok(()) | Err(CommitError::Stale | CommitError::Repeated) => Ok(()),
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// What a form of this session carries, so that no other site can send it.
    pub fn form_mark(&self, session: &str) -> Result<String, Error> {
        Ok(self.seal()?.mark(FORM, session))
    }
    pub fn is_form_mark(&self, session: &str, mark: &str) -> Result<bool, Error> {
        Ok(self.seal()?.is_mark(FORM, session, mark))
    }
}

/// An address that a browser may be sent to: of the web, and not of a script.
fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|it| !it.is_empty() && !it.starts_with('/'))
        && text.len() <= RETURN_URL_LENGTH_MAX
        && text.bytes().all(|it| it.is_ascii_graphic() && !matches!(it, b'"' | b'<' | b'>' | b'\\'))
}

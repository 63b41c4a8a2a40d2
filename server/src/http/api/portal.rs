//! Portal sessions: links into the pages, for people who are signed in at the platform.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::money::Credits;
use billing::time::Span;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::site::Site;
use super::super::wire::{AmountIn, Instant, NameIn};
use super::reply::{self, Answered};
use crate::service::{LinkOrder, PortalPage, Role, Scope};

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PortalRole)]
pub enum RoleIn {
    /// Everything.
    Owner,
    /// Buys credits, keeps cards and invoices.
    Billing,
    /// Sees usage; sees no cards and no invoices.
    Member,
    /// Sees everything, changes nothing.
    Viewer,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PortalPage)]
pub enum PageIn {
    #[default]
    Usage,
    Billing,
    Estimate,
}

/// Who shall see what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PortalSessionRequest, example = json!({
    "role": "owner", "page": "usage", "return_url": "https://app.example.com/settings"
}))]
pub struct SessionIn {
    role: RoleIn,
    /// The page it opens; `usage` where nothing is said.
    #[serde(default)]
    page: PageIn,
    /// With the page `billing`: credits that are missing. The smallest package that brings them is chosen.
    /// Where none does, so many credits are filled in.
    needed_credits: Option<AmountIn>,
    /// Where "back" leads: an address of the web.
    #[schema(max_length = 1024, pattern = "^https?://")]
    return_url: Option<String>,
    /// How long the link works; five minutes where nothing is said. The session it opens lasts four hours.
    #[schema(minimum = 1, maximum = 86_400)]
    expires_in_seconds: Option<u32>,
}

/// A link for one person, to be redirected to at once.
#[derive(Serialize, ToSchema)]
#[schema(as = PortalSession)]
pub struct SessionShown {
    url: String,
    expires_at: Instant,
}

/// Make a link into the pages
///
/// Send the person who is signed in at your platform to `url`. It opens *Settings > Usage* and what else the role may
/// see, of this account alone.
#[utoipa::path(post, path = "/v1/accounts/{account}/portal-sessions", operation_id = "createPortalSession",
    tag = "Access",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it gives the same link.",
            min_length = 1, max_length = 255),
    ),
    request_body = SessionIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = SessionShown, description = "The link. Whoever has it can use it, so keep it short."),
        (status = 404, description = "No such account."),
        (status = 409, description = "The key came with another body before."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let account = call.name("account").await?;
    let origin = site.origin(call.headers());
    let (by, key) = (call.who(), call.key_if_any()?);
    let asked: SessionIn = call.json().await?;
    if asked.needed_credits.as_ref().is_some_and(|it| it.0 < Credits::ZERO) {
        return Err(Refusal::invalid("needed_credits", "must be 0 or more").into());
    }
    let order = LinkOrder {
        account,
        role: match asked.role {
            RoleIn::Owner => Role::Owner,
            RoleIn::Billing => Role::Billing,
            RoleIn::Member => Role::Member,
            RoleIn::Viewer => Role::Viewer,
        },
        page: match asked.page {
            PageIn::Usage => PortalPage::Usage,
            PageIn::Billing => match asked.needed_credits {
                Some(it) => PortalPage::Purchase { needed: it.0.micros() },
                None => PortalPage::Billing,
            },
            PageIn::Estimate => PortalPage::Estimate,
        },
        return_url: asked.return_url,
        lasts: asked.expires_in_seconds.map(|it| Span::SECOND.times(i64::from(it))),
    };
    let link = site.look(move |app| app.order_portal_link(&order, &by, key.as_ref())).await?;
    let url = format!("{origin}/portal?link={}", link.token);
    let shown = SessionShown { url, expires_at: Instant(link.expires_at) };
    reply::written(StatusCode::CREATED, &shown, link.is_replay)
}

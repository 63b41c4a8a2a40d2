//! How a payment stands, in the words of the API: also what became of its money since it came.
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::Standing;

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentStatus)]
pub enum StatusShown {
    /// Asked for, and not answered yet.
    Pending,
    /// Waits for the customer: at `checkout_url` or `action_url`.
    RequiresAction,
    /// The money is there, and so are the credits.
    Succeeded,
    /// A part of the money went back, or was taken back: `refunded` says how much.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
    /// A bank wants the money back, or has taken it: `dispute` says which. One that is won leaves the payment as it
    /// was.
    Disputed,
    /// The money will not come; `failure` says why.
    Failed,
    /// Given up before any money moved.
    Canceled,
}

impl From<Standing> for StatusShown {
    fn from(standing: Standing) -> StatusShown {
        match standing {
            Standing::Pending => StatusShown::Pending,
            Standing::RequiresAction => StatusShown::RequiresAction,
            Standing::Succeeded => StatusShown::Succeeded,
            Standing::PartiallyRefunded => StatusShown::PartiallyRefunded,
            Standing::Refunded => StatusShown::Refunded,
            Standing::Disputed => StatusShown::Disputed,
            Standing::Failed => StatusShown::Failed,
            Standing::Canceled => StatusShown::Canceled,
        }
    }
}

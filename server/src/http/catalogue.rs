//! Every way a request can fail, by its stable code: what programs branch on and people read about in `/docs/problems`.
//!
//! Invariant: a code once published keeps its meaning and its status. Codes that come from the rules and the measurers
//! are theirs; this page only says how HTTP tells them.

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
    /// What it means and what to do, for people.
    pub meaning: &'static str,
}

macro_rules! kinds { ($($name:ident $status:literal $code:literal $title:literal $meaning:literal)*) => {
    $(pub static $name: Kind = Kind { code: $code, status: $status, title: $title, meaning: $meaning };)*
    /// All of them, by status.
    pub static ALL: &[&Kind] = &[$(&$name),*];
} }

kinds! {
    MALFORMED_JSON 400 "malformed_json" "The body is not JSON"
        "The body stops being JSON at the line and column given. Nothing was done; mend the body and send it again."
    UNBELIEVABLE_NOTICE 400 "unbelievable_notice" "The notice is not to be believed"
        "Its signature is missing, wrong or old. Only Stripe sends notices; its secret is STRIPE_WEBHOOK_SECRET."
    UNAUTHENTICATED 401 "unauthenticated" "No valid API key"
        "Send `Authorization: Bearer <api key>` with a key that exists and was not revoked."
    INSUFFICIENT_CREDITS 402 "insufficient_credits" "Not enough credits"
        "`required` is the price, `available` what this account may spend on this work, `shortfall` the difference. \
         Nothing was charged. Once credits have come in, the same idempotency key may be sent again."
    BUDGET_EXCEEDED 402 "budget_exceeded" "A budget does not allow it"
        "The budget named in `budget` blocks, and `used`, `reserved` and `required` together pass its `limit`. Nothing \
         was charged. It begins anew at `resets_at`; null for one that never does."
    MISSING_SCOPE 403 "missing_scope" "The API key may not do this"
        "The key is valid and lacks the scope in `scope`. Use a key that has it, or mint one."
    NOT_FOUND 404 "not_found" "Nothing is here"
        "The path is not one of the API. The reference is at /docs."
    ACCOUNT_NOT_FOUND 404 "account_not_found" "No such account"
        "Register it with PUT /v1/accounts/{account}; its welcome credits come with the registration."
    CHARGE_NOT_FOUND 404 "charge_not_found" "No such charge" "The id is not one that this server gave to a charge."
    HOLD_NOT_FOUND 404 "hold_not_found" "No such hold" "The id is not one that this server gave to a hold."
    GRANT_NOT_FOUND 404 "grant_not_found" "No such grant" "The id is not one that this server gave to a grant."
    SERVER_NOT_FOUND 404 "server_not_found" "No such server"
        "Provision it with PUT; what was released more than 35 days ago is in usage and the ledger only."
    BUDGET_NOT_FOUND 404 "budget_not_found" "No such budget" "The account has no budget of this name; PUT makes one."
    PACKAGE_NOT_FOUND 404 "package_not_found" "No such package" "GET /v1/packages lists what is sold."
    PLAN_NOT_FOUND 404 "plan_not_found" "No such plan" "GET /v1/plans lists what is sold."
    PAYMENT_NOT_FOUND 404 "payment_not_found" "No such payment" "The id is not one that this server gave to a payment."
    PAYMENT_METHOD_NOT_FOUND 404 "payment_method_not_found" "No such payment method"
        "The account has no such card; GET /v1/accounts/{account}/payment-methods lists those it has."
    SUBSCRIPTION_NOT_FOUND 404 "subscription_not_found" "No subscription"
        "The account has none; POST /v1/accounts/{account}/subscription starts one."
    INVOICE_NOT_FOUND 404 "invoice_not_found" "No such invoice" "The id is not one that this server gave to an invoice."
    WEBHOOK_ENDPOINT_NOT_FOUND 404 "webhook_endpoint_not_found" "No such webhook endpoint"
        "It was never made, or it was deleted; GET /v1/webhook-endpoints lists those there are."
    DELIVERY_NOT_FOUND 404 "delivery_not_found" "No such delivery"
        "The endpoint was sent nothing under this id; GET /v1/webhook-endpoints/{endpoint}/deliveries lists them."
    EMAIL_NOT_FOUND 404 "email_not_found" "No such e-mail"
        "The account was sent nothing under this id; GET /v1/accounts/{account}/emails lists what it was sent."
    TIP_NOT_FOUND 404 "tip_not_found" "No such tip" "GET /v1/accounts/{account}/tips lists those there are."
    PROJECT_NOT_FOUND 404 "project_not_found" "No such project"
        "The account has no project of this name, or it was deleted."
    RATE_CARD_NOT_FOUND 404 "rate_card_not_found" "No such rate card" "There is no version of this number."
    API_KEY_NOT_FOUND 404 "api_key_not_found" "No such API key"
        "Keys are named by their `key_…` id, not by their secret."
    METHOD_NOT_ALLOWED 405 "method_not_allowed" "Not this method"
        "The path exists, and answers to the methods in the `Allow` header."
    IDEMPOTENCY_CONFLICT 409 "idempotency_conflict" "The key was used for another request"
        "This idempotency key came before with another body. New work takes a new key; a repeat takes the same body."
    ACCOUNT_CLOSED 409 "account_closed" "The account is closed"
        "A closed account takes no new spending. Its history stays."
    HOLD_CLOSED 409 "hold_closed" "The hold has ended"
        "It was captured, released or expired, as `end` says. Open a new one."
    TOO_MANY_HOLDS 409 "too_many_holds" "Too many open holds" "Capture or release some before opening another."
    SERVER_UNCHANGED 409 "server_unchanged" "Nothing to change" "The server is what it was asked to be."
    SERVER_CONFLICT 409 "server_conflict" "Not possible for this server"
        "`detail` says what is known of it that does not go with this. Look it up, and report what happened."
    REVERSAL_EXCEEDS_CHARGE 409 "reversal_exceeds_charge" "More than is left of the charge"
        "`left` is what of the charge was not reversed yet."
    NOTHING_TO_VOID 409 "nothing_to_void" "Nothing is left of the grant"
        "Only unused credits can be voided, and all of these are spent, held, expired or voided."
    REFUND_EXCEEDS_UNUSED 409 "refund_exceeds_unused" "More than is unused"
        "`left` is what of the payment's credits is unused, `at_most` the most money that can go back, tax included."
    NOTHING_TO_REFUND 409 "nothing_to_refund" "Nothing is left to refund"
        "The payment has brought no money, or all of it has gone back."
    PAYMENT_DISPUTED 409 "payment_disputed" "The payment is disputed"
        "The customer's bank decides what becomes of its money. Wait for the dispute to end."
    PAYMENT_METHOD_IN_USE 409 "payment_method_in_use" "The card is needed"
        "It is the only card of an auto-topup that is on or of a subscription. Add another first, or switch that off."
    WOULD_CHARGE_NOW 409 "would_charge_now" "This would charge at once"
        "The balance is below the threshold already. Send the same with `charge_now` once the customer has agreed."
    NO_TOPUP_UNDER_WAY 409 "no_topup_under_way" "No top-up is under way" "There is nothing to settle."
    SUBSCRIPTION_EXISTS 409 "subscription_exists" "There is a subscription already"
        "An account has one; change it with POST /v1/accounts/{account}/subscription/change."
    SUBSCRIPTION_STATE 409 "subscription_state" "Not in this state" "`detail` says what stands in the way."
    BODY_TOO_LARGE 413 "body_too_large" "The body is too large"
        "`most` is how many bytes this endpoint reads. Send less, or in several requests."
    UNSUPPORTED_MEDIA_TYPE 415 "unsupported_media_type" "Not this content type"
        "Set `Content-Type` to one of those in `expected`."
    INVALID_REQUEST 422 "invalid_request" "A field is wrong"
        "`field` is the JSON path, the query parameter or the header at fault, and `detail` says what it must be."
    UNPRICED 422 "unpriced" "The rate card has no price for this"
        "The meter, quantity or dimension value in `field` is not on the rate card. Nothing is free by accident: \
         add a price, or correct the name. GET /v1/rate-card shows what is known."
    INVALID_RATE_CARD 422 "invalid_rate_card" "The rate card has faults"
        "`faults` lists each with its line, column and field. Nothing was changed."
    INVALID_CHAT 422 "invalid_chat" "Not a chat request"
        "Send `model` and one of `text`, `messages` and `usage`."
    UNSUPPORTED_MESSAGE_PART 422 "unsupported_message_part" "A message part cannot be counted"
        "Images and sounds have no tokens of their own: send the provider's usage object instead."
    INVALID_USAGE 422 "invalid_usage" "Not a usage object" "Send the provider's usage object unchanged."
    CHAT_TOO_LONG 422 "chat_too_long" "The chat is too long" "Send less text, or the provider's usage object."
    INVALID_ARCHIVE 422 "invalid_archive" "Not an archive" "Send a whole tar, tar.gz or zip file."
    UNSAFE_ARCHIVE 422 "unsafe_archive" "An archive that would do harm"
        "An entry leads out of the archive, is a device or a link that escapes, or is there twice. Pack plain files."
    ARCHIVE_TOO_LARGE 422 "archive_too_large" "The archive expands too far" "Pack only the source."
    ENCRYPTED_ARCHIVE 422 "encrypted_archive" "The archive is encrypted" "Pack it without a password."
    INVALID_SNAPSHOT 422 "invalid_snapshot" "Not a snapshot of a repository"
        "Send the `snapshot` of an earlier measurement as it was given. It cannot be changed."
    REPOSITORY_TOO_LARGE 422 "repository_too_large" "The repository is too large" "Measure a folder of it."
    UNREADABLE_REPOSITORY 422 "unreadable_repository" "The repository cannot be read" "Check that it is whole."
    UNKNOWN_COMMIT 422 "unknown_commit" "No such commit" "Name a commit, branch or tag of the repository."
    GIT_FAILED 422 "git_failed" "Git could not read the repository" "Check that it is a Git repository."
    UNKNOWN_PLAN 422 "unknown_plan" "Not a plan"
        "Send the output of `terraform show -json PLAN`, a compose file, or a Scrip plan."
    UNSUPPORTED_PLAN_VERSION 422 "unsupported_plan_version" "A plan of an unknown version"
        "Its major format version is not known here, so no number would be right."
    INVALID_PLAN 422 "invalid_plan" "The plan is broken" "Make the plan again and send it whole. It was not charged."
    PLAN_TOO_LARGE 422 "plan_too_large" "The plan is too large" "Split it."
    INVALID_LIFECYCLE 422 "invalid_lifecycle" "Facts that contradict each other" "Send each fact once, as it happened."
    UNKNOWN_ZONE 422 "unknown_zone" "Not a time zone" "Give an IANA name such as Europe/Vilnius."
    RATE_LIMITED 429 "rate_limited" "Too many requests"
        "This API key sends faster than it may. Wait for the seconds in `Retry-After`. Never said of credits."
    INTERNAL 500 "internal" "Something failed here"
        "It is our fault and was logged under `request_id`. Repeating with the same idempotency key is safe: what was \
         done is found done."
    PAYMENTS_NOT_SET_UP 501 "payments_not_set_up" "No payments here"
        "This server has no account with a payment provider, and the same again will be answered the same. Its \
         operator sets STRIPE_SECRET_KEY."
    BUSY 503 "busy" "More is waiting than fits"
        "Nothing was done. Wait for the seconds in `Retry-After`, and send the same request with the same key again."
}

/// The kind that has `code`. Rules and measurers name their own; each must be on this page.
pub fn of_code(code: &str) -> &'static Kind {
    ALL.iter().copied().find(|it| it.code == code).unwrap_or(&INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::Refusal;
    use billing::ledger::HoldEnd;
    use billing::money::{Credits, Currency, Money};

    #[test]
    fn every_refusal_is_on_the_page() {
        let zero = Credits::ZERO;
        for refusal in [
            Refusal::invalid("field", "why"),
            Refusal::IdempotencyConflict,
            Refusal::AccountNotFound,
            Refusal::AccountClosed,
            Refusal::ChargeNotFound,
            Refusal::HoldNotFound,
            Refusal::GrantNotFound,
            Refusal::ServerNotFound,
            Refusal::ServerUnchanged,
            Refusal::ServerConflict { why: "why".to_owned() },
            Refusal::HoldClosed { end: HoldEnd::Expired },
            Refusal::TooManyHolds { most: 1 },
            Refusal::unpriced("field", "why"),
            Refusal::ReversalExceedsCharge { left: zero },
            Refusal::NothingToVoid,
            Refusal::PackageNotFound,
            Refusal::PlanNotFound,
            Refusal::PaymentNotFound,
            Refusal::PaymentMethodNotFound,
            Refusal::SubscriptionNotFound,
            Refusal::InvoiceNotFound,
            Refusal::WebhookEndpointNotFound,
            Refusal::DeliveryNotFound,
            Refusal::EmailNotFound,
            Refusal::PaymentsNotSetUp,
            Refusal::RefundExceedsUnused { left: zero, most: None },
            Refusal::NothingToRefund,
            Refusal::PaymentDisputed,
            Refusal::PaymentMethodInUse { of: "it".into() },
            Refusal::WouldChargeNow { credits: zero, total: Money { amount: 1, currency: Currency::EUR } },
            Refusal::NoTopupUnderWay,
            Refusal::SubscriptionExists,
            Refusal::SubscriptionState { why: "it is over".into() },
            Refusal::BudgetNotFound,
            Refusal::BudgetExceeded {
                budget: "b".parse().expect("a name"),
                limit: Credits::ZERO,
                used: Credits::ZERO,
                reserved: Credits::ZERO,
                required: Credits::ZERO,
                resets_at: None,
            },
            Refusal::InsufficientCredits { required: zero, available: zero },
        ] {
            assert_eq!(of_code(refusal.code()).code, refusal.code());
        }
    }

    #[test]
    fn codes_are_told_apart_and_stand_by_status() {
        for pair in ALL.windows(2) {
            assert!(pair[0].status <= pair[1].status, "{} before {}", pair[0].code, pair[1].code);
        }
        for (place, kind) in ALL.iter().enumerate() {
            assert!(ALL[..place].iter().all(|it| it.code != kind.code), "{} twice", kind.code);
        }
    }
}

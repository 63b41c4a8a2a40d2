//! How each object looks when it is new: every member the provider's own types ask for.
use serde_json::{Value, json};

use crate::card_table::TestCard;

pub fn nobody() -> Value {
    json!({"address": null, "email": null, "name": null, "phone": null, "tax_id": null})
}

pub fn customer(id: &str, created: i64) -> Value {
    json!({
        "id": id, "object": "customer", "address": null, "balance": 0, "created": created, "currency": null,
        "customer_account": null, "default_source": null, "delinquent": false, "description": null, "discount": null,
        "email": null, "invoice_prefix": id[id.len() - 8..], "livemode": false, "metadata": {}, "name": null,
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null,
        },
        "next_invoice_sequence": 1, "phone": null, "preferred_locales": [], "shipping": null, "tax_exempt": "none",
        "test_clock": null,
    })
}

pub fn payment_method(id: &str, created: i64, card: &TestCard, expiry: (i64, i64)) -> Value {
    json!({
        "id": id, "object": "payment_method", "allow_redisplay": "unspecified", "billing_details": nobody(),
        "created": created, "customer": null, "customer_account": null, "livemode": false, "metadata": {},
        "type": "card",
        "card": {
            "brand": card.brand, "country": "US", "display_brand": card.brand, "exp_month": expiry.0,
            "exp_year": expiry.1, "fingerprint": fingerprint(card), "funding": card.funding, "generated_from": null,
            "checks": {"address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass"},
            "last4": last4(card), "networks": {"available": [card.brand], "preferred": null},
            "regulated_status": "unregulated", "three_d_secure_usage": {"supported": true}, "wallet": null,
        },
    })
}

/// The same for the same number.
fn fingerprint(card: &TestCard) -> String {
    format!("Sim{}", &card.number[card.number.len() - 13..])
}

pub fn last4(card: &TestCard) -> &'static str {
    &card.number[card.number.len() - 4..]
}

pub fn payment_intent(id: &str, created: i64, amount: i64, currency: &str) -> Value {
    json!({
        "id": id, "object": "payment_intent", "allowed_payment_method_types": null, "amount": amount,
        "amount_capturable": 0, "amount_details": {"tip": {}}, "amount_received": 0, "application": null,
        "application_fee_amount": null, "automatic_payment_methods": null, "canceled_at": null,
        "cancellation_reason": null, "capture_method": "automatic_async", "client_secret": format!("{id}_secret_sim"),
        "confirmation_method": "automatic", "created": created, "currency": currency, "customer": null,
        "customer_account": null, "description": null, "excluded_payment_method_types": null,
        "last_payment_error": null, "latest_charge": null, "livemode": false, "managed_payments": null,
        "metadata": {}, "next_action": null, "on_behalf_of": null, "payment_method": null,
        "payment_method_configuration_details": null,
        "payment_method_options": {"card": {
            "installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic",
        }},
        "payment_method_types": ["card"], "payment_record": null, "processing": null, "receipt_email": null,
        "review": null, "setup_future_usage": null, "shipping": null, "source": null, "statement_descriptor": null,
        "statement_descriptor_suffix": null, "status": "requires_payment_method", "transfer_data": null,
        "transfer_group": null,
    })
}

pub fn setup_intent(id: &str, created: i64) -> Value {
    json!({
        "id": id, "object": "setup_intent", "allowed_payment_method_types": null, "application": null,
        "automatic_payment_methods": null, "cancellation_reason": null, "client_secret": format!("{id}_secret_sim"),
        "created": created, "customer": null, "customer_account": null, "description": null,
        "excluded_payment_method_types": null, "flow_directions": null, "last_setup_error": null,
        "latest_attempt": null, "livemode": false, "mandate": null, "metadata": {}, "next_action": null,
        "on_behalf_of": null, "payment_method": null, "payment_method_configuration_details": null,
        "payment_method_options": {"card": {
            "mandate_options": null, "network": null, "request_three_d_secure": "automatic",
        }},
        "payment_method_types": ["card"], "single_use_mandate": null, "status": "requires_payment_method",
        "usage": "off_session",
    })
}

/// A charge of a payment with a card: what was tried, before it is known how it ended.
pub fn charge(id: &str, created: i64, intent: &Value, method: &Value) -> Value {
    let card = &method["card"];
    json!({
        "id": id, "object": "charge", "amount": intent["amount"], "amount_captured": 0, "amount_refunded": 0,
        "application": null, "application_fee": null, "application_fee_amount": null, "balance_transaction": null,
        "billing_details": method["billing_details"], "calculated_statement_descriptor": "SIMULATOR",
        "captured": false, "created": created, "currency": intent["currency"], "customer": intent["customer"],
        "description": intent["description"], "disputed": false, "failure_balance_transaction": null,
        "failure_code": null, "failure_message": null, "fraud_details": {}, "livemode": false,
        "metadata": intent["metadata"], "on_behalf_of": null, "outcome": null, "paid": false,
        "payment_intent": intent["id"], "payment_method": method["id"],
        "payment_method_details": {"type": "card", "card": {
            "amount_authorized": intent["amount"], "authorization_code": null, "brand": card["brand"],
            "checks": card["checks"], "country": card["country"], "electronic_commerce_indicator": null,
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"], "fingerprint": card["fingerprint"], "funding": card["funding"],
            "installments": null, "last4": card["last4"], "mandate": null, "network": card["brand"],
            "network_transaction_id": null, "regulated_status": "unregulated", "three_d_secure": null,
            "transaction_link_id": null, "wallet": null,
        }},
        "receipt_email": null, "receipt_number": null, "receipt_url": null, "refunded": false, "review": null,
        "shipping": null, "source": null, "source_transfer": null, "statement_descriptor": null,
        "statement_descriptor_suffix": null, "status": "failed", "transfer_data": null, "transfer_group": null,
    })
}

/// A movement of the operator's balance: `kind` is `charge`, `refund` or `adjustment`.
pub fn balance_transaction(id: &str, created: i64, source: &Value, kind: &str) -> Value {
    let category = match kind {
        "adjustment" => "dispute",
        kind => kind,
    };
    json!({
        "id": id, "object": "balance_transaction", "amount": 0, "available_on": created + 2 * 86_400,
        "balance_type": "payments", "created": created, "currency": source["currency"], "description": null,
        "exchange_rate": null, "fee": 0, "fee_details": [], "net": 0, "reporting_category": category,
        "source": source["id"], "status": "pending", "type": kind,
    })
}

pub fn refund(id: &str, created: i64, amount: i64, charge: &Value) -> Value {
    json!({
        "id": id, "object": "refund", "amount": amount, "balance_transaction": null, "charge": charge["id"],
        "created": created, "currency": charge["currency"], "customer": charge["customer"], "customer_account": null,
        "destination_details": {"type": "card", "card": {
            "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund",
        }},
        "metadata": {}, "payment_intent": charge["payment_intent"], "payment_method": charge["payment_method"],
        "reason": null, "receipt_number": null, "source_transfer_reversal": null, "status": "succeeded",
        "transfer_reversal": null,
    })
}

pub fn dispute(id: &str, created: i64, amount: i64, charge: &Value) -> Value {
    let card = &charge["payment_method_details"]["card"];
    json!({
        "id": id, "object": "dispute", "amount": amount, "balance_transactions": [], "charge": charge["id"],
        "created": created, "currency": charge["currency"], "enhanced_eligibility_types": [],
        "evidence": evidence(),
        "evidence_details": {
            "due_by": created + 7 * 86_400, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false,
            "submission_count": 0, "submission_method": "not_submitted",
        },
        "intended_submission_method": null, "is_charge_refundable": false, "livemode": false, "metadata": {},
        "network_reason_code": "10.4", "payment_intent": charge["payment_intent"], "reason": "fraudulent",
        "payment_method_details": {"type": "card", "card": {
            "brand": card["brand"], "case_type": "chargeback", "network": card["network"],
            "network_reason_code": "10.4",
        }},
        "status": "needs_response",
    })
}

fn evidence() -> Value {
    let members = [
        "access_activity_log",
        "billing_address",
        "cancellation_policy",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "customer_communication",
        "customer_email_address",
        "customer_name",
        "customer_purchase_ip",
        "customer_signature",
        "duplicate_charge_documentation",
        "duplicate_charge_explanation",
        "duplicate_charge_id",
        "product_description",
        "receipt",
        "refund_policy",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "service_date",
        "service_documentation",
        "shipping_address",
        "shipping_carrier",
        "shipping_date",
        "shipping_documentation",
        "shipping_tracking_number",
        "uncategorized_file",
        "uncategorized_text",
    ];
    let mut evidence: Value = members.iter().map(|it| ((*it).to_owned(), Value::Null)).collect();
    evidence["enhanced_evidence"] = json!({});
    evidence
}

pub fn session(id: &str, created: i64, mode: &str) -> Value {
    json!({
        "id": id, "object": "checkout.session", "adaptive_pricing": null, "after_expiration": null,
        "allow_promotion_codes": null, "allowed_payment_method_types": null, "amount_subtotal": null,
        "amount_total": null, "automatic_tax": {"enabled": false, "liability": null, "provider": null, "status": null},
        "billing_address_collection": null, "cancel_url": null, "client_reference_id": null, "client_secret": null,
        "collected_information": null, "consent": null, "consent_collection": null, "created": created,
        "currency": null, "currency_conversion": null, "custom_fields": [],
        "custom_text": {
            "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null,
        },
        "customer": null, "customer_account": null, "customer_creation": null, "customer_details": null,
        "customer_email": null, "discounts": [], "expires_at": created + 86_400, "integration_identifier": null,
        "invoice": null, "invoice_creation": null, "livemode": false, "locale": null, "managed_payments": null,
        "metadata": {}, "mode": mode, "origin_context": null, "payment_intent": null, "payment_link": null,
        "payment_method_collection": "always", "payment_method_configuration_details": null,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"], "payment_status": "unpaid", "permissions": null,
        "phone_number_collection": {"enabled": false}, "recovered_from": null, "saved_payment_method_options": null,
        "setup_intent": null, "shipping_address_collection": null, "shipping_cost": null, "shipping_options": [],
        "status": "open", "submit_type": null, "subscription": null, "success_url": null, "total_details": null,
        "ui_mode": "hosted_page", "url": null, "wallet_options": null,
    })
}

pub fn event(id: &str, created: i64, kind: &str, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "api_version": crate::VERSION, "created": created, "data": {"object": object},
        "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null}, "type": kind,
    })
}

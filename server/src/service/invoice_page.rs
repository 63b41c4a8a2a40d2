//! Invoices as a page: to look at, to print, to save as PDF from any browser. Without scripts and without anything from
//! elsewhere.
use std::fmt::Write as _;

use billing::invoice::{Invoice, Kind, Party};
use billing::money::Money;

use super::e_invoice::escaped;
use super::printed::{self, money};

const STYLE: &str = "\
:root{color-scheme:light}\
*{box-sizing:border-box;margin:0}\
body{font:15px/1.55 system-ui,'Segoe UI',Helvetica,Arial,sans-serif;color:#16202b;background:#eef1f4;\
padding:2.5rem 1rem}\
main{max-width:46rem;margin:auto;background:#fff;padding:3.5rem 3.75rem;border-radius:6px;\
box-shadow:0 1px 2px #0002,0 12px 40px #0001}\
header{display:flex;justify-content:space-between;gap:2rem;align-items:flex-start;padding-bottom:2rem;\
border-bottom:2px solid #16202b}\
h1{font-size:1.75rem;line-height:1.15;letter-spacing:-.02em;font-weight:650}\
.number{color:#5b6875;margin-top:.35rem;font-variant-numeric:tabular-nums}\
.paid{border:1.5px solid #17764a;color:#17764a;border-radius:999px;padding:.15rem .8rem;font-weight:600;\
font-size:.85rem;\
white-space:nowrap}\
.parties{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:2rem;padding:2rem 0 2.5rem;\
overflow-wrap:anywhere}\
h2{font-size:.72rem;letter-spacing:.08em;text-transform:uppercase;color:#5b6875;font-weight:600;margin-bottom:.45rem}\
p strong{font-weight:600}\
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}\
th{font-size:.72rem;letter-spacing:.08em;text-transform:uppercase;color:#5b6875;font-weight:600;text-align:left;\
padding:0 0 .6rem;border-bottom:1px solid #d5dbe1}\
td{padding:.9rem 0;border-bottom:1px solid #e8ecf0;vertical-align:top}\
th+th,td+td{text-align:right;padding-left:1.5rem;white-space:nowrap}\
tfoot td{border:0;padding:.35rem 0}\
tfoot tr:first-child td{padding-top:1.1rem}\
tfoot tr:last-child td{font-weight:650;font-size:1.15rem;padding-top:.7rem}\
.note{margin-top:2rem;padding:.8rem 1rem;background:#f4f6f8;border-left:3px solid #16202b}\
footer{margin-top:2.5rem;color:#5b6875;font-size:.82rem;overflow-wrap:anywhere}\
@media(max-width:38rem){main{padding:2rem 1.4rem}.parties{grid-template-columns:minmax(0,1fr);gap:1.3rem}\
th{letter-spacing:0;text-transform:none}th+th,td+td{padding-left:.6rem}}\
@media print{body{background:#fff;padding:0}main{box-shadow:none;max-width:none;padding:0}@page{margin:20mm}}";

/// The invoice as a page that stands by itself.
pub fn invoice_page(invoice: &Invoice) -> String {
    let (title, state) = match invoice.kind {
        Kind::Invoice => ("Invoice", "Paid"),
        Kind::CreditNote => ("Credit note", "Refunded"),
    };
    let how = if invoice.kind == Kind::Invoice { "Paid with" } else { "Refunded to" };
    let card = invoice.paid_with.as_deref().unwrap_or("a card");
    let number = invoice.number.to_string();
    let code = invoice.currency.as_str().to_uppercase();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} {number}</title>\
         <style>{STYLE}</style></head>\n<body><main>\n\
         <header><div><h1>{title}</h1><p class=\"number\">{number}</p></div><p class=\"paid\">{state}</p></header>\n"
    );
    let date = printed::day(invoice.issued_at);
    let corrects = match &invoice.corrects {
        Some(it) => format!("<br>Corrects {}", escaped(it)),
        None => String::new(),
    };
    let _ = writeln!(
        page,
        "<section class=\"parties\">{}{}<div><h2>Date</h2><p>{date}{corrects}</p></div></section>",
        party("From", &invoice.seller),
        party("Billed to", &invoice.buyer)
    );
    page.push_str(
        "<table><thead><tr><th scope=\"col\">Item</th><th scope=\"col\">Credits</th>\
         <th scope=\"col\">Unit price</th><th scope=\"col\">Amount</th></tr></thead>\n<tbody>",
    );
    for line in &invoice.lines {
        let net = money(Money { amount: line.net, currency: invoice.currency });
        let (credits, each) = (printed::credits(line.credits), printed::unit_price(line, invoice.currency));
        let _ =
            writeln!(page, "<tr><td>{}</td><td>{credits}</td><td>{each}</td><td>{net}</td></tr>", escaped(&line.text));
    }
    let _ = writeln!(
        page,
        "</tbody>\n<tfoot><tr><td colspan=\"3\">Subtotal</td><td>{}</td></tr>\
         <tr><td colspan=\"3\">{}</td><td>{}</td></tr>\
         <tr><td colspan=\"3\">Total {code}</td><td>{}</td></tr></tfoot></table>",
        money(invoice.net()),
        printed::tax_label(invoice.treatment),
        money(invoice.tax()),
        money(invoice.total())
    );
    if let Some(note) = invoice.treatment.note() {
        let _ = writeln!(page, "<p class=\"note\">{note}</p>");
    }
    let _ = writeln!(page, "<footer>{how} {}. Payment reference {}</footer>", escaped(card), escaped(&invoice.payment));
    page.push_str("</main></body></html>\n");
    page
}

fn party(role: &str, party: &Party) -> String {
    let lines = printed::address(party);
    let lines: String = lines.iter().map(|it| format!("<br>{}", escaped(it))).collect();
    format!("<div><h2>{role}</h2><p><strong>{}</strong>{lines}</p></div>", escaped(&party.name))
}

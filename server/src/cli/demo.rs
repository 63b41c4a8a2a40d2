//! `scrip demo`: two believable months of one account, served beside a payment provider that is simulated.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use billing::time::Span;
use clap::Args;

use super::serve::serve;
use super::{Outcome, complain, say};
use crate::clock::Clock;
use crate::config::{self, File, Payments, Seller};
use crate::demo;

const EXAMPLES: &str = "\
Examples:
  scrip demo             fill ./scrip-demo, print what to look at, keep serving
  scrip demo --listen 127.0.0.1:9000

Its store is its own, in --data-dir: one that SCRIP_DATABASE_URL names is left
alone.";

/// Fill a store with two believable months of one account, and serve it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Where the data are; doing it again changes nothing
    #[arg(long, default_value = "scrip-demo")]
    data_dir: PathBuf,
    /// Address and port
    #[arg(long, default_value = config::LISTEN)]
    listen: String,
}

/// The demonstration's key: its data are made up, and it listens where nobody else can reach it.
const DEMO_KEY: &str = "scrip_demo_key_for_looking_around_on_this_machine";

impl Demo {
    pub fn run(self) -> Outcome {
        // Made-up customers have no business in a store that is somebody's.
        if std::env::var_os("SCRIP_DATABASE_URL").is_some_and(|it| !it.is_empty()) {
            let place = self.data_dir.display();
            let text = "the demonstration has a store of its own";
            complain(&format!("scrip: {text}, in {place}: SCRIP_DATABASE_URL is left alone"));
        }
        let provider = DemoProvider::start(&self.data_dir)?;
        let payments = Payments {
            secret_key: "sk_test_of_the_demo".to_owned(),
            url: Some(provider.sim.url().to_owned()),
            publishable_key: Some("pk_test_of_the_demo".to_owned()),
            webhook_secret: Some(DEMO_WEBHOOK_SECRET.to_owned()),
        };
        // Once it is filled, its clock is the machine's.
        let filled = self.data_dir.join("filled");
        let (listen, data_dir) = (Some(self.listen), Some(self.data_dir));
        let (seller, payments) = (Some(seller()), Some(payments));
        let mut config = File { listen, data_dir, payments, seller, sandbox: true, ..File::default() }.checked()?;
        config.settings.clock_behind = if filled.exists() { Span::default() } else { demo::BEHIND };
        let sim = Arc::clone(&provider.sim);
        let served = serve(&config, Some(DEMO_KEY), |url, _| {
            let url = url.to_owned();
            std::thread::spawn(move || {
                let hook = format!("{url}/v1/stripe/webhook");
                let told = serde_json::json!({ "url": hook, "secrets": [DEMO_WEBHOOK_SECRET] });
                drop(sim.control("POST", "webhook", &told));
                show(&url, &filled);
            });
        });
        provider.remember();
        served
    }
}

/// Who sells in the demonstration, as its invoices say.
fn seller() -> Seller {
    Seller {
        name: "Harbor Cloud UAB".to_owned(),
        street: "Konstitucijos pr. 20A".to_owned(),
        city: "Vilnius".to_owned(),
        postal_code: "09308".to_owned(),
        country: "LT".to_owned(),
        tax_id: Some("LT100001234567".to_owned()),
        email: Some("billing@harbor.example".to_owned()),
    }
}

/// What the demonstration's provider signs its notices with: it is nobody's but this machine's.
const DEMO_WEBHOOK_SECRET: &str = "whsec_of_the_demo";

/// A simulated payment provider beside the demonstration, which remembers what happened when it is started again. Only
/// the demonstration has one.
struct DemoProvider {
    sim: Arc<stripe_sim::Sim>,
    memory: PathBuf,
}

impl DemoProvider {
    fn start(data_dir: &Path) -> Result<DemoProvider, String> {
        let failed = |it: std::io::Error| format!("cannot start the simulated payment provider: {it}");
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        let sim = Arc::new(stripe_sim::Sim::start(&stripe_sim::Options::default()).map_err(failed)?);
        let memory = data_dir.join("payment-provider.json");
        if let Ok(text) = std::fs::read_to_string(&memory) {
            let known = serde_json::from_str(&text).map_err(|it| format!("{}: {it}", memory.display()))?;
            sim.control("POST", "memory", &known)?;
        }
        let (remembering, place) = (Arc::downgrade(&sim), memory.clone());
        std::thread::spawn(move || {
            // Also where the demonstration is killed, it has forgotten little.
            while let Some(sim) = remembering.upgrade() {
                remember(&sim, &place);
                drop(sim);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Ok(DemoProvider { sim, memory })
    }

    fn remember(&self) {
        remember(&self.sim, &self.memory);
    }
}

fn remember(sim: &stripe_sim::Sim, place: &Path) {
    let Ok(memory) = sim.control("GET", "memory", &serde_json::json!({})) else { return };
    let (text, fresh) = (memory.to_string(), place.with_extension("new"));
    if std::fs::read_to_string(place).is_ok_and(|it| it == text) {
        return;
    }
    // Whole or not at all.
    if std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, place)).is_err() {
        tracing::warn!(place = %place.display(), "what the simulated payment provider knows could not be kept");
    }
}

/// Fills the server where that was not done before, and says what there is to see.
fn show(url: &str, filled: &Path) {
    let told = fill(url, filled).and_then(|()| {
        let link = |page| demo::portal_link(url, DEMO_KEY, page);
        Ok((demo::summary(url, DEMO_KEY)?, link("usage")?, link("billing")?))
    });
    match told {
        Ok((summary, usage, billing)) => {
            say(&summary);
            say(&format!("The customer's pages (the links work for a day):\n\n  Settings > Usage    {usage}\n"));
            say(&format!("  Settings > Billing  {billing}\n"));
            say(&format!("The operator's console: {url}/console\n\n  Sign in with        {DEMO_KEY}\n"));
            say(&format!(
                "Buy credits on the customer's pages: the payment page is a simulator's, in this process. Pay with the \
                 test card {} (any date ahead, any code); 4000 0027 6000 3184 asks for your bank, \
                 4000 0000 0000 9995 is declined.\n",
                demo::CARD.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
            ));
            say(&format!("Serving at {url} (reference: {url}/docs). Try:\n"));
            say(&format!(
                "  curl -s -H 'Authorization: Bearer {DEMO_KEY}' {url}/v1/accounts/{}/balance\n",
                demo::ACCOUNT
            ));
            say("Stop with Ctrl-C.");
        }
        Err(error) => complain(&format!("scrip: the two months could not be told: {error}")),
    }
}

fn fill(url: &str, filled: &Path) -> Result<(), demo::DemoError> {
    if filled.exists() {
        return Ok(());
    }
    let machine = Clock::default();
    let bar = indicatif::ProgressBar::new(1);
    let mut progress = |done: usize, all: usize, what: &str| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        bar.set_message(what.to_owned());
    };
    let told = demo::fill(url, DEMO_KEY, &mut progress, &|| machine.now());
    bar.finish_and_clear();
    told?;
    if std::fs::write(filled, "Two months were lived through.\n").is_err() {
        tracing::warn!(place = %filled.display(), "that the demonstration is filled could not be kept");
    }
    Ok(())
}

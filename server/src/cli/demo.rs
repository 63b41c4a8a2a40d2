//! `scrip demo`: a believable month of one account, served beside a payment provider that is simulated.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::serve::serve;
use super::{Outcome, complain, say};
use crate::config::{self, File, Payments};
use crate::demo;

const EXAMPLES: &str = "\
Examples:
  scrip demo             fill ./scrip-demo, print what to look at, keep serving
  scrip demo --listen 127.0.0.1:9000

Its store is its own, in --data-dir: one that SCRIP_DATABASE_URL names is left
alone.";

/// Fill a store with a believable month of one account, and serve it
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
        let (listen, data_dir) = (Some(self.listen), Some(self.data_dir));
        let file = File { listen, data_dir, payments: Some(payments), ..File::default() };
        let sim = Arc::clone(&provider.sim);
        let served = serve(&file.checked()?, Some(DEMO_KEY), |url, _| {
            let url = url.to_owned();
            std::thread::spawn(move || {
                let hook = format!("{url}/v1/stripe/webhook");
                let told = serde_json::json!({ "url": hook, "secrets": [DEMO_WEBHOOK_SECRET] });
                drop(sim.control("POST", "webhook", &told));
                fill(&url);
            });
        });
        provider.remember();
        served
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

fn fill(url: &str) {
    let bar = indicatif::ProgressBar::new(1);
    let filled = demo::fill(url, DEMO_KEY, &mut |done, all, what| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        bar.set_message(what.to_owned());
    });
    bar.finish_and_clear();
    let told = filled.and_then(|()| {
        let link = |page| demo::portal_link(url, DEMO_KEY, page);
        Ok((demo::summary(url, DEMO_KEY)?, link("usage")?, link("billing")?))
    });
    match told {
        Ok((summary, usage, billing)) => {
            say(&summary);
            say(&format!("The customer's pages (the links work for a day):\n\n  Settings > Usage    {usage}\n"));
            say(&format!("  Settings > Billing  {billing}\n"));
            say(&format!(
                "Buy credits there: the payment page is a simulator's, in this process. Pay with the test card {} \
                 (any date ahead, any code); 4000 0027 6000 3184 asks for your bank, \
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
        Err(error) => complain(&format!("scrip: the month could not be told: {error}")),
    }
}

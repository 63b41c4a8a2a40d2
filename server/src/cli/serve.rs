//! `scrip serve`: the process, from its first line to its last commit.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::{Outcome, say};
use crate::app::App;
use crate::config::{self, Config, File, Payments};
use crate::http::{self, Door, Site};
use crate::service::{MintOrder, Scope};
use crate::{database, worker};

const EXAMPLES: &str = "\
Examples:
  scrip serve                      on 127.0.0.1:8080, its data in ./scrip-data
  scrip serve --data-dir /var/lib/scrip --listen 0.0.0.0:80
  SCRIP_ADMIN_KEY=$(openssl rand -hex 32) scrip serve --config scrip.toml
  SCRIP_DATABASE_URL=postgres://scrip@db/scrip scrip serve
                                   one of several nodes on a PostgreSQL
  SCRIP_LOG=debug scrip serve      a line for every request on standard error

Configuration (TOML, every line optional):
  listen = \"127.0.0.1:8080\"          data_dir = \"scrip-data\"
  rate_card = \"prices.toml\"          currency = \"eur\"
  hundred_credits_cost = 1            requests_per_second = 500
  low_balance_credits = \"100\"        webhooks_anywhere = false
  renewal_reminder_days = 3
  purchase_url = \"https://example.com/buy?for={account}&missing={shortfall}\"
  [[welcome]]                         one for each grant a new account gets
  credits = \"500\"                    reason = \"Welcome\"
  days = 30
  public_url, [pages], [mail], [seller], [grace]: docs/OPERATIONS.md says what
  they are for";

/// Serve the API until told to stop; what is under way is finished first
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// A TOML file; the environment and this line overrule it
    #[arg(long, env = "SCRIP_CONFIG")]
    config: Option<PathBuf>,
    /// Where the data are, made if missing
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Address and port; port 0 finds a free one
    #[arg(long)]
    listen: Option<String>,
    /// sqlite:PATH, or postgres://USER@HOST/NAME for several nodes; without it and a --data-dir, SCRIP_DATABASE_URL
    #[arg(long, conflicts_with = "data_dir")]
    database_url: Option<String>,
    /// An admin key to have; else one is made at the first start and printed once
    #[arg(long, env = "SCRIP_ADMIN_KEY", hide_env_values = true)]
    admin_key: Option<String>,
    /// 1 for a clock that can be moved
    #[arg(long, env = "SCRIP_SANDBOX")]
    sandbox: Option<String>,
    /// Prices for a store that has none yet
    #[arg(long, env = "SCRIP_RATE_CARD")]
    rate_card: Option<PathBuf>,
    /// Where e-mails are handed in: smtps://user:password@mail.example.com. Without it none are sent
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,
    #[command(flatten)]
    stripe: Stripe,
}

/// The account with Stripe. Without a secret key no payments are taken.
#[derive(Debug, Args)]
struct Stripe {
    /// Secret key of the Stripe account
    #[arg(long, env = "STRIPE_SECRET_KEY", hide_env_values = true)]
    stripe_secret_key: Option<String>,
    /// Publishable key, for pages that show Stripe's own card field
    #[arg(long, env = "STRIPE_PUBLISHABLE_KEY")]
    stripe_publishable_key: Option<String>,
    /// What Stripe signs its webhooks with
    #[arg(long, env = "STRIPE_WEBHOOK_SECRET", hide_env_values = true)]
    stripe_webhook_secret: Option<String>,
    /// Another address than Stripe's own, for tests
    #[arg(long, env = "STRIPE_API_BASE")]
    stripe_api_base: Option<String>,
}

impl Stripe {
    fn payments(self) -> Option<Payments> {
        Some(Payments {
            secret_key: self.stripe_secret_key.filter(|it| !it.is_empty())?,
            url: self.stripe_api_base,
            publishable_key: self.stripe_publishable_key,
            webhook_secret: self.stripe_webhook_secret.filter(|it| !it.is_empty()),
        })
    }
}

impl Serve {
    pub fn run(self) -> Outcome {
        let file = self.config.as_deref().map_or(Ok(File::default()), config::read)?;
        if self.data_dir.is_some() && database::of_environment().is_some() {
            return Err("--data-dir and SCRIP_DATABASE_URL each name a store: say one of them".to_owned().into());
        }
        let is_sandbox = self.sandbox.as_deref().map_or(Ok(file.sandbox), is_on)?;
        let config = File {
            listen: self.listen.or(file.listen),
            database_url: database::url(self.database_url, self.data_dir.as_deref(), file.database_url),
            data_dir: self.data_dir.or(file.data_dir),
            rate_card: self.rate_card.or(file.rate_card),
            sandbox: is_sandbox,
            payments: self.stripe.payments(),
            smtp_url: self.smtp_url,
            ..file
        };
        let admin_key = self.admin_key.filter(|it| !it.is_empty());
        serve(&config.checked()?, admin_key.as_deref(), |url, key| {
            say(&format!("Scrip serves at {url} (reference: {url}/docs)"));
            if let Some(key) = key {
                say(&format!("First API key, shown once: {key}"));
            }
        })
    }
}

/// How long the end of the process may wait for what running servers used to be settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// Opens the world, serves it, and closes it again in the order that loses nothing: connections, then the worker, then
/// what servers used by then, then what waits to be written, then the store.
pub(super) fn serve(config: &Config, admin_key: Option<&str>, announce: impl FnOnce(&str, Option<&str>)) -> Outcome {
    log();
    let store = config.database.open()?;
    let app = App::open(store, config.settings.clone(), &config.first_card).map_err(|it| it.to_string())?;
    let runtime: Runtime = Builder::new_multi_thread().enable_all().build().map_err(|it| it.to_string())?;
    let app = Arc::new(app);
    let site = Arc::new(Site::new(Arc::clone(&app), config.requests_per_second));
    let served = runtime.block_on(async {
        let door = Door::open(site, &config.listen).await;
        let door = door.map_err(|it| {
            let advice = match it.kind() {
                std::io::ErrorKind::InvalidInput => "say an address and a port, such as 127.0.0.1:8080",
                _ => "is it in use?",
            };
            format!("cannot listen on {}: {it}; {advice}", config.listen)
        })?;
        let address = door.address().map_err(|it| it.to_string())?;
        // Whoever is told that it serves may tell it to stop at once, and that is to be done in good order.
        let told = told_to_stop();
        // Not before it can be told: it is told once.
        let first_key = first_key(&app, admin_key)?;
        announce(&format!("http://{address}"), first_key.as_deref());
        // Before anybody is let in: the first who asks anything of an account has its hours settled.
        if let Err(error) = app.tell_new_prices().await {
            tracing::error!(%error, "telling servers of new prices failed, and is tried again");
        }
        let (stop, stopped) = watch::channel(false);
        let worker = tokio::spawn(worker::run(Arc::clone(&app), stopped.clone()));
        let collector = tokio::spawn(worker::collect(Arc::clone(&app), stopped.clone()));
        tokio::spawn(worker::keep_books(Arc::clone(&app), stopped.clone()));
        // Where a clock moves months ahead at a word, what was told a minute ago would be gone before it is seen.
        if !config.settings.is_sandbox {
            tokio::spawn(worker::forget(Arc::clone(&app), stopped.clone()));
        }
        tokio::spawn(worker::refresh(Arc::clone(&app), stopped.clone()));
        tokio::spawn(worker::listen(Arc::clone(&app), stopped.clone()));
        tokio::spawn(async move {
            told.await;
            tracing::info!("told to stop; finishing what is under way");
            let _ = stop.send(true);
        });
        http::serve(door, stopped).await;
        worker.await.map_err(|it| it.to_string())?;
        let settled = tokio::time::timeout(SETTLED_WITHIN, app.settle_servers()).await;
        if !matches!(settled, Ok(Ok(()))) {
            tracing::warn!("not all running servers are settled; they are when the next process begins");
        }
        collector.await.map_err(|it| it.to_string())
    });
    drop(runtime);
    app.close();
    Ok(served?)
}

/// A switch. What is neither word is no guess: a clock that can be moved has no business where customers pay.
fn is_on(switch: &str) -> Result<bool, String> {
    match switch {
        "1" | "true" => Ok(true),
        "" | "0" | "false" => Ok(false),
        other => Err(format!("SCRIP_SANDBOX is 1 or 0, not `{other}`")),
    }
}

/// The first key of a new store, unless the operator brought one.
fn first_key(app: &App, admin_key: Option<&str>) -> Result<Option<String>, String> {
    let said = |it: crate::service::Error| it.to_string();
    if let Some(key) = admin_key {
        if key.len() < 32 || !key.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(
                "SCRIP_ADMIN_KEY must have at least 32 visible characters; `openssl rand -hex 32` makes one".to_owned()
            );
        }
        app.ensure_admin_key(key).map_err(said)?;
        return Ok(None);
    }
    if !app.api_keys().map_err(said)?.is_empty() {
        return Ok(None);
    }
    let order = MintOrder {
        name: "first key".to_owned(),
        scopes: vec![Scope::Admin],
        by: "first start".into(),
        under: None,
        secret: None,
    };
    match app.mint_api_key(order) {
        Ok(minted) => Ok(minted.secret),
        // Another node was faster, and has told the key it made.
        Err(crate::service::Error::Refused(_)) if !app.api_keys().map_err(said)?.is_empty() => Ok(None),
        Err(error) => Err(said(error)),
    }
}

/// Waits until it is told to stop. It is listened for from this call on, not only once it is waited for.
fn told_to_stop() -> impl Future<Output = ()> + Send {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut interrupt)) = signals else { return std::future::pending().await };
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
    }
}

/// JSON lines on standard error, as many as `SCRIP_LOG` asks for.
fn log() {
    let filter = EnvFilter::try_from_env("SCRIP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr);
    // Tests may have set one already.
    let _ = lines.try_init();
}

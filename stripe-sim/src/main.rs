//! `stripe-sim [ADDRESS] [WEBHOOK_URL WEBHOOK_SECRET]`: the simulator as a program of its own.
use std::process::ExitCode;

use serde_json::json;
use stripe_sim::{Options, Sim};

const USAGE: &str = "usage: stripe-sim [ADDRESS] [WEBHOOK_URL WEBHOOK_SECRET], such as stripe-sim 127.0.0.1:12111";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("stripe-sim: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let (address, webhook) = match arguments {
        [] => ("127.0.0.1:12111", None),
        [address] if !address.starts_with('-') => (&**address, None),
        [address, url, secret] => (&**address, Some(json!({"url": url, "secrets": [secret]}))),
        _ => return Err(USAGE.to_owned()),
    };
    let listen = address.parse().map_err(|_| USAGE.to_owned())?;
    let sim = Sim::start(&Options { listen, ..Options::default() }).map_err(|it| format!("{address}: {it}"))?;
    if let Some(webhook) = webhook {
        sim.control("POST", "webhook", &webhook)?;
    }
    println!("a simulator of Stripe is at {}; any key that begins with sk_test_ will do", sim.url());
    sim.wait();
    Ok(())
}

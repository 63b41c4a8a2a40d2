//! What tests and checks need beyond Rust, installed where it is missing by the ordinary package managers.
//!
//! Everything that can live in the repository does, under `.tools/`; only Debian packages go to the machine itself.
//! Nothing is downloaded but packages from the registries those managers are configured for.
//!
//! Invariant: a need that is met costs a look and changes nothing, so any command may ask for it every time.

use std::path::PathBuf;
use std::process::Command;

use crate::process::{Outcome, Problem, cargo, command, output_of, read, root, run, succeeds, tools, write};

/// Its rules of licences and sources follow the version, so the version is exact.
const CARGO_DENY: &str = "0.20.2";

/// Independent counterparts of the measurers, of the e-invoices and of the payment simulator, and a mail server,
/// installed by scripts beside the tests that use them.
const ORACLES: &[&str] = &[
    "meters/tests/oracle/setup.sh",
    "server/tests/oracle/setup.sh",
    "stripe-sim/tests/official/setup.sh",
    "server/tests/mail/setup.sh",
];

/// A Debian package and the command that shows that what it brings is there, whoever installed it.
struct Package {
    name: &'static str,
    shown_by: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    // The store beyond one machine.
    Package {
        name: "postgresql",
        shown_by: &["sh", "-c", "ls /usr/lib/postgresql/*/bin/initdb || ls \"$(pg_config --bindir)/initdb\""],
    },
    // The measurers read repositories at a commit.
    Package { name: "git", shown_by: &["git", "--version"] },
    // The documents' examples call the API as a reader would.
    Package { name: "curl", shown_by: &["curl", "--version"] },
    // Oracles of the measurers: another line counter, and another tokenizer in JavaScript.
    Package { name: "cloc", shown_by: &["cloc", "--version"] },
    Package { name: "nodejs", shown_by: &["node", "--version"] },
    Package { name: "npm", shown_by: &["npm", "--version"] },
    // The pages' stories are told in a browser.
    Package { name: "chromium", shown_by: &["chromium", "--version"] },
    // The mail server of the tests has a certificate of its own.
    Package { name: "openssl", shown_by: &["openssl", "version"] },
    // Schemathesis and some of the oracles live in virtual environments.
    Package { name: "python3-venv", shown_by: &["python3", "-c", "import ensurepip, venv"] },
];

/// What `cargo xtask test` needs.
pub fn for_tests() -> Outcome {
    packages()?;
    oracles()?;
    browser()
}

/// What the stories in `browser/` need beside the browser itself, at the versions of their lock file.
fn browser() -> Outcome {
    let place = root().join("browser");
    let stamp = place.join("node_modules/installed.txt");
    let wanted = read(&place.join("package-lock.json"))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(command("npm").args(npm).current_dir(&place))
        .map_err(|problem| Problem::new(format!("cannot install browser/package-lock.json: {problem}")))?;
    write(&stamp, wanted)
}

/// What any command needs.
pub fn for_everything() -> Outcome {
    for_tests()?;
    schemathesis()?;
    cargo_deny()?;
    eprintln!("everything the tests and checks need is there");
    Ok(())
}

pub fn packages() -> Outcome {
    let is_missing = |package: &&Package| !succeeds(command(package.shown_by[0]).args(&package.shown_by[1..]));
    let missing: Vec<&str> = PACKAGES.iter().filter(is_missing).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    install_debian(&missing).map_err(|problem| {
        Problem::new(format!(
            "needs the Debian packages {names} (or what they bring, by another way), and could not install them: \
             {problem}. As root: apt-get update && apt-get install {names}"
        ))
    })
}

fn install_debian(names: &[&str]) -> Outcome {
    if !succeeds(command("apt-get").arg("--version")) {
        return Err(Problem::new("this system has no apt-get"));
    }
    run(as_root("apt-get").args(["update", "--quiet"]))?;
    run(as_root("apt-get")
        .args(["install", "--yes", "--quiet", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0"])
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// A command with the rights to install; `sudo` is told never to ask, for nobody may be there to answer.
fn as_root(program: &str) -> Command {
    let user = output_of(command("id").arg("--user")).unwrap_or_default();
    if user.trim_ascii() == b"0" {
        return command(program);
    }
    let mut sudo = command("sudo");
    sudo.args(["--non-interactive", program]);
    sudo
}

fn oracles() -> Outcome {
    let mut there = ORACLES.iter().filter(|script| root().join(script).is_file());
    there.try_for_each(|script| run(command("sh").arg(script)))
}

/// Sees to schemathesis and gives the path of its program.
pub fn schemathesis() -> Outcome<PathBuf> {
    packages()?;
    let pins = root().join("xtask/schemathesis/requirements.txt");
    let place = tools().join("schemathesis");
    let program = place.join("bin").join("schemathesis");
    // Written last: a half-made environment does not count.
    let stamp = place.join("installed.txt");
    let wanted = read(&pins)?;
    let is_installed = std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
    if is_installed && program.is_file() {
        return Ok(program);
    }
    run(command("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
    let pip = place.join("bin").join("pip");
    run(command(pip).args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&pins))
        .map_err(|problem| Problem::new(format!("cannot install schemathesis from the Python registry: {problem}")))?;
    write(&stamp, wanted)?;
    Ok(program)
}

/// Sees to cargo-deny and gives the path of its program. One of the same version that is already on the path will do.
pub fn cargo_deny() -> Outcome<PathBuf> {
    let own = tools().join("bin").join("cargo-deny");
    let candidates = [own.clone(), PathBuf::from("cargo-deny")];
    if let Some(program) = candidates.into_iter().find(is_right_cargo_deny) {
        return Ok(program);
    }
    eprintln!("building cargo-deny {CARGO_DENY}, once: this takes a few minutes");
    // Unoptimised it builds in half the time, and a check takes seconds either way. Its default features only serve the
    // check for advisories, which we leave out; see deny.toml.
    run(cargo()
        .args([
            "install",
            "--debug",
            "--quiet",
            "--locked",
            "--no-default-features",
            "cargo-deny",
            "--version",
            CARGO_DENY,
        ])
        .arg("--root")
        .arg(tools())
        .env("CARGO_PROFILE_DEV_DEBUG", "false"))
    .map_err(|problem| Problem::new(format!("cannot install cargo-deny from the Rust registry: {problem}")))?;
    Ok(own)
}

fn is_right_cargo_deny(program: &PathBuf) -> bool {
    let version = command(program).arg("--version").output();
    version.is_ok_and(|output| output.stdout.trim_ascii_end() == format!("cargo-deny {CARGO_DENY}").as_bytes())
}

//! Who may know whom. Cargo keeps the borders of crates as long as the manifests do; the borders of the server's
//! modules are kept here.

use super::source::{Role, Source};
use super::syntax::{Kind, Syntax};
use super::{Rule, Violation};

/// What a crate's `[dependencies]` may name.
struct Crate {
    name: &'static str,
    /// Crates of the workspace; `None` when it may have no dependencies at all.
    may_import: Option<&'static [&'static str]>,
    rule: Rule,
}

const WORKSPACE: &[&str] = &["billing", "meters", "papers", "store", "server", "stripe-sim", "xtask"];

const CRATES: &[Crate] = &[
    Crate {
        name: "billing",
        may_import: None,
        rule: border("The rules are values: what decides about credits depends on nothing that could change under it."),
    },
    Crate {
        name: "meters",
        may_import: Some(&[]),
        rule: border("A measure knows nothing of prices, accounts or memory, so it is the same whoever asks."),
    },
    Crate {
        name: "papers",
        may_import: Some(&[]),
        rule: border(
            "The typesetter prints what it is given: what a number means is not its business. Its build stays a leaf.",
        ),
    },
    Crate {
        name: "store",
        may_import: Some(&["billing"]),
        rule: border(
            "The memory keeps what the rules decided, and knows nothing of how work is measured or asked for.",
        ),
    },
    Crate {
        name: "stripe-sim",
        may_import: Some(&[]),
        rule: border("The simulator is the other side: it must be able to disagree with us."),
    },
    Crate {
        name: "xtask",
        may_import: Some(&[]),
        rule: border("A tool that shared the product's code would agree with its mistakes."),
    },
];

/// Modules of the server that must not know others.
struct Border {
    from: Modules,
    /// Modules of the server or, by their first word, crates.
    never: &'static [&'static str],
    rule: Rule,
}

enum Modules {
    Of(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

const BORDERS: &[Border] = &[
    Border {
        from: Modules::Of(&["http", "web", "worker"]),
        never: &["store"],
        rule: border("Requests, pages and jobs go through a use case in `service`: one way to read and one to write."),
    },
    Border {
        from: Modules::Of(&["service"]),
        never: &["http", "web", "worker"],
        rule: border(
            "A use case does not know who asks: the same one serves requests, pages, jobs and the command line.",
        ),
    },
    Border {
        from: Modules::AllBut(&["stripe", "service", "app", "main"]),
        never: &["stripe"],
        rule: border(
            "Only `service` speaks to Stripe (and `app` and `main` set it up), so there is one road for money.",
        ),
    },
    Border {
        from: Modules::AllBut(&["cli"]),
        never: &["stripe_sim"],
        rule: border("The simulated payment provider is the demonstration's; nobody who serves knows it."),
    },
    Border {
        from: Modules::Of(&["notify"]),
        never: &["service", "http", "web", "worker", "store"],
        rule: border(
            "`notify` sends what it is given where it is told to, and decides nothing, so it needs to know nobody.",
        ),
    },
    Border {
        from: Modules::Of(&["stripe"]),
        never: &["service", "http", "web", "worker", "store"],
        rule: border("`stripe` translates Stripe's words and decides nothing, so it needs to know nobody."),
    },
];

const fn border(reason: &'static str) -> Rule {
    Rule { name: "border", reason }
}

pub fn check(source: &Source, syntax: &Syntax) -> Vec<Violation> {
    if source.role != Role::Product {
        return Vec::new();
    }
    match source.crate_and_rest().0 {
        "billing" => check_billing(source, syntax),
        "server" => check_server(source, syntax),
        _ => Vec::new(),
    }
}

/// `no_std` keeps the world out; this keeps it from being let in again.
fn check_billing(source: &Source, syntax: &Syntax) -> Vec<Violation> {
    let rule = border("The rules cannot touch a clock, a disk, a network or chance: the compiler says no.");
    let mut violations = Vec::new();
    if source.path == "billing/src/lib.rs" && !source.text.contains("#![no_std]") {
        violations.push(Violation::new(source, 1, &rule, "`#![no_std]` is gone"));
    }
    for fact in syntax.facts.iter().filter(|fact| !fact.in_test) {
        if matches!(&fact.kind, Kind::Path(path) if path[0] == "std") {
            violations.push(Violation::new(
                source,
                fact.line,
                &rule,
                "uses `std`; only `core` and `alloc` are allowed",
            ));
        }
    }
    violations
}

fn check_server(source: &Source, syntax: &Syntax) -> Vec<Violation> {
    let module = source.module();
    let room = module.first().copied().unwrap_or("main");
    let mut violations = Vec::new();
    for fact in syntax.facts.iter().filter(|fact| !fact.in_test) {
        let Kind::Path(path) = &fact.kind else { continue };
        let Some(known) = first_known(&module, path) else { continue };
        for border in BORDERS {
            if border.holds_for(room) && border.never.contains(&known) && known != room {
                let what = format!("`{room}` must not know `{known}`, and uses `{}`", path.join("::"));
                violations.push(Violation::new(source, fact.line, &border.rule, what));
            }
        }
    }
    violations
}

impl Border {
    fn holds_for(&self, room: &str) -> bool {
        match self.from {
            Modules::Of(rooms) => rooms.contains(&room),
            Modules::AllBut(rooms) => !rooms.contains(&room),
        }
    }
}

/// The crate, or the module at the server's top, that a path leads to from the module it stands in.
fn first_known<'a>(module: &[&'a str], path: &'a [String]) -> Option<&'a str> {
    let first = path.first()?.as_str();
    match first {
        "crate" => path.get(1).map(String::as_str),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            if module.len() == up { path.get(up).map(String::as_str) } else { module.first().copied() }
        }
        _ => WORKSPACE.contains(&first).then_some(first),
    }
}

pub fn check_manifests(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for room in CRATES {
        let manifest = format!("{}/Cargo.toml", room.name);
        for source in sources.iter().filter(|source| source.path == manifest) {
            for (line, name) in dependencies(&source.text) {
                let is_allowed = match room.may_import {
                    None => false,
                    Some(allowed) => !WORKSPACE.contains(&name) || allowed.contains(&name),
                };
                if !is_allowed {
                    let what = format!("`{}` must not depend on `{name}`", room.name);
                    violations.push(Violation::new(source, line, &room.rule, what));
                }
            }
        }
    }
    violations
}

/// The lines and names of what is built into a crate: `[dependencies]`, also those of one target or of a build script.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(heading) = line.strip_prefix('[') {
            let heading = heading.trim_end_matches(']');
            is_inside = heading.ends_with("dependencies") && !heading.ends_with("dev-dependencies");
            if let Some((_, name)) = heading.split_once("dependencies.") {
                found.push((index + 1, name));
            }
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        if is_inside && !name.is_empty() && !name.starts_with('#') {
            found.push((index + 1, name.trim_matches('"')));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str, expected: &[usize]) {
        let source = Source::new(path, text.to_owned());
        let syntax = source.syntax.as_ref().unwrap().as_ref().unwrap();
        let lines: Vec<usize> = check(&source, syntax).iter().map(|violation| violation.line).collect();
        assert_eq!(lines, expected, "in {path}:\n{text}");
    }

    #[test]
    fn modules() {
        check_one("server/src/http/charges.rs", "use store::Store;", &[1]);
        check_one("server/src/http/charges.rs", "use crate::service::charge;\nuse billing::Refusal;", &[]);
        check_one("server/src/http/charges.rs", "fn f() {\n    store::open()\n}", &[2]);
        check_one("server/src/http/charges.rs", "fn f(store: u8) -> u8 { store }", &[]);
        check_one("server/src/web/mod.rs", "use {std::fmt, store::{Store, Change}};", &[1, 1]);
        check_one("server/src/service/charge.rs", "use store::Store;\nuse crate::stripe::Client;", &[]);
        check_one("server/src/service/charge.rs", "use super::super::http::Answer;", &[1]);
        check_one("server/src/service/charge.rs", "use super::quote::price;", &[]);
        check_one("server/src/service.rs", "use super::web::Page;", &[1]);
        check_one("server/src/notify.rs", "use crate::stripe::Client;", &[1]);
        check_one("server/src/main.rs", "mod stripe;\nuse stripe::Client;", &[]);
        check_one("server/src/stripe/mod.rs", "use crate::service::payment;\nuse crate::stripe::card;", &[1]);
        check_one("server/src/http/mod.rs", "#[cfg(test)]\nmod tests { use store::Store; }", &[]);
        check_one("server/tests/it/main.rs", "use store::Store;", &[]);
    }

    #[test]
    fn rules_without_a_world() {
        check_one("billing/src/money.rs", "use std::time::Instant;", &[1]);
        check_one("billing/src/money.rs", "use core::fmt;\nuse alloc::vec::Vec;", &[]);
        check_one("billing/src/lib.rs", "#![no_std]\n#[cfg(test)]\nextern crate std;", &[]);
        check_one("billing/src/lib.rs", "#![no_std]\nextern crate std;", &[2]);
        check_one("billing/src/lib.rs", "extern crate alloc;", &[1]);
    }

    #[test]
    fn manifests() {
        fn check(path: &str, text: &str, expected: &[usize]) {
            let lines: Vec<usize> =
                check_manifests(&[Source::new(path, text.to_owned())]).iter().map(|violation| violation.line).collect();
            assert_eq!(lines, expected, "in {path}:\n{text}");
        }
        check("billing/Cargo.toml", "[dependencies]\n# none\n\n[dev-dependencies]\nproptest = \"1\"", &[]);
        check("billing/Cargo.toml", "[dependencies]\nserde = \"1\"", &[2]);
        check("billing/Cargo.toml", "[build-dependencies.cc]\nversion = \"1\"", &[1]);
        check("store/Cargo.toml", "[dependencies]\nbilling.workspace = true\nmeters.workspace = true", &[3]);
        check(
            "meters/Cargo.toml",
            "[dependencies]\nserde = { version = \"1\" }\nstore = { path = \"../store\" }",
            &[3],
        );
        check("server/Cargo.toml", "[dependencies]\nstore.workspace = true", &[]);
    }
}

//! Measuring a repository, and then what is new in it.
use serde_json::{Value, json};

use crate::served::Served;

/// A repository that goes on: who paid for a state of it pays for what is new since, and for each state once.
#[test]
fn what_is_new_in_a_repository_is_measured_charged_and_pays_for_the_whole() {
    let server = Served::start();
    server.account("ada");
    let file = |letter: &str, lines: usize| format!("let {letter} = 1;\n").repeat(lines);
    let (one, other) = (file("a", 12_000), file("b", 8_000));
    let first = zip_of(&[("a.rs", &one), ("b.rs", &other)]);
    let measured = server.send_bytes("/v1/measure/repository?snapshot=true", "", "application/zip", &first).json();
    let changed = file("c", 1_500);
    let second = zip_of(&[("a.rs", &one), ("moved/b.rs", &other), ("c.rs", &changed)]);
    let form = form_of(&[("archive", &second), ("base", measured["snapshot"].to_string().as_bytes())]);
    let since = server.send_bytes("/v1/measure/repository", "", "multipart/form-data; boundary=x", &form).json();
    assert_eq!(since["quantities"], json!({"code_lines": 1_500, "files": 1}));
    assert_eq!(since["dimensions"]["since"], measured["dimensions"]["tree"]);
    assert_eq!(since["evidence"]["whole"]["code_lines"], 21_500);
    let whole = server.send_bytes("/v1/measure/repository", "", "application/zip", &second).json();
    let charge = |account: &str, key: &str, what: &Value| {
        let charge = json!({"account": account, "meter": "code_analysis", "quantities": what["quantities"],
            "dimensions": what["dimensions"], "idempotency_key": key});
        let charged = server.charge(&charge);
        assert_eq!(charged.status, 201, "{}", charged.text);
        charged.json()["credits"].as_str().unwrap().to_owned()
    };
    assert_eq!(charge("ada", "first", &measured), "23", "5 for each, and 10 and 8 for 20 000 lines");
    let quote = json!({"account": "ada", "meter": "code_analysis", "quantities": since["quantities"],
        "dimensions": since["dimensions"]});
    assert_eq!(server.post("/v1/quotes", "", &quote).json()["credits"], "7");
    assert_eq!(charge("ada", "since", &since), "7", "5, and two thousands begun");
    assert_eq!(charge("ada", "since_again", &since), "0");
    assert_eq!(charge("ada", "whole", &whole), "0", "the whole is paid for: what was before, and what is new");
    assert_eq!(charge("ada", "first_again", &measured), "0");
    // Who never paid for the first state has paid for the difference alone.
    server.account("bob");
    assert_eq!(charge("bob", "since", &since), "7");
    assert_eq!(charge("bob", "since_again", &since), "0", "the same difference");
    assert_eq!(charge("bob", "whole", &whole), "24.6", "and the whole is not free for it");
    assert_eq!(charge("bob", "first", &measured), "23");
    // What was paid for whole holds what is new in it.
    server.account("cid");
    assert_eq!(charge("cid", "whole", &whole), "24.6");
    assert_eq!(charge("cid", "since", &since), "0");
    // One request may bring both.
    server.account("dan");
    let line = |key: &str, what: &Value| {
        json!({"account": "dan", "meter": "code_analysis", "quantities": what["quantities"],
            "dimensions": what["dimensions"], "idempotency_key": key})
    };
    let batch = json!([line("1", &measured), line("2", &since), line("3", &whole)]);
    let results = server.post("/v1/charges/batch", "", &batch).json()["results"].clone();
    let credits: Vec<&str> = (0..3).map(|it| results[it]["charge"]["credits"].as_str().unwrap()).collect();
    assert_eq!(credits, ["23", "7", "0"]);
}

#[test]
fn a_base_that_is_none_is_refused_by_name() {
    let server = Served::start();
    let archive = zip_of(&[("a.rs", "let a = 1;\n")]);
    let measured = server.send_bytes("/v1/measure/repository?snapshot=true", "", "application/zip", &archive).json();
    let mut forged = measured["snapshot"].clone();
    forged["files"]["b.rs"] = forged["files"]["a.rs"].clone();
    let forged = forged.to_string();
    let refused = |fields: &[(&str, &[u8])]| {
        let form = form_of(fields);
        server.send_bytes("/v1/measure/repository", "", "multipart/form-data; boundary=x", &form).problem()
    };
    let archive = ("archive", &*archive);
    for (fields, code, field) in [
        (&[archive, ("base", b"{}")][..], "invalid_snapshot", "base"),
        (&[archive, ("base", forged.as_bytes())], "invalid_snapshot", "base"),
        (&[("base", b"{}")], "invalid_request", "archive"),
        (&[archive, archive], "invalid_request", "archive"),
        (&[archive, ("since", b"{}")], "invalid_request", "since"),
        (&[("archive", b"no archive")], "invalid_archive", ""),
    ] {
        assert_eq!(refused(fields), (422, code.into(), field.into()));
    }
    let broken = server.send("/v1/measure/repository", "", "multipart/form-data; boundary=x", "--x\r\nno end");
    assert_eq!(broken.problem().0, 400, "{}", broken.text);
}

/// A zip of files.
fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A form whose boundary is `x`.
fn form_of(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in fields {
        form.extend(format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").into_bytes());
        form.extend(*content);
        form.extend(b"\r\n");
    }
    form.extend(b"--x--\r\n");
    form
}

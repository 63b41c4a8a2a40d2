//! Independent oracles: another tokenizer, another line counter, Terraform itself; on real text, real repositories and
//! real plans.
//!
//! `tests/oracle/SETUP.md` says what is installed where. Whatever is missing fails the test; nothing is skipped.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use meters::chat::Tokenizer;
use meters::repository::{Options, measure_archive, measure_directory, measure_git, quietly};
use serde_json::Value;

const MISSING: &str = "an oracle is missing: run `cargo xtask test`, which installs it";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn tools(path: &str) -> PathBuf {
    let path = workspace().join(".tools/meters-oracle").join(path);
    assert!(path.exists(), "{} is not there; {MISSING}", path.display());
    path
}

/// Standard output of a program that must succeed.
fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; {MISSING}"));
    let mut stdin = child.stdin.take().unwrap();
    let done = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(done.status.success(), "{command:?} failed");
    done.stdout
}

/// Folders of the sources that Cargo downloaded for this workspace, by package name.
fn vendored() -> BTreeMap<String, PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--format-version", "1"]).current_dir(workspace());
    let metadata: Value = serde_json::from_slice(&output(&mut cargo, b"")).unwrap();
    let package = |package: &Value| {
        let folder = Path::new(package["manifest_path"].as_str()?).parent()?.to_owned();
        package["source"].as_str().map(|_| (package["name"].as_str().unwrap().to_owned(), folder))
    };
    metadata["packages"].as_array().unwrap().iter().filter_map(package).collect()
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn tokens_are_counted_as_another_tokenizer_counts_them() {
    let names = ["o200k_base", "cl100k_base", "p50k_base", "r50k_base"];
    let vendored = vendored();
    let mut files = Vec::new();
    for name in ["serde_json", "tokei", "regex-syntax", "jiff", "tiktoken"] {
        files_below(&vendored[name], &mut files);
    }
    let small = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|seen| seen.len() < 100_000);
    let mut texts: Vec<String> = files
        .iter()
        .filter(|path| small(path))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .take(300)
        .collect();
    texts.extend(
        [
            "",
            " ",
            "naïve café — “quotes”… 12345678 ½ ²",
            "日本語の文章です。句読点、記号！",
            "안녕하세요 세계",
            "🙂👨‍👩‍👧 flags 🇱🇹",
            "ß ſ ŉ İ",
            "مرحبا بالعالم",
            "हिन्दी में पाठ",
            "<|endoftext|><|im_start|>",
            "\r\n\r\n \t \u{a0}\u{3000}x",
            "don't WE'LL I'D",
            "a\u{301}e\u{301}",
        ]
        .map(str::to_owned),
    );
    let bytes: usize = texts.iter().map(String::len).sum();
    assert!(200 < texts.len() && 1_000_000 < bytes, "{} texts of {bytes} bytes are too few to compare", texts.len());
    let mut node = Command::new("node");
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/tokens.cjs"))
        .arg(tools("node_modules"))
        .args(names);
    let counts: Vec<Vec<u64>> =
        serde_json::from_slice(&output(&mut node, serde_json::to_string(&texts).unwrap().as_bytes())).unwrap();
    for (index, name) in names.iter().enumerate() {
        let tokenizer = Tokenizer::named(name).unwrap();
        for (text, counts) in texts.iter().zip(&counts) {
            assert_eq!(
                tokenizer.count(text),
                counts[index],
                "{name}: {:?}…",
                text.chars().take(200).collect::<String>()
            );
        }
    }
}

/// What `cloc` counts as code below a folder, by path.
fn cloc(folder: &Path) -> BTreeMap<String, u64> {
    let mut cloc = Command::new("cloc");
    cloc.args(["--json", "--by-file", "--quiet", "--skip-uniqueness", "--timeout", "0", "."]).current_dir(folder);
    let found: BTreeMap<String, Value> = serde_json::from_slice(&output(&mut cloc, b"")).unwrap();
    let file = |(path, file): (String, Value)| Some((path.strip_prefix("./")?.to_owned(), file["code"].as_u64()?));
    found.into_iter().filter_map(file).collect()
}

/// Lines that are wholly or partly inside triple quotes.
fn triple_quoted_lines(text: &str) -> u64 {
    let inside =
        |quotes: &str| text.split(quotes).skip(1).step_by(2).map(|part| part.lines().count() as u64 + 1).sum::<u64>();
    inside("\"\"\"") + inside("'''")
}

/// Why two counters may differ over a file. Each reason is checked on the file itself.
fn explanation(language: &str, text: &str, ours: u64, theirs: u64) -> Option<&'static str> {
    if theirs < ours && ours <= (text.len() as u64).div_ceil(120) {
        return Some("long lines count as several");
    }
    if text.starts_with("#!") && ours + 1 == theirs {
        return Some("`#!` is a comment here and code there");
    }
    match language {
        // There, whatever follows `/*` or `//` is comment, also inside a string.
        "Rust" | "TypeScript" | "JavaScript"
            if text
                .lines()
                .any(|line| line.contains(['"', '`', '\'']) && (line.contains("/*") || line.contains("//"))) =>
        {
            Some("a string holds a comment mark")
        }
        "TOML" if text.contains("\"\"\"") || text.contains("'''") => Some("a string of several lines holds `#`"),
        // A triple-quoted string is documentation here where it stands alone, and there where a pattern finds it.
        "Python" if ours.abs_diff(theirs) <= triple_quoted_lines(text) => Some("triple-quoted strings"),
        // Its `#` is a preprocessor line here and a comment there; `@` begins a comment only on ARM.
        "GNU Style Assembly" => Some("the comment mark depends on the processor"),
        _ => None,
    }
}

/// Compares file by file; returns how many were compared, and how many of them needed an explanation, by language.
fn compare(folder: &Path, found: &mut BTreeMap<String, (u64, u64)>) {
    let ours =
        measure_directory(folder, &Options { total_bytes_max: 4 << 30, ..Options::default() }, &quietly).unwrap();
    let theirs = cloc(folder);
    for (path, file) in &ours.snapshot.files {
        let Some(code) = theirs.get(path) else { continue };
        let (compared, explained) = found.entry(file.language.clone()).or_default();
        *compared += 1;
        if *code == file.lines {
            continue;
        }
        *explained += 1;
        let text = String::from_utf8_lossy(&std::fs::read(folder.join(path)).unwrap()).into_owned();
        let why = explanation(&file.language, &text, file.lines, *code);
        assert!(why.is_some(), "{}: {path} has {} lines here and {code} there", file.language, file.lines);
    }
}

#[test]
fn lines_are_counted_as_another_counter_counts_them() {
    let vendored = vendored();
    let mut found = BTreeMap::new();
    for name in ["serde_json", "regex-syntax", "tokei", "jiff", "tiktoken", "zip", "libsqlite3-sys"] {
        compare(
            vendored.get(name).unwrap_or_else(|| panic!("{name} is no dependency of the workspace any more")),
            &mut found,
        );
    }
    compare(&tools("node_modules/gpt-tokenizer/src"), &mut found);
    let python = std::fs::read_dir(tools("venv/lib")).unwrap().next().unwrap().unwrap().path();
    compare(&python.join("site-packages/pip/_internal"), &mut found);
    // Languages whose differences must stay rare: the most files, in a hundred, that may need an explanation.
    for (language, percent) in [("Rust", 1), ("C", 0), ("C Header", 0), ("Python", 20)] {
        let (compared, explained) = found[language];
        assert!(explained * 100 <= compared * percent, "{language}: {explained} of {compared} differ");
    }
    let compared: u64 = found.values().map(|(compared, _)| compared).sum();
    assert!(300 < compared, "only {compared} files were compared: {found:?}");
}

#[test]
fn this_repository_measures_alike_as_commit_archive_and_folder() {
    let archive = |format: &str| {
        let mut git = Command::new("git");
        git.current_dir(workspace()).args(["archive", "--prefix=scrip/", &format!("--format={format}"), "HEAD"]);
        output(&mut git, b"")
    };
    let options = Options::default();
    let commit = measure_git(&workspace(), "HEAD", &options, &quietly).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    tar::Archive::new(archive("tar").as_slice()).unpack(folder.path()).unwrap();
    let unpacked = measure_directory(&folder.path().join("scrip"), &options, &quietly).unwrap();
    assert_eq!(unpacked.snapshot, commit.snapshot);
    for format in ["tar", "tar.gz", "zip"] {
        let packed = measure_archive(&archive(format), &options, &quietly).unwrap();
        assert_eq!(packed, unpacked, "{format}");
    }
    assert!(3000 < commit.measurement.quantities["code_lines"]);
}

/// A real plan. Without a network only the built-in resource type can be planned, which weighs nothing; so the
/// resources are given the types that their names stand for.
fn real_plan(stage: &str) -> String {
    let mut plan = std::fs::read_to_string(tools(&format!("plans/{stage}.json"))).unwrap();
    for (name, kind) in [
        ("web", "aws_instance"),
        ("db", "aws_db_instance"),
        ("bucket", "aws_s3_bucket"),
        ("archive", "aws_s3_bucket"),
        ("imported", "aws_instance"),
        ("subnet", "aws_subnet"),
        ("vpc", "aws_vpc"),
    ] {
        plan = plan.replace(&format!("terraform_data.{name}"), &format!("{kind}.{name}"));
        plan = plan.replace(
            &format!("\"type\": \"terraform_data\", \"name\": \"{name}\""),
            &format!("\"type\": \"{kind}\", \"name\": \"{name}\""),
        );
    }
    plan
}

#[test]
fn real_plans_score_as_by_hand() {
    let scored = |plan: &str| {
        let found = meters::plan::measure(plan.as_bytes()).unwrap();
        (
            found.evidence["score"].as_str().unwrap().to_owned(),
            found.dimensions["band"].clone(),
            found.quantities["resources"],
        )
    };
    // web 2 × 4, db 2 × 4, subnet 2, vpc 2; web→net, web→db, db→net, subnet→vpc: 4 × 0.5.
    assert_eq!(scored(&real_plan("before")), ("22.00".to_owned(), "M".to_owned(), 6));
    // bucket 2, db replaced 2 × 6, web updated 2.4, web deleted 1.2; web→net, web→db, db→net: 3 × 0.5.
    assert_eq!(scored(&real_plan("after")), ("19.10".to_owned(), "M".to_owned(), 5));
    // bucket moved 0.4, another imported 0.8, db forgotten 2 × 0.8, web deleted 1.2; its check is no resource.
    assert_eq!(scored(&real_plan("moved")), ("4.00".to_owned(), "S".to_owned(), 5));
    // As Terraform wrote them: its built-in type is not infrastructure.
    let unchanged = std::fs::read_to_string(tools("plans/before.json")).unwrap();
    assert_eq!(scored(&unchanged), ("0.00".to_owned(), "S".to_owned(), 0));
}

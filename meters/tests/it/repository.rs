//! Repositories: the same files in three wrappings, and what does and does not count.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use meters::repository::{Counted, Options, Snapshot, measure_archive, measure_directory, measure_git, quietly};
use tempfile::TempDir;

pub type Files<'f> = &'f [(&'f str, &'f [u8])];

pub fn directory(files: Files<'_>) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

pub fn measured(files: Files<'_>) -> Counted {
    measure_directory(directory(files).path(), &Options::default(), &quietly).unwrap()
}

pub fn tar_of(files: Files<'_>, top: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("{top}{path}"), *content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zip_of(files: Files<'_>, top: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, content) in files {
        writer.start_file(format!("{top}{path}"), zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn git(folder: &Path, arguments: &[&str]) {
    let done = Command::new("git")
        .current_dir(folder)
        .args([
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "core.autocrlf=false",
        ])
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

pub fn committed(files: Files<'_>) -> TempDir {
    let folder = directory(files);
    git(folder.path(), &["init", "-q", "-b", "main"]);
    git(folder.path(), &["add", "-f", "."]);
    git(folder.path(), &["commit", "-q", "-m", "All"]);
    folder
}

/// Reason for exclusion by path; counted files say how many lines.
fn fates(counted: &Counted) -> BTreeMap<String, String> {
    let mut fates: BTreeMap<String, String> =
        counted.snapshot.files.iter().map(|(path, file)| (path.clone(), file.lines.to_string())).collect();
    for (reason, found) in counted.measurement.evidence["excluded"].as_object().unwrap() {
        for path in found["examples"].as_array().unwrap() {
            fates.insert(path.as_str().unwrap().to_owned(), reason.clone());
        }
    }
    fates
}

/// Files, and each one's fate: the lines it counts for, or the reason why it does not.
#[track_caller]
fn check_fates(table: &[(&str, &[u8], &str)]) {
    let mut files: Vec<(&str, &[u8])> = table.iter().map(|(path, content, _)| (*path, *content)).collect();
    // A file at the top keeps the paths of the snapshot as they are.
    files.push(("top.rs", b""));
    let fates = fates(&measured(&files));
    for (path, _, fate) in table {
        assert_eq!(fates.get(*path).map(String::as_str), Some(*fate), "{path}");
    }
}

const SOME: Files<'static> = &[
    ("src/main.rs", b"// hello\nfn main() {\n}\n"),
    ("src/lib/mod.py", b"# x\nimport os\n\nprint(os)\n"),
    ("Dockerfile", b"FROM scratch\n# c\nCOPY a b\n"),
    ("vendor/x.go", b"package x\n"),
    (".gitattributes", b"gen/* linguist-generated\nvendor/kept.go -linguist-vendored\n"),
    ("vendor/kept.go", b"package kept\n"),
    ("gen/a.rs", b"fn a() {}\n"),
    ("with space/é☃.js", b"let a = 1;\n"),
];

#[test]
fn a_tree_measures_alike_however_it_is_wrapped() {
    let folder = committed(SOME);
    let options = Options::default();
    let expected = measure_directory(folder.path(), &options, &quietly).unwrap();
    assert_eq!(expected.measurement.quantities["code_lines"], 2 + 2 + 2 + 1 + 1);
    let mut backwards = SOME.to_vec();
    backwards.reverse();
    let mut by_git = measure_git(folder.path(), "main", &options, &quietly).unwrap();
    assert_eq!(by_git.measurement.evidence["commit"].as_str().unwrap().len(), 40);
    by_git.measurement.evidence.as_object_mut().unwrap().remove("commit");
    let archive = |bytes: &[u8]| measure_archive(bytes, &options, &quietly).unwrap();
    for (name, found) in [
        ("git", by_git),
        ("tar", archive(&tar_of(SOME, ""))),
        ("tar, backwards, in a folder", archive(&tar_of(&backwards, "acme-site-1a2b3c/"))),
        ("tar with ./", archive(&tar_of(SOME, "./"))),
        ("tar.gz", archive(&gzip(&tar_of(SOME, "top/")))),
        ("zip", archive(&zip_of(SOME, ""))),
        ("zip, backwards, in a folder", archive(&zip_of(&backwards, "x-main/"))),
        ("zip with ./", archive(&zip_of(&[&[("", b"".as_slice())], SOME].concat(), "./"))),
    ] {
        assert_eq!(found, expected, "{name}");
    }
}

/// Beside the folder stands what it knows of each file, which is no text.
#[test]
fn what_macos_packs_measures_alike() {
    let files: Files<'_> = &[("src/main.rs", b"fn main() {}\n"), ("docs/conf.py", b"x = 1\n")];
    let mut packed: Vec<(String, &[u8])> = Vec::new();
    for (path, content) in files {
        packed.push((format!("site/{path}"), content));
        packed.push((format!("__MACOSX/site/{}", path.replace('/', "/._")), b"\0\x05\x16\x07\0\x02\0\0"));
    }
    let packed: Vec<(&str, &[u8])> = packed.iter().map(|(path, content)| (path.as_str(), *content)).collect();
    let found = measure_archive(&zip_of(&packed, ""), &Options::default(), &quietly).unwrap();
    let fates = fates(&found);
    assert_eq!(fates["main.rs"], "1");
    assert_eq!(fates["docs/conf.py"], "documentation");
    assert_eq!(fates["__MACOSX/site/src/._main.rs"], "binary");
    assert_eq!(found.snapshot, measured(files).snapshot);
}

/// Two files are two, though their names would be one without the folder around one of them.
#[test]
fn a_folder_named_as_macos_names_its_own_hides_nothing() {
    let files: Files<'_> = &[("site/__MACOSX/a.rs", b"fn a() {}\n"), ("__MACOSX/a.rs", b"fn b() {}\n")];
    for packed in [zip_of(files, ""), tar_of(files, "")] {
        let found = measure_archive(&packed, &Options::default(), &quietly).unwrap();
        assert_eq!(found.snapshot, measured(files).snapshot);
        assert_eq!(found.snapshot.files.len(), 2);
    }
}

#[test]
fn what_git_packs_itself_measures_alike() {
    let folder = committed(SOME);
    let options = Options::default();
    let expected = measure_directory(folder.path(), &options, &quietly).unwrap();
    for format in ["tar", "tar.gz", "zip"] {
        let packed = Command::new("git")
            .current_dir(folder.path())
            .args(["archive", "--prefix=acme-1/", &format!("--format={format}"), "HEAD"])
            .output()
            .unwrap();
        let found = measure_archive(&packed.stdout, &options, &quietly).unwrap();
        assert_eq!(found, expected, "{format}");
    }
}

#[test]
fn the_hash_is_of_what_counts() {
    let tree = |files: Files<'_>| measured(files).snapshot.tree;
    let base = tree(&[("a.rs", b"fn a() {}\n"), ("b.rs", b"fn b() {}\n")]);
    assert_eq!(tree(&[("a.rs", b"fn a() {}\n"), ("b.rs", b"fn b() {}\n"), ("README.md", b"hi")]), base);
    assert_eq!(tree(&[("x/a.rs", b"fn a() {}\n"), ("x/b.rs", b"fn b() {}\n")]), base);
    assert_ne!(tree(&[("a.rs", b"fn b() {}\n"), ("b.rs", b"fn a() {}\n")]), base);
    assert_ne!(tree(&[("a.rs", b"fn a() {}\r\n"), ("b.rs", b"fn b() {}\n")]), base);
    assert_ne!(tree(&[("a.rs", b"fn a() {}\n")]), base);
}

#[test]
fn only_new_content_counts_on_a_second_run() {
    let before = measured(&[("a.rs", b"fn a() {}\n"), ("b.rs", b"fn b() {}\n")]);
    let after = measured(&[("moved/a.rs", b"fn a() {}\n"), ("b.rs", b"fn b() {\n}\n"), ("c.rs", b"fn c() {}\n")]);
    let changed = after.changed_since(&before.snapshot);
    assert_eq!((changed.quantities["code_lines"], changed.quantities["files"]), (3, 2));
    assert_eq!(changed.dimensions["tree"], after.snapshot.tree);
    assert_eq!(after.changed_since(&after.snapshot).quantities["code_lines"], 0);
    let kept = before.snapshot.to_json().unwrap();
    assert_eq!(Snapshot::from_json(kept.as_bytes()).unwrap(), before.snapshot);
}

/// A snapshot that says it is of another tree than it is would make what is new less than it is.
#[test]
fn a_snapshot_is_of_the_tree_it_names() {
    let before = measured(&[("a.rs", b"fn a() {}\n"), ("b.rs", b"fn b() {}\n")]).snapshot;
    let code = |text: &str| Snapshot::from_json(text.as_bytes()).unwrap_err().code();
    let other = measured(&[("a.rs", b"fn a() {}\n")]).snapshot;
    let forged = Snapshot { tree: other.tree, ..before.clone() };
    let mut grown = before.clone();
    let file = grown.files["a.rs"].clone();
    grown.files.insert("c.rs".to_owned(), meters::repository::FileCount { sha256: "0".repeat(64), ..file });
    for text in [forged.to_json().unwrap(), grown.to_json().unwrap(), "{}".to_owned(), String::new()] {
        assert_eq!(code(&text), "invalid_snapshot", "{text}");
    }
}

#[test]
fn code_is_neither_blank_nor_comment() {
    let table: &[(&str, &str, u64)] = &[
        ("a.rs", "/* a\n/* nested */ still */\nfn a() {} // c\n\n \t\n", 1),
        ("b.rs", "let s = \"// no\n// still text\";\nlet c = '\"'; // c\n// c\nlet p = \"src/**/*.rs\";\n", 4),
        ("c.rs", "let r = r\"C:\\\";\n// c\nlet q = r#\"a \" /* b\"#;\n// c\n", 2),
        (
            "a.py",
            "\"\"\"Doc\nstring.\"\"\"\nx = \"\"\"text\n# text\n\"\"\"\n# c\ndef f():\n    '''Doc.'''\n    return 1\n",
            5,
        ),
        ("a.js", "const a = `// no\n/* no */`;\n// c\n/* c */ b();\nconst r = /\"/;\n// c\n", 4),
        ("a.c", "#include <a.h>\n/* c\n * c\n */\nint a; /* c */\nchar q = '\"'; // c\n/* c */\n", 3),
        ("a.go", "package a\n// c\nvar s = `/*\n// text\n*/`\n", 4),
        ("a.sh", "#!/bin/sh\n# c\necho \"# no\" # c\n", 1),
        ("a.sql", "-- c\nselect 'a -- no'\n/* c */\nfrom b;\n", 2),
        ("a.rb", "=begin\nc\n=end\nx = 1\ny = x ==begin\n", 2),
        ("a.html", "<!-- c\nc -->\n<p>a</p>\n<script>\n// c\nlet a;\n</script>\n", 4),
        ("a.yaml", "# c\na: 'b' # c\n\nc: don't\n# c\n", 2),
        ("a.lua", "--[[ c\nc ]]\nx = 1 -- c\n-- c\n", 1),
        ("a.java", "/** c */\nclass A {\n  String s = \"\"\"\n    /* text\n    \"\"\";\n}\n", 5),
        ("a.bat", "REM c\n@echo off\nremove x\n", 2),
        ("a.css", "/* c */\na { color: red }\n", 1),
        ("crlf.c", "int a;\r\n\r\n// c\r\nint b;\r\n", 2),
        ("nonl.c", "int a;", 1),
        ("a.tf", "# c\nresource \"a\" \"b\" {\n  x = \"/* no */\"\n}\n", 3),
    ];
    for (path, text, lines) in table {
        let counted = measured(&[(path, text.as_bytes())]);
        assert_eq!(counted.measurement.quantities["code_lines"], *lines, "{path}: {text}");
    }
}

#[test]
fn minified_code_is_not_cheaper() {
    let minified = format!("/* {} */\nlet a={};\n", "c".repeat(5000), "1+".repeat(600) + "1");
    let counted = measured(&[("app.js", minified.as_bytes())]);
    // `let`, `a=`, 1201 characters and `;`: 1207 bytes that are not white space; the comment's bytes are not code.
    assert_eq!(counted.measurement.quantities["code_lines"], 1207_u64.div_ceil(120));
}

#[test]
fn what_others_or_programs_wrote_is_told_as_linguist_does() {
    check_fates(&[
        ("a/cache/b.js", b"x", "vendored"),
        ("inst/extdata/e.r", b"x", "vendored"),
        ("types/api.d.ts", b"declare const a: 1;\n", "vendored"),
        ("packages/Newtonsoft.Json.13.0.1/a.cs", b"x", "vendored"),
        ("gen.js", b"let a = 1;\n//# sourceMappingURL=gen.js.map\n", "generated"),
        ("thrift.py", b"#\n# Autogenerated by Thrift Compiler (0.9)\n#\nx = 1\n", "generated"),
        ("Parser.java", b"// This is a generated file. Not intended for manual editing.\nclass P {}\n", "generated"),
        ("lexer.js", b"/* parser generated by jison 0.4 */\nlet a;\n", "generated"),
        ("packages/web/a.ts", b"let a = 1;\n", "1"),
        ("src/controls.js", b"let a = 1;\n", "1"),
    ]);
    // Names count as they are written: of namespaces, and of folders that only look like what is kept elsewhere.
    check_fates(&[
        ("src/Cache/Store.php", b"<?php\n", "1"),
        ("pkg/pods/list.go", b"package pods\n", "1"),
        ("src/dependencies/graph.rs", b"x\n", "1"),
        ("dependencies/x.rs", b"x\n", "vendored"),
        ("src/__tests__/fixtures/a.ts", b"let a;\n", "1"),
        ("web/tests/fixtures/a.ts", b"let a;\n", "vendored"),
        ("lib/samples/a.rs", b"x\n", "1"),
        ("samples/a.rs", b"x\n", "documentation"),
        ("lib/my3rd-party/a.c", b"int a;\n", "vendored"),
        ("ThirdParty/a.c", b"int a;\n", "vendored"),
        ("party/a.c", b"int a;\n", "1"),
        ("Jenkinsfile", b"node {}\n", "1"),
        ("map.js", b"let a = '//# sourceMappingURL=x';\n", "1"),
        ("about.py", b"# Tells which files are generated by us.\nx = 1\n", "1"),
    ]);
    check_fates(&[
        ("static/html5shiv.js", b"x", "vendored"),
        ("static/tiny_mce/themes/t.js", b"x", "vendored"),
        ("model.dart", b"// GENERATED CODE - DO NOT MODIFY BY HAND\nint a = 1;\n", "generated"),
        ("page.html", b"<html>\n<meta name=\"generator\" content=\"Doxygen 1.9\">\n</html>\n", "generated"),
        (".pnp.cjs", b"let a;\n", "generated"),
    ]);
    // Where a file comes from is no reason: it is its owner's now, unless it warns him.
    check_fates(&[
        ("app/migrations/1.py", b"# Generated by Django 5.2 on 2026-01-01 10:00\nx = 1\n", "1"),
        ("app/spec_helper.rb", b"# This file was generated by the `rspec --init` command.\nx = 1\n", "1"),
        ("settings.gradle", b"/*\n * This file was generated by the Gradle 'init' task.\n */\nx = 1\n", "1"),
        ("swig.py", b"# This file was generated by SWIG.\n# Do not edit: it was generated.\nx = 1\n", "generated"),
        ("base.html", b"<meta name=\"generator\" content=\"Hugo {{ hugo.Version }}\">\n", "1"),
        ("made.js", b"// Generated by CoffeeScript 2.7.0\nvar a;\n", "generated"),
        ("api.h", b"// Generated by the protocol buffer compiler.  DO NOT EDIT!\nint a;\n", "generated"),
        ("cassettes/a.yml", b"---\nhttp: 1\nrecorded_with: VCR 6.1\n", "generated"),
        ("Manifest.toml", b"x = 1\n", "lock_file"),
    ]);
    check_fates(&[
        ("x.gemspec", b"x = 1\n# c\n", "1"),
        ("config.ru", b"run App\n", "1"),
        ("hello.builder", b"xml.hello\n", "1"),
        ("configure.ac", b"dnl c\nAC_INIT\n", "1"),
        ("build.gradle", b"// c\nplugins {}\n", "1"),
        ("build.sbt", b"// c\nname := \"x\"\n", "1"),
        ("view.phtml", b"<?php\n// c\n", "1"),
        (".bashrc", b"# c\nset -e\n", "1"),
    ]);
}

#[test]
fn what_is_not_a_repositorys_own_source_is_excluded_and_says_why() {
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n";
    let big = vec![b'a'; (1 << 20) + 1];
    let table: &[(&str, &[u8], &str)] = &[
        ("node_modules/a/b.js", b"x", "vendored"),
        ("web/vendor/c.php", b"x", "vendored"),
        ("third_party/d.c", b"x", "vendored"),
        ("static/jquery-3.1.js", b"x", "vendored"),
        ("Cargo.lock", b"x", "lock_file"),
        ("a/package-lock.json", b"{}", "lock_file"),
        ("go.sum", b"x", "lock_file"),
        ("app.min.js", b"x", "generated"),
        ("api.pb.go", b"x", "generated"),
        ("gen.go", b"// Code generated by x. DO NOT EDIT.\npackage a\n", "generated"),
        ("kind.ts", b"/**\n * @generated\n */\nlet a;\n", "generated"),
        ("tool.rs", b"fn a() { \"Code generated by x. DO NOT EDIT.\" }\n", "1"),
        ("docs/conf.py", b"x", "documentation"),
        ("README.md", b"x", "documentation"),
        ("LICENSE", b"x", "documentation"),
        ("notes.txt", b"x", "documentation"),
        ("data.json", b"{}", "data"),
        ("icon.svg", b"<svg/>", "data"),
        ("package.json", b"{\n}", "2"),
        ("app.csproj", b"<a/>", "1"),
        ("logo.c", b"\x00\x01", "binary"),
        ("media.c", lfs, "lfs_pointer"),
        ("huge.c", &big, "too_large"),
        ("what.zzz", b"x", "unsupported_language"),
        (".github/workflows/ci.yml", b"on: push\n", "1"),
        ("compose.yaml", b"services:\n", "1"),
        ("Cargo.toml", b"[package]\n", "1"),
        (".env.example", b"A=1\n# c\nB=2\n", "2"),
        ("run", b"#!/usr/bin/env python3\nx\n", "1"),
        ("wide.c", b"\xff\xfei\0n\0t\0;\0", "1"),
    ];
    check_fates(table);
}

#[test]
fn gitattributes_have_the_last_word_deeper_and_later_ones_first() {
    let top = b"*.gen.rs linguist-generated\nlib/** linguist-vendored\n/only.rs linguist-documentation\n\
        \"sp ace.rs\" linguist-vendored\nvendor/** -linguist-vendored\ndata.json linguist-detectable\n\
        x.rs linguist-detectable=false\nhidden/ linguist-vendored\na.conf linguist-language=Python\n";
    check_fates(&[
        (".gitattributes", top, "vendored"),
        ("a.gen.rs", b"x\n", "generated"),
        ("sub/b.gen.rs", b"x\n", "generated"),
        ("lib/deep/c.rs", b"x\n", "vendored"),
        ("lib/mine/.gitattributes", b"*.rs -linguist-vendored\nback.rs linguist-vendored=true\n", "vendored"),
        ("lib/mine/d.rs", b"x\n", "1"),
        ("lib/mine/back.rs", b"x\n", "vendored"),
        ("only.rs", b"x\n", "documentation"),
        ("sub/only.rs", b"x\n", "1"),
        ("sp ace.rs", b"x\n", "vendored"),
        ("vendor/e.rs", b"x\n", "1"),
        ("data.json", b"{}\n", "1"),
        ("x.rs", b"x\n", "not_detectable"),
        ("hidden/f.rs", b"x\n", "1"),
        ("a.conf", b"x = 1\n# c\n", "1"),
    ]);
    check_fates(&[
        ("unset/.gitattributes", b"* linguist-vendored\n*.rs !linguist-vendored\n", "vendored"),
        ("unset/g.rs", b"x\n", "1"),
        ("unset/g.c", b"x\n", "vendored"),
    ]);
}

/// A word that the file at the top makes stand for several stands for them in all folders, wherever it was packed.
#[test]
fn macros_of_the_top_count_in_every_folder() {
    let files: Files<'_> = &[
        ("a/.gitattributes", b"*.rs theirs\nmine.rs -theirs\nkept.rs theirs -linguist-vendored\n[attr]own linguist-vendored\n"),
        ("a/b.rs", b"x\n"),
        ("a/mine.rs", b"x\n"),
        ("a/kept.rs", b"x\n"),
        ("a/own.conf", b"x = 1\n"),
        (".gitattributes", b"[attr]theirs copied linguist-detectable\n[attr]copied linguist-vendored\n*.conf own\n*.zzz linguist-language=Objective-C\n"),
        ("view.zzz", b"// c\nint a;\n"),
        ("top.rs", b"x\n"),
    ];
    let expected = [
        ("a/b.rs", "vendored"),
        // As if nothing had been said of it.
        ("a/mine.rs", "1"),
        ("a/kept.rs", "1"),
        // In a folder no word can be made to stand for others.
        ("a/own.conf", "unsupported_language"),
        ("view.zzz", "1"),
    ];
    let options = Options::default();
    for counted in [
        measured(files),
        measure_archive(&tar_of(files, "x/"), &options, &quietly).unwrap(),
        measure_archive(&zip_of(files, ""), &options, &quietly).unwrap(),
        measure_git(committed(files).path(), "HEAD", &options, &quietly).unwrap(),
    ] {
        let fates = fates(&counted);
        for (path, fate) in expected {
            assert_eq!(fates.get(path).map(String::as_str), Some(fate), "{path}");
        }
    }
}

#[cfg(unix)]
#[test]
fn links_are_listed_and_never_followed() {
    let folder = committed(&[("a.rs", b"x\n")]);
    std::os::unix::fs::symlink("/etc", folder.path().join("etc")).unwrap();
    std::os::unix::fs::symlink("a.rs", folder.path().join("b.rs")).unwrap();
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-q", "-m", "Links"]);
    let options = Options::default();
    let found = measure_directory(folder.path(), &options, &quietly).unwrap();
    assert_eq!(found.measurement.quantities["files"], 1);
    assert_eq!(found.measurement.evidence["excluded"]["link"]["files"], 2);
    let by_git = measure_git(folder.path(), "HEAD", &options, &quietly).unwrap();
    assert_eq!(by_git.measurement.quantities, found.measurement.quantities);
}

#[test]
fn a_revision_is_a_name_and_nothing_else() {
    let folder = committed(&[("a.rs", b"x\n")]);
    let options = Options::default();
    let code = |path: &Path, commit: &str| measure_git(path, commit, &options, &quietly).unwrap_err().code();
    let zeros = "0".repeat(40);
    for commit in [
        "",
        "-x",
        "--output=/tmp/x",
        "a..b",
        "HEAD@{1}",
        "HEAD~1",
        ":/x",
        "main;ls",
        "ma in",
        "nowhere",
        &zeros,
        "HEAD^{tree}",
    ] {
        assert_eq!(code(folder.path(), commit), "unknown_commit", "{commit}");
    }
    let plain = directory(&[("a.rs", b"x\n")]);
    assert_eq!(code(plain.path(), "HEAD"), "git_failed");
    let below = folder.path().join("sub");
    fs::create_dir(&below).unwrap();
    assert_eq!(code(&below, "HEAD"), "git_failed");
    let missing = folder.path().join("missing");
    assert_eq!(code(&missing, "HEAD"), "unreadable_repository");
    assert_eq!(measure_directory(&missing, &options, &quietly).unwrap_err().code(), "unreadable_repository");
}

#[test]
fn git_runs_nothing_that_the_repository_asks_for() {
    let folder = committed(&[("a.rs", b"x\n"), (".gitattributes", b"* filter=evil diff=evil export-subst\n")]);
    let mark = folder.path().join("ran");
    let touch = format!("touch {}", mark.display());
    let alias = format!("!{touch}");
    for (key, value) in [
        ("core.fsmonitor", &touch),
        ("filter.evil.smudge", &touch),
        ("diff.evil.textconv", &touch),
        ("core.sshCommand", &touch),
        ("core.pager", &touch),
        ("alias.ls-tree", &alias),
    ] {
        git(folder.path(), &["config", key, value]);
    }
    drop(fs::remove_file(&mark));
    measure_git(folder.path(), "HEAD", &Options::default(), &quietly).unwrap();
    assert!(!mark.exists(), "something of the repository's ran");
}

#[test]
fn git_is_given_up_at_its_deadline() {
    let folder = committed(&[("a.rs", b"x\n")]);
    let options = Options { git_time_max: std::time::Duration::ZERO, ..Options::default() };
    let error = measure_git(folder.path(), "HEAD", &options, &quietly).unwrap_err();
    assert_eq!(error.code(), "git_failed", "{error}");
}

/// A name may be in a tree, and a tree in a tree, that no disk could hold.
#[test]
fn paths_without_end_are_refused() {
    let folder = committed(&[("a.rs", b"x\n")]);
    let said = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new("git")
            .current_dir(folder.path())
            .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let blob = said(&["hash-object", "-w", "--stdin"], b"fn a() {}\n");
    for (bytes, code) in [(3_000, None), (70_000, Some("repository_too_large"))] {
        let tree = said(&["mktree"], format!("100644 blob {blob}\t{}.rs\n", "n".repeat(bytes)).as_bytes());
        let commit = said(&["commit-tree", "-m", "Long", &tree], b"");
        let measured = measure_git(folder.path(), &commit, &Options::default(), &quietly);
        assert_eq!(measured.err().map(|error| error.code()), code);
    }
}

#[test]
fn progress_ends_at_the_total() {
    let folder = directory(SOME);
    let last = std::cell::Cell::new(None);
    measure_directory(folder.path(), &Options::default(), &|progress| last.set(Some(progress))).unwrap();
    let last = last.get().unwrap();
    assert_eq!(last.files_done, last.files_total);
}

#[test]
fn nothing_at_all_is_no_lines_and_no_error() {
    let counted = measured(&[]);
    assert_eq!(counted.measurement.quantities["code_lines"], 0);
    assert_eq!(measure_archive(&tar_of(&[], ""), &Options::default(), &quietly).unwrap(), counted);
}

//! What lines say by themselves, and what they all say of a path, as Git itself says it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::line::{Of, read};
use super::*;

#[test]
fn lines_are_cut_as_git_cuts_them() {
    for (line, pattern) in [
        ("  a.rs x", Some("a.rs")),
        ("\"a b\" x", Some("a b")),
        (r#""src/\303\251.js"x"#, Some("src/é.js")),
        (r#""\377\"\\\a\b\t\n\v\f\r" x"#, Some("%FF\"\\\u{7}\u{8}\t\n\u{b}\u{c}\r")),
        // No escape of C: the quote is a letter.
        (r#""a\q" x"#, Some(r#""a\q""#)),
        (r#""a\12" x"#, Some(r#""a\12""#)),
        (r#""a\400" x"#, Some(r#""a\400""#)),
        ("\"open x", Some("\"open")),
        ("n\u{a0}\u{b}\u{c}b.rs x", Some("n\u{a0}\u{b}\u{c}b.rs")),
        ("!a x", None),
        ("\"!a\" x", None),
        ("# x", None),
        ("\"\" x", None),
        ("\\\" x", Some("\\\"")),
        // A set of four letters, and no macro.
        ("[attr] x", Some("[attr]")),
        // One word that is no attribute, and nothing of the line counts.
        ("a x y!", None),
        ("a x -", None),
        ("a x builtin_objectmode", None),
    ] {
        let found = read(line).map(|it| it.of);
        assert_eq!(found, pattern.map(|it| Of::Pattern(it.to_owned())), "{line}");
    }
    let name = |line| match read(line) {
        Some(Line { of: Of::Macro(name), .. }) => Some(name),
        _ => None,
    };
    for (line, expected) in
        [("[attr]m x", Some("m")), ("[attr]m", Some("m")), ("\"[attr] m\" x", Some("m")), ("[attr]m! x", None)]
    {
        assert_eq!(name(line).as_deref(), expected, "{line}");
    }
}

/// Cutting a path is work too, in each folder whose rules it is cut for.
#[test]
fn the_names_of_a_path_are_counted() {
    let mut attributes = Attributes::default();
    attributes.add("", b"x/*.c linguist-vendored\n").unwrap();
    let mut steps = Steps::up_to(1_000);
    attributes.of_path(&format!("{}b", "a/".repeat(250)), &mut steps).unwrap();
    assert!(250 <= 1_000 - steps.left, "{}", steps.left);
}

/// A word that stands for many costs as many comparisons, wherever it is set; and however deep it leads, it ends.
#[test]
fn what_macros_stand_for_is_counted() {
    let mut chain: String = (0..5_000).fold(String::new(), |mut text, it| {
        let _ = writeln!(text, "[attr]m{it} m{}", it + 1);
        text
    });
    chain += "[attr]m5000 linguist-vendored m0\n* m0\n";
    let mut attributes = Attributes::default();
    attributes.add("", chain.as_bytes()).unwrap();
    let mut steps = Steps::up_to(100_000);
    assert_eq!(attributes.of_path("a.rs", &mut steps).unwrap().vendored, Some(true));
    assert!((5_000..20_000).contains(&(100_000 - steps.left)), "{}", steps.left);
    assert!(attributes.of_path("a.rs", &mut Steps::up_to(4_000)).is_err());
}

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    fn word(&mut self) -> String {
        const NAMES: [&str; 14] = [
            "linguist-vendored",
            "linguist-generated",
            "linguist-documentation",
            "linguist-detectable",
            "linguist-language",
            "linguist-language=Objective-C++",
            "linguist-vendored=false",
            "linguist-detectable=",
            "m1",
            "m2",
            "m3",
            "m4",
            "binary",
            "text=auto",
        ];
        let odd = ["no!name", "builtin_x", "-", "m1=x", "é"];
        if self.below(30) == 0 {
            return self.one(&odd).to_owned();
        }
        self.one(&["", "", "", "-", "!"]).to_owned() + self.one(&NAMES)
    }

    /// A file of rules, and of macros where they are allowed and where they are not.
    fn file(&mut self) -> String {
        let patterns = [
            "*",
            "*.rs",
            "b.rs",
            "/b.rs",
            "a/**",
            "**/c.rs",
            "a/b.rs",
            "\"a b.rs\"",
            "[attr]",
            "[a-b].rs",
            "!*",
            "#x",
            "c/",
            "b/*",
            "t",
        ];
        let macros =
            ["[attr]m1", "[attr]m2", "[attr]m3", "[attr]m4", "[attr]binary", "[attr]linguist-vendored", "[attr]-m"];
        let mut text = String::new();
        for _ in 0..self.below(9) {
            text += if self.below(3) == 0 { self.one(&macros) } else { self.one(&patterns) };
            for _ in 0..self.below(4) {
                text += self.one(&[" ", "\t", "  "]);
                text += &self.word();
            }
            text += self.one(&["\n", "\n", "\r\n"]);
        }
        text
    }
}

const PATHS: [&str; 9] =
    ["b.rs", "t", "a/b.rs", "a/a b.rs", "a/c.rs", "a/b/b.rs", "a/b/c/c.rs", "a/b/c/t", "a/b/c/d.py"];

fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "core.attributesFile=/dev/null"]);
    git
}

/// What Git says of all paths.
fn by_git(folder: &Path) -> Vec<Said> {
    let mut child = git(folder)
        .args(["check-attr", "-z", "--stdin"])
        .args(ASKED)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(PATHS.join("\0").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<&str> = text.strip_suffix('\0').unwrap().split('\0').collect();
    let values: Vec<&str> = parts.chunks(3).map(|it| it[2]).collect();
    let flag = |value: &str| match value {
        "unspecified" => None,
        "unset" | "false" => Some(false),
        _ => Some(true),
    };
    let said = |values: &[&str]| Said {
        vendored: flag(values[0]),
        generated: flag(values[1]),
        documentation: flag(values[2]),
        detectable: flag(values[3]),
        language: (!["set", "unset", "unspecified"].contains(&values[4])).then(|| values[4].into()),
    };
    values.chunks(ASKED.len()).map(said).collect()
}

#[test]
fn what_is_said_of_a_path_is_what_git_says() {
    let folder = tempfile::TempDir::new().unwrap();
    assert!(git(folder.path()).args(["init", "-q"]).status().unwrap().success());
    let folders = ["", "a/", "a/b/", "a/b/c/"];
    fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
    let mut dice = Dice(20_261_128);
    let mut told = 0;
    for case in 0..300 {
        let files = folders.map(|_| dice.file());
        let mut attributes = Attributes::default();
        for (place, text) in folders.iter().zip(&files) {
            fs::write(folder.path().join(place).join(".gitattributes"), text).unwrap();
            attributes.add(place, text.as_bytes()).unwrap();
        }
        let ours = PATHS.map(|path| attributes.of_path(path, &mut Steps::up_to(1 << 20)).unwrap());
        told += ours.iter().filter(|it| **it != Said::default()).count();
        for ((path, ours), theirs) in PATHS.iter().zip(&ours).zip(by_git(folder.path())) {
            assert_eq!(*ours, theirs, "case {case}: {path} by {files:#?}");
        }
    }
    assert!(1_000 < told, "most rules must say something of some path: {told}");
}

/// The longest line that Git reads, and the shortest that it does not.
#[test]
fn lines_are_as_long_as_in_git() {
    let folder = tempfile::TempDir::new().unwrap();
    assert!(git(folder.path()).args(["init", "-q"]).status().unwrap().success());
    for length in 2_045..2_051 {
        let line = format!("*{}linguist-vendored", " ".repeat(length - "*linguist-vendored".len()));
        fs::write(folder.path().join(".gitattributes"), format!("{line}\n")).unwrap();
        let mut attributes = Attributes::default();
        attributes.add("", line.as_bytes()).unwrap();
        let ours = attributes.of_path(PATHS[0], &mut Steps::up_to(1_000)).unwrap();
        assert_eq!(ours, by_git(folder.path())[0], "{length}");
    }
}

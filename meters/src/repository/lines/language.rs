//! Which language a file is in.
//!
//! Must never know: counting. Invariant: the answer depends on the file's name and content alone, never on the disk.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use tokei::{Config, LanguageType};

use super::names;

/// By attribute, else name, else extension, else first line.
pub fn of(path: &str, text: &[u8], said: Option<&str>) -> Option<LanguageType> {
    // An attribute's value has no spaces: `Jupyter-Notebook`, but also `Objective-C`.
    let by_attribute = |name: &str| by_name(name).or_else(|| by_name(&name.replace('-', " ")));
    if let Some(language) = said.and_then(by_attribute) {
        return Some(language);
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    names::language(name).or_else(|| by_file_name(name)).or_else(|| by_first_line(text))
}

/// Names as people write them in `.gitattributes`: any case.
pub fn by_name(name: &str) -> Option<LanguageType> {
    // Made once: every file of a repository may ask.
    static NAMES: LazyLock<HashMap<String, LanguageType>> = LazyLock::new(|| {
        let languages = || LanguageType::list().iter().map(|(language, _)| *language).rev();
        let names = languages().map(|it| (format!("{it:?}"), it)).chain(languages().map(|it| (it.name().into(), it)));
        names.map(|(name, language)| (name.to_ascii_lowercase(), language)).collect()
    });
    NAMES.get(&name.to_ascii_lowercase()).copied()
}

fn by_file_name(name: &str) -> Option<LanguageType> {
    // Without an extension the library would open the file by its path, relative to wherever this process runs. A path
    // with a NUL can be opened nowhere, so only the name decides.
    LanguageType::from_path(Path::new("\0").join(name), &Config::default())
}

/// `#!` and an interpreter.
fn by_first_line(text: &[u8]) -> Option<LanguageType> {
    let line = text.split(|byte| *byte == b'\n').next()?.strip_prefix(b"#!")?;
    let line = std::str::from_utf8(line.get(..line.len().min(200))?).ok()?;
    let mut words = line.split_ascii_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let first = words.next()?;
    let program =
        if first == "env" { words.find(|word| !word.starts_with('-') && !word.contains('='))? } else { first };
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    Some(match program {
        "sh" | "dash" | "ash" => LanguageType::Sh,
        "bash" => LanguageType::Bash,
        "zsh" => LanguageType::Zsh,
        "ksh" => LanguageType::Ksh,
        "fish" => LanguageType::Fish,
        "python" | "pypy" | "uv" => LanguageType::Python,
        "ruby" => LanguageType::Ruby,
        "perl" => LanguageType::Perl,
        "php" => LanguageType::Php,
        "node" | "nodejs" | "bun" => LanguageType::JavaScript,
        "deno" | "ts-node" | "tsx" => LanguageType::TypeScript,
        "lua" | "luajit" => LanguageType::Lua,
        "Rscript" => LanguageType::R,
        "awk" | "gawk" | "mawk" => LanguageType::AWK,
        "tclsh" | "wish" | "expect" => LanguageType::Tcl,
        "make" => LanguageType::Makefile,
        "elixir" => LanguageType::Elixir,
        "groovy" => LanguageType::Groovy,
        "julia" => LanguageType::Julia,
        "swift" => LanguageType::Swift,
        _ => return None,
    })
}

/// Written for people.
pub fn is_prose(language: LanguageType) -> bool {
    use LanguageType as L;
    matches!(
        language,
        L::Markdown
            | L::UnrealDeveloperMarkdown
            | L::Text
            | L::ReStructuredText
            | L::AsciiDoc
            | L::Org
            | L::Djot
            | L::Tex
            | L::Typst
    )
}

/// Written by programs, mostly: counted only where it configures something.
pub fn is_data(language: LanguageType) -> bool {
    use LanguageType as L;
    matches!(
        language,
        L::Json
            | L::Xml
            | L::Svg
            | L::Edn
            | L::FEN
            | L::Hex
            | L::IntelHex
            | L::Po
            | L::DotNetResource
            | L::GodotTextScene
            | L::RON
    ) || matches!(
        language,
        L::UnrealPlugin
            | L::UnrealProject
            | L::VisualStudioSolution
            | L::VisualStudioProject
            | L::PlantUml
            | L::Hledger
    )
}

//! What begins and ends comments and strings in a language.
//!
//! Must never know: files. Invariant: marks are sorted longest first, so that `"""` is not read as `"` thrice.

use tokei::LanguageType;

/// What a mark begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// A comment to the end of the line.
    Line,
    /// A comment up to an end mark; of some languages it nests.
    Block { end: &'static str, nests: bool },
    /// A string. Most end with their line at the latest.
    Text { end: &'static str, escapes: bool, lines: bool },
    /// A documentation string: comment where it stands alone, string elsewhere.
    Doc { end: &'static str },
}

/// A mark, and where it counts.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub start: &'static str,
    pub opens: Opens,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Anywhere,
    /// First on its line, white space aside, and a whole word.
    FirstWord,
    /// In the first column.
    FirstColumn,
}

/// The marks of a language.
#[derive(Clone, Debug)]
pub struct Syntax {
    pub marks: Vec<Mark>,
    /// Whether a byte begins any mark: most do not.
    pub begins: [bool; 256],
    /// `'` begins no string here, so `'"'` is a character.
    pub characters: bool,
    /// Parts in other languages: script and style in a page.
    pub embeds: bool,
}

impl Syntax {
    pub fn of(language: LanguageType) -> Self {
        let mut marks = comments(language);
        marks.extend(strings(language));
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.start.len()));
        let mut begins = [false; 256];
        for mark in &marks {
            begins[usize::from(mark.start.as_bytes()[0])] = true;
        }
        let characters = !begins[usize::from(b'\'')];
        if characters {
            begins[usize::from(b'\'')] = true;
        }
        use LanguageType as L;
        let embeds =
            matches!(language, L::Html | L::Vue | L::Svelte | L::RubyHtml | L::Astro | L::GlimmerJs | L::GlimmerTs);
        Self { marks, begins, characters, embeds }
    }
}

fn comments(language: LanguageType) -> Vec<Mark> {
    let mut marks = Vec::new();
    for start in language.line_comments().iter().filter(|start| !start.is_empty()) {
        marks.push(Mark { start, opens: Opens::Line, place: place(language, start) });
    }
    for (pairs, nests) in [
        (language.multi_line_comments(), language.allows_nested()),
        (language.nested_comments(), true),
        (extra_comments(language), false),
    ] {
        for (start, end) in pairs {
            marks.push(Mark { start, opens: Opens::Block { end, nests }, place: place(language, start) });
        }
    }
    marks
}

/// Words (`REM`) and signs that mean other things elsewhere on a line (`=begin`, Fortran's `C`) count at its start
/// only.
fn place(language: LanguageType, start: &str) -> Place {
    match start.as_bytes()[0] {
        b'=' => Place::FirstColumn,
        _ if language == LanguageType::FortranLegacy && start != "!" => Place::FirstColumn,
        first if first.is_ascii_alphabetic() => Place::FirstWord,
        _ => Place::Anywhere,
    }
}

/// Comments that the tables lack.
fn extra_comments(language: LanguageType) -> &'static [(&'static str, &'static str)] {
    match language {
        LanguageType::Perl => &[
            ("=head", "=cut"),
            ("=over", "=cut"),
            ("=item", "=cut"),
            ("=encoding", "=cut"),
            ("=begin", "=cut"),
            ("=for", "=cut"),
        ],
        _ => &[],
    }
}

fn strings(language: LanguageType) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut add = |start: &'static str, opens| marks.push(Mark { start, opens, place: Place::Anywhere });
    for (start, end) in language.doc_quotes() {
        add(start, Opens::Doc { end });
    }
    for (start, end) in language.quotes() {
        // A lone quote in prose or a regular expression must not swallow the file: it ends with its line, unless the
        // language lets strings run on, which all longer marks and the backtick do.
        let lines = 1 < start.len() || *start == "`" || runs_on(language);
        add(start, Opens::Text { end, escapes: true, lines });
    }
    for (start, end) in language.verbatim_quotes().iter().chain(extra_verbatim(language)) {
        add(start, Opens::Text { end, escapes: false, lines: true });
    }
    marks
}

/// Languages whose plain strings commonly span lines.
fn runs_on(language: LanguageType) -> bool {
    matches!(language, LanguageType::Rust | LanguageType::Php | LanguageType::Sql)
}

/// Strings that the tables lack.
fn extra_verbatim(language: LanguageType) -> &'static [(&'static str, &'static str)] {
    use LanguageType as L;
    match language {
        L::Rust => &[("r\"", "\""), ("r###\"", "\"###")],
        L::Go => &[("`", "`")],
        L::Java | L::Scala | L::Swift | L::Groovy | L::CSharp => &[("\"\"\"", "\"\"\"")],
        L::Nix => &[("''", "''")],
        L::Lua => &[("[[", "]]"), ("[=[", "]=]")],
        _ => &[],
    }
}

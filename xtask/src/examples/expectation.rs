//! Compares what an example printed with what its document says.

use super::document::Example;

/// What is wrong with the output, beginning with the example's line; None when nothing is.
pub fn mismatch(example: &Example, actual: &str) -> Option<String> {
    let expected: Vec<&str> = example.expected.as_deref()?.trim_end().lines().map(str::trim_end).collect();
    let actual: Vec<&str> = actual.trim_end().lines().map(str::trim_end).collect();
    if lines_match(&expected, &actual) {
        return None;
    }
    Some(format!("{}: printed\n{}\nbut the document says\n{}", example.line, quoted(&actual), quoted(&expected)))
}

fn quoted(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Tries every number of lines for `...`; documents are short, so the simple way will do.
fn lines_match(expected: &[&str], actual: &[&str]) -> bool {
    match expected {
        [] => actual.is_empty(),
        ["...", rest @ ..] => (0..=actual.len()).any(|skipped| lines_match(rest, &actual[skipped..])),
        [line, rest @ ..] => {
            actual.first().is_some_and(|first| line_matches(line, first)) && lines_match(rest, &actual[1..])
        }
    }
}

/// Each part between `[..]` is looked for after the one before it; the last must end the line.
fn line_matches(expected: &str, actual: &str) -> bool {
    let mut parts = expected.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = actual.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, actual: &str, is_match: bool) {
        let example = Example { line: 7, code: String::new(), expected: Some(expected.to_owned()) };
        assert_eq!(mismatch(&example, actual).is_none(), is_match, "{expected:?} against {actual:?}");
    }

    #[test]
    fn wildcards() {
        check("a\nb\n", "a\nb", true);
        check("a\n", "a \n\n", true);
        check("a\n", "b\n", false);
        check("a\n", "a\nb\n", false);
        check("a[..]z\n", "abcz\n", true);
        check("a[..]z\n", "az\n", true);
        check("a[..]z\n", "abc\n", false);
        check("a[..]b[..]\n", "a--b--\n", true);
        check("a[..]b[..]c\n", "a-c-b\n", false);
        check("[..]\n", "\n", false);
        check("...\n", "", true);
        check("a\n...\nz\n", "a\nb\nc\nz\n", true);
        check("a\n...\nz\n", "a\nb\n", false);
        check("", "", true);
        check("", "a", false);
    }

    #[test]
    fn a_mismatch_says_where() {
        let example = Example { line: 7, code: String::new(), expected: Some("a\n".to_owned()) };
        assert_eq!(mismatch(&example, "b\n").unwrap(), "7: printed\n    b\nbut the document says\n    a");
    }
}

//! A pattern of `.gitattributes`, matched part by part.
//!
//! Must never know: attributes, files. Invariant: what matches is what Git's `wildmatch` matches, byte by byte; and
//! every comparison is counted, so that whoever matches knows what it cost and can end it.
//!
//! A pattern is cut at its slashes into parts, as a path is into names. `**` as a part stands for any number of names.
//! Within a part only `*` can be matched in several ways; both times the first way that fits leaves the most for what
//! follows, so one place to come back to is enough, and matching a part takes at most its length times that of a name.

/// One part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**` between slashes.
    Names,
    Name(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    Any,
    /// `*`
    Run,
    /// `[…]`
    OneOf(Box<[bool; 256]>),
}

/// A pattern that Git would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// Reads a pattern; none where Git's own would match nothing.
    pub fn read(text: &str) -> Option<Pattern> {
        let mut parts = Vec::new();
        let mut name = Vec::new();
        let mut rest = text.as_bytes();
        while let [byte, after @ ..] = rest {
            rest = after;
            match byte {
                b'/' => parts.push(part(std::mem::take(&mut name))),
                b'*' => name.push(Token::Run),
                b'?' => name.push(Token::Any),
                b'[' => {
                    let (set, after) = set(rest)?;
                    rest = after;
                    name.push(Token::OneOf(set));
                }
                b'\\' => {
                    let (escaped, after) = rest.split_first()?;
                    rest = after;
                    name.push(Token::Byte(*escaped));
                }
                byte => name.push(Token::Byte(*byte)),
            }
        }
        parts.push(part(name));
        Some(Pattern { parts })
    }

    /// The one name or path it matches, where there is nothing to it but letters.
    pub fn literal(&self) -> Option<String> {
        let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
        let name = |part: &Part| match part {
            Part::Names => None,
            Part::Name(tokens) => tokens.iter().map(byte).collect::<Option<Vec<u8>>>(),
        };
        let names: Option<Vec<Vec<u8>>> = self.parts.iter().map(name).collect();
        String::from_utf8(names?.join(&b'/')).ok()
    }

    /// Whether it matches a path, cut at its slashes; `steps` grows by the comparisons made. It is cut before, once for
    /// all patterns: to look for the slashes of long names again and again would be work that no step counts.
    pub fn matches(&self, names: &[&str], steps: &mut u64) -> bool {
        let (mut at, mut name) = (0, 0);
        let mut back: Option<(usize, usize)> = None;
        loop {
            *steps += 1;
            match self.parts.get(at) {
                // In the end there must be something for it to stand for.
                Some(Part::Names) if at + 1 == self.parts.len() => return name < names.len(),
                Some(Part::Names) => {
                    at += 1;
                    back = Some((at, name));
                    continue;
                }
                Some(Part::Name(tokens)) if names.get(name).is_some_and(|it| fits(tokens, it.as_bytes(), steps)) => {
                    at += 1;
                    name += 1;
                    continue;
                }
                None if name == names.len() => return true,
                Some(Part::Name(_)) | None => {}
            }
            // The last `**` stands for one name more.
            let Some((part, from)) = back else { return false };
            if from == names.len() {
                return false;
            }
            (at, name) = (part, from + 1);
            back = Some((part, from + 1));
        }
    }
}

fn part(tokens: Vec<Token>) -> Part {
    let stands_for_names = 2 <= tokens.len() && tokens.iter().all(|it| *it == Token::Run);
    if stands_for_names { Part::Names } else { Part::Name(tokens) }
}

fn fits(tokens: &[Token], name: &[u8], steps: &mut u64) -> bool {
    let (mut token, mut byte) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        *steps += 1;
        let here = name.get(byte);
        let fits = match tokens.get(token) {
            Some(Token::Run) => {
                // In the end it takes all that is left.
                if token + 1 == tokens.len() {
                    return true;
                }
                token += 1;
                back = Some((token, byte));
                continue;
            }
            Some(Token::Any) => here.is_some(),
            Some(Token::Byte(wanted)) => here == Some(wanted),
            Some(Token::OneOf(set)) => here.is_some_and(|it| set[usize::from(*it)]),
            None if here.is_none() => return true,
            None => false,
        };
        if fits {
            token += 1;
            byte += 1;
            continue;
        }
        // The last `*` takes one byte more.
        let Some((after, from)) = back else { return false };
        if from == name.len() {
            return false;
        }
        (token, byte) = (after, from + 1);
        back = Some((after, from + 1));
    }
}

/// What stands after `[`: the bytes it stands for, and the rest; none where it does not end.
fn set(text: &[u8]) -> Option<(Box<[bool; 256]>, &[u8])> {
    let mut set = Box::new([false; 256]);
    let (is_negated, mut rest) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut is_first = true;
    loop {
        let (low, after) = match rest {
            [b']', after @ ..] if !is_first => {
                rest = after;
                break;
            }
            [b'[', b':', after @ ..] => {
                if let Some(end) =
                    after.iter().position(|it| *it == b']').filter(|end| 0 < *end && after[end - 1] == b':')
                {
                    let class = class(&after[..end - 1])?;
                    (0..=255_u8).filter(class).for_each(|it| set[usize::from(it)] = true);
                    (rest, is_first) = (&after[end + 1..], false);
                    continue;
                }
                (b'[', &rest[1..])
            }
            [b'\\', byte, after @ ..] => (*byte, after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        (rest, is_first) = (after, false);
        let high = match rest {
            [b'-', b'\\', high, after @ ..] => {
                rest = after;
                *high
            }
            [b'-', high, after @ ..] if *high != b']' => {
                rest = after;
                *high
            }
            _ => low,
        };
        (low..=high).for_each(|it| set[usize::from(it)] = true);
    }
    if is_negated {
        set.iter_mut().for_each(|it| *it = !*it);
    }
    Some((set, rest))
}

/// `[:alpha:]` and its like.
fn class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |it| matches!(it, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |it| matches!(it, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |it| matches!(it, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Git's own tests of `wildmatch` say, where slashes count.
    #[test]
    fn patterns_match_as_in_git() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("foo", &["foo"], &["bar", "foo/bar", ""]),
            ("???", &["foo"], &["fo", "fooo", "a/b"]),
            ("*", &["foo", "fé"], &["foo/bar"]),
            ("f*", &["foo"], &["bar"]),
            ("*f", &["f", "ff"], &["foo"]),
            ("*foo*", &["foo", "xfoox"], &["bar"]),
            ("*ob*a*r*", &["foobar"], &["foo"]),
            ("*ab", &["aaaaaaabababab"], &[]),
            ("foo\\*", &["foo*"], &["foobar"]),
            ("f\\\\oo", &["f\\oo"], &["foo"]),
            ("*[al]?", &["ball"], &[]),
            ("**[!te]", &["t\u{e0}", "ten"], &["te"]),
            ("t[a-g]n", &["ten"], &["tin"]),
            ("t[!a-g]n", &["ton"], &["ten", "t/n"]),
            ("t[^a-g]n", &["ton"], &["ten"]),
            ("a[]]b", &["a]b"], &["ab"]),
            ("a[]-]b", &["a-b", "a]b"], &["aab"]),
            ("a[]a-]b", &["aab", "a-b"], &["acb"]),
            ("a[\\]]b", &["a]b"], &["a\\b"]),
            ("[[:alpha:]][[:digit:]][[:upper:]]", &["a1B"], &["a1b"]),
            ("[[:xdigit:]-x]", &["f", "-", "x"], &["y"]),
            ("[[:", &[], &["[[:"]),
            ("[[:nope:]]", &[], &["n"]),
            ("[ab", &[], &["[ab", "a"]),
            ("ab\\", &[], &["ab", "ab\\"]),
            ("foo*bar", &["fooxbar"], &["foo/baz/bar"]),
            ("foo**bar", &["fooxbar"], &["foo/baz/bar"]),
            ("foo/**/bar", &["foo/bar", "foo/b/a/z/bar"], &["foobar", "foo/bar/x"]),
            ("foo/**/**/bar", &["foo/bar", "foo/baz/bar"], &[]),
            ("foo/*", &["foo/bar"], &["foo/bar/baz"]),
            ("**/foo", &["foo", "XXX/foo", "bar/baz/foo"], &["foo/x"]),
            ("*/foo", &["a/foo"], &["bar/baz/foo", "foo"]),
            ("**/bar*", &["foo/bar", "bar"], &["foo/bar/baz"]),
            ("**/bar/*", &["deep/foo/bar/baz", "bar/x"], &["deep/foo/bar", "deep/foo/bar/baz/x"]),
            ("**/bar/**", &["deep/foo/bar/baz/x"], &["deep/foo/bar"]),
            ("**/bar/*/*", &["deep/foo/bar/baz/x"], &["deep/foo/bar/baz"]),
            ("lib/**", &["lib/a", "lib/a/b"], &["lib", "libs/a"]),
            ("a/**/*.c", &["a/x.c", "a/b/c/x.c"], &["b/a/x.c"]),
            ("**/a/**/b*/*.c", &["x/a/a/b/y/bz/q.c", "a/b/q.c"], &["x/a/b/q/c.c"]),
            ("x[/]y", &[], &["x/y"]),
            ("{a,b}.rs", &["{a,b}.rs"], &["a.rs"]),
        ];
        for (pattern, yes, no) in table {
            let names = |path: &'static str| path.split('/').collect::<Vec<_>>();
            let matches = |path| Pattern::read(pattern).is_some_and(|it| it.matches(&names(path), &mut 0));
            assert!(yes.iter().all(|path| matches(path)), "{pattern} matches {yes:?}");
            assert!(!no.iter().any(|path| matches(path)), "{pattern} does not match {no:?}");
        }
    }

    /// However many ways there are to match, none is tried twice.
    #[test]
    fn stars_cost_no_more_than_both_lengths() {
        let (pattern, path) = ("*a".repeat(60) + "b", "a".repeat(2_000));
        let mut steps = 0;
        assert!(!Pattern::read(&pattern).unwrap().matches(&[&path], &mut steps));
        assert!(steps < 121 * 2_000, "{steps}");
        let (pattern, path) = ("**/a/".repeat(60) + "b", "a/".repeat(1_000) + "c");
        let names: Vec<&str> = path.split('/').collect();
        steps = 0;
        assert!(!Pattern::read(&pattern).unwrap().matches(&names, &mut steps));
        assert!(steps < 4 * 121 * 1_000, "{steps}");
    }
}

//! CSV, as spreadsheets read it and without letting them run it.

/// One value of a line. What a spreadsheet would run as a formula is made text.
pub fn value(line: &mut String, value: &str) {
    if !line.is_empty() && !line.ends_with('\n') {
        line.push(',');
    }
    quoted(line, value);
}

/// The values that begin a line, the first of which may be empty.
pub fn line<'a>(text: &mut String, values: impl IntoIterator<Item = &'a str>) {
    for (place, value) in values.into_iter().enumerate() {
        if 0 < place {
            text.push(',');
        }
        quoted(text, value);
    }
}

/// What formulas begin with; where characters are wide, also the wide ones.
const FORMULAS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

fn quoted(line: &mut String, value: &str) {
    let is_number = value.strip_prefix('-').unwrap_or(value).bytes().all(|it| it.is_ascii_digit() || it == b'.');
    let is_formula = value.starts_with(FORMULAS) && !is_number;
    if !is_formula && !value.contains(['"', ',', '\n', '\r']) {
        return line.push_str(value);
    }
    line.push('"');
    if is_formula {
        line.push('\'');
    }
    line.push_str(&value.replace('"', "\"\""));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_spreadsheet_sees_texts_and_numbers_and_no_formulas() {
        let mut line = String::new();
        for text in ["plain", "-12.5", "=1+1", "-x", "\u{ff1d}1+1", "a,b", "say \"hi\"", ""] {
            value(&mut line, text);
        }
        assert_eq!(line, "plain,-12.5,\"'=1+1\",\"'-x\",\"'\u{ff1d}1+1\",\"a,b\",\"say \"\"hi\"\"\",");
    }
}

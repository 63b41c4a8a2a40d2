//! Reads the runnable examples out of a Markdown document.

/// A block to run and what it must print.
#[derive(Debug, PartialEq)]
pub struct Example {
    /// Line of the opening fence, from 1.
    pub line: usize,
    pub code: String,
    pub expected: Option<String>,
}

#[derive(Debug, PartialEq)]
pub struct Unreadable {
    pub line: usize,
    pub reason: &'static str,
}

struct Block<'a> {
    line: usize,
    language: &'a str,
    text: String,
}

pub fn examples(document: &str) -> Result<Vec<Example>, Unreadable> {
    let mut examples: Vec<Example> = Vec::new();
    let mut is_answer_next = false;
    for block in blocks(document)? {
        match block.language {
            "sh run" => {
                examples.push(Example { line: block.line, code: block.text, expected: None });
                is_answer_next = true;
                continue;
            }
            "text" | "json" if is_answer_next => {
                examples.last_mut().expect("an answer follows an example").expected = Some(block.text);
            }
            _ => {}
        }
        is_answer_next = false;
    }
    Ok(examples)
}

/// The fenced blocks. Fences may be indented, as in a list, and their contents then are as well.
fn blocks(document: &str) -> Result<Vec<Block<'_>>, Unreadable> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block<'_>, &str, &str)> = None;
    for (index, line) in document.lines().enumerate() {
        let content = line.trim_start();
        let indent = &line[..line.len() - content.len()];
        match open.take() {
            None if content.starts_with("```") => {
                let language = content.trim_start_matches('`');
                let fence = &content[..content.len() - language.len()];
                let block = Block { line: index + 1, language: language.trim(), text: String::new() };
                open = Some((block, fence, indent));
            }
            None => {}
            Some((block, fence, _)) if content.trim_end() == fence => blocks.push(block),
            Some((mut block, fence, indent)) => {
                block.text.push_str(line.strip_prefix(indent).unwrap_or(content));
                block.text.push('\n');
                open = Some((block, fence, indent));
            }
        }
    }
    match open {
        None => Ok(blocks),
        Some((block, ..)) => Err(Unreadable { line: block.line, reason: "this block is never closed" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(document: &str, expected: &[(usize, &str, Option<&str>)]) {
        let found = examples(document).unwrap();
        let found: Vec<_> = found.iter().map(|e| (e.line, e.code.as_str(), e.expected.as_deref())).collect();
        assert_eq!(found, expected, "in\n{document}");
    }

    #[test]
    fn a_runnable_block_and_its_answer() {
        check("words\n```sh run\na\n```\n```text\nb\n```\n", &[(2, "a\n", Some("b\n"))]);
        check("```sh run\na\n```\nprints\n\n```json\n{}\n```\n", &[(1, "a\n", Some("{}\n"))]);
        check("```sh run\na\n```\n", &[(1, "a\n", None)]);
        check("```sh run\na\n```\n```sh\nb\n```\n```text\nc\n```\n", &[(1, "a\n", None)]);
        check("```sh\na\n```\n```text\nb\n```\n", &[]);
        check("1. x\n   ```sh run\n   a\n     b\n   ```\n", &[(2, "a\n  b\n", None)]);
        check("````sh run\n```\n````\n", &[(1, "```\n", None)]);
    }

    #[test]
    fn a_block_left_open_is_a_mistake() {
        assert_eq!(examples("a\n```sh run\nb\n").unwrap_err().line, 2);
    }
}

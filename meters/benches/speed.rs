//! The three speeds that are promised: 1 MB of chat text under 150 ms, a repository of 100 000 lines under 1 s, a plan
//! of 5 000 resources under 200 ms. Run with `cargo bench -p meters`.

use divan::Bencher;
use serde_json::json;

fn main() {
    divan::main();
}

/// Numbers without a pattern, the same every time.
fn numbers() -> impl Iterator<Item = u64> {
    let step = |seed: &u64| Some(seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(1), step).map(|seed: u64| seed >> 20)
}

/// A word of three to eighteen random letters.
fn word(number: u64) -> String {
    let letter = |at: u32| char::from(b'a' + u8::try_from(number / 26_u64.pow(at % 9) % 26).expect("below 26"));
    (0..3 + u32::try_from(number >> 40).expect("four bits")).map(letter).collect()
}

/// A megabyte of text of the first `vocabulary` words: people write with a few thousand, gibberish has no end of them.
fn text(vocabulary: usize) -> String {
    let words: Vec<String> = numbers().take(vocabulary).map(word).collect();
    let mut text = String::new();
    for number in numbers() {
        let number = usize::try_from(number).expect("44 bits");
        text.push_str(&words[number % words.len()]);
        text.push_str([" ", " ", " ", ", ", ".\n", " 1234 "][number / 7 % 6]);
        if 1_000_000 <= text.len() {
            break;
        }
    }
    text
}

#[divan::bench(sample_count = 20)]
fn chat_1_mb(bencher: Bencher<'_, '_>) {
    let request = meters::chat::ChatRequest::of_text("gpt-4o", &text(5_000));
    bencher.bench(|| meters::chat::measure(&request));
}

#[divan::bench(sample_count = 20)]
fn chat_1_mb_of_gibberish(bencher: Bencher<'_, '_>) {
    let request = meters::chat::ChatRequest::of_text("gpt-4o", &text(1_000_000));
    bencher.bench(|| meters::chat::measure(&request));
}

#[divan::bench(sample_count = 10)]
fn chat_1_mb_letter_by_letter(bencher: Bencher<'_, '_>) {
    let text = text(5_000);
    bencher.bench(|| {
        let mut counter = meters::chat::Counter::new("gpt-4o");
        for character in text.chars() {
            counter.push(character.encode_utf8(&mut [0; 4]));
        }
        counter.finish()
    });
}

#[divan::bench(sample_count = 10)]
fn chat_1_mb_of_one_letter(bencher: Bencher<'_, '_>) {
    let request = meters::chat::ChatRequest::of_text("gpt-4o", &"a".repeat(1_000_000));
    bencher.bench(|| meters::chat::measure(&request));
}

#[divan::bench(sample_count = 10)]
fn repository_100_000_lines(bencher: Bencher<'_, '_>) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let function =
        "/// Adds.\nfn add(left: u64, right: u64) -> u64 {\n    // A comment.\n    left + right // \"sum\"\n}\n\n";
    for file in 0..334 {
        std::fs::write(folder.path().join(format!("f{file}.rs")), function.repeat(100)).expect("it can be written");
    }
    let options = meters::repository::Options::default();
    let measure = || meters::repository::measure_directory(folder.path(), &options, &meters::repository::quietly);
    assert_eq!(measure().expect("it can be measured").measurement.quantities["code_lines"], 334 * 300);
    bencher.bench(measure);
}

#[divan::bench(sample_count = 10)]
fn plan_5_000_resources(bencher: Bencher<'_, '_>) {
    let filler = json!({"ami": "ami-0123456789", "tags": {"Name": "n", "Env": "e"},
                        "ebs": [{"size": 10, "type": "gp3"}],
                        "user_data": "x".repeat(2000), "ips": ["10.0.0.1", "10.0.0.2"]});
    let change = |n: u32| {
        json!({"address": format!("aws_instance.i{n}"), "mode": "managed", "type": "aws_instance",
               "name": format!("i{n}"),
               "change": {"actions": ["create"], "before": null, "after": filler, "after_unknown": {"id": true}}})
    };
    let configured = |n: u32| {
        json!({"address": format!("aws_instance.i{n}"), "mode": "managed", "type": "aws_instance",
               "name": format!("i{n}"), "expressions": {"ami": {"constant_value": "x"},
               "subnet_id": {"references": ["aws_subnet.s.id", "aws_subnet.s"]}}})
    };
    let plan = json!({"format_version": "1.2",
                      "planned_values": {"root_module": {"resources": (0..5000).map(change).collect::<Vec<_>>()}},
                      "resource_changes": (0..5000).map(change).collect::<Vec<_>>(),
                      "configuration": {"root_module": {"resources": (0..5000).map(configured).collect::<Vec<_>>()}}})
    .to_string();
    bencher.bench(|| meters::plan::measure(plan.as_bytes()));
}

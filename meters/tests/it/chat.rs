//! Chat, as a table: request in, quantities out; and the counter against the count at once.

use meters::chat::{ChatRequest, Counter, Tokenizer, measure};
use meters::{MeasureError, Measurement};
use proptest::prelude::*;
use serde_json::{Value, json};

fn measured(request: &Value) -> Measurement {
    let request = ChatRequest::from_json(request.to_string().as_bytes()).expect("the request is well formed");
    measure(&request).expect("the request can be measured")
}

fn refused(request: &Value) -> MeasureError {
    match ChatRequest::from_json(request.to_string().as_bytes()) {
        Err(error) => error,
        Ok(request) => measure(&request).expect_err("the request must be refused"),
    }
}

#[track_caller]
fn check(request: Value, input: u64, cached: u64, output: u64) {
    let found = measured(&request);
    let quantity = |name: &str| found.quantities[name];
    let all = (quantity("input_tokens"), quantity("cached_input_tokens"), quantity("output_tokens"));
    assert_eq!(all, (input, cached, output), "{request}");
}

/// What is called counts, however it is written; what nobody knows how to count is refused.
#[test]
fn tool_calls_of_every_kind_count() {
    let with = |call: Value| json!({"model": "gpt-4o", "messages": [{"role": "assistant", "tool_calls": [call]}]});
    let words = "look at all of this ".repeat(100);
    let input = |call: Value| measured(&with(call)).quantities["input_tokens"];
    let plain = input(json!({"type": "function", "function": {"name": "run", "arguments": words}}));
    assert!(400 < plain);
    assert_eq!(input(json!({"type": "custom", "custom": {"name": "run", "input": words}})), plain);
    assert!(plain <= input(json!({"function": {"name": "run", "arguments": {"text": words}}})));
    assert_eq!(refused(&with(json!({"type": "mystery", "payload": words}))).code(), "unsupported_message_part");
}

#[test]
fn usage_objects_of_every_provider_read_alike() {
    let usage = |usage: Value| json!({"model": "m", "usage": usage});
    check(usage(json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120})), 100, 0, 20);
    check(
        usage(json!({"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 64},
                     "completion_tokens_details": {"reasoning_tokens": 15}})),
        36,
        64,
        20,
    );
    check(usage(json!({"prompt_tokens": 100, "completion_tokens": 20, "prompt_cache_hit_tokens": 30})), 70, 30, 20);
    check(
        usage(json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 7,
                     "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 107})),
        60,
        40,
        7,
    );
    check(
        usage(
            json!({"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output_tokens": 3}),
        ),
        10,
        90,
        3,
    );
    check(
        usage(
            json!({"usageMetadata": {"promptTokenCount": 50, "cachedContentTokenCount": 20, "candidatesTokenCount": 5,
                     "thoughtsTokenCount": 9, "toolUsePromptTokenCount": 2, "totalTokenCount": 66}}),
        ),
        32,
        20,
        14,
    );
    check(usage(json!({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": null})), 1, 0, 1);
    // Where reasoning stands beside the rest, or within it, against the shape's custom: the total tells.
    let reasons = |total: u64| {
        json!({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": total,
               "prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 386}})
    };
    check(usage(reasons(399)), 7, 5, 387);
    assert_eq!(refused(&usage(reasons(13))).code(), "invalid_usage");
    let thinks = |total: u64| json!({"promptTokenCount": 10, "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "totalTokenCount": total});
    check(usage(thinks(60)), 10, 0, 50);
    check(usage(thinks(40)), 10, 0, 30);
}

/// What its message asks for must help: a picture, and what its provider counted.
#[test]
fn a_usage_object_stands_for_what_cannot_be_counted() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:…"}});
    let mut request = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [image]}], "reply": "A cat."});
    assert_eq!(refused(&request).code(), "unsupported_message_part");
    request["usage"] = json!({"prompt_tokens": 90, "completion_tokens": 4});
    check(request.clone(), 90, 0, 4);
    let evidence = measured(&request).evidence;
    assert_eq!((&evidence["counted"], &evidence["estimated"]), (&Value::Null, &json!(false)));
    let long = json!({"model": "m", "text": "a".repeat(17 << 20), "usage": request["usage"]});
    check(long, 90, 0, 4);
}

/// As providers take them: beside the messages.
#[test]
fn the_system_prompt_and_the_tools_count_wherever_they_stand() {
    let words = "You answer in verse. ".repeat(50);
    let user = json!({"role": "user", "content": "Hello"});
    let within = json!({"model": "gpt-4o", "messages": [{"role": "system", "content": words}, user]});
    let expected = measured(&within);
    for beside in [
        json!({"model": "gpt-4o", "system": words, "messages": [user]}),
        json!({"model": "gpt-4o", "instructions": words, "messages": [user]}),
        json!({"model": "gpt-4o", "system": [{"type": "text", "text": words}], "messages": [user]}),
    ] {
        assert_eq!(measured(&beside), expected);
    }
    // Beside plain text it makes that a message; beside a count alone it is in the count.
    assert_eq!(measured(&json!({"model": "gpt-4o", "system": words, "text": "Hello"})), expected);
    let usage = json!({"prompt_tokens": 90, "completion_tokens": 4});
    let counted = measured(&json!({"model": "gpt-4o", "usage": usage}));
    assert_eq!(measured(&json!({"model": "gpt-4o", "usage": usage, "instructions": words})), counted);
    for twice in [
        json!({"model": "m", "text": "a", "system": "b", "instructions": "c"}),
        json!({"model": "m", "text": "a", "tools": [{}], "functions": [{}]}),
        json!({"model": "m", "system": "a"}),
    ] {
        assert_eq!(refused(&twice).code(), "invalid_chat");
    }
    let mut with_tools = within.clone();
    with_tools["tools"] = json!([{"type": "function", "function": {"name": "find", "description": words}}]);
    let found = measured(&with_tools);
    assert!(expected.quantities["input_tokens"] + 200 < found.quantities["input_tokens"]);
    assert_eq!((&expected.evidence["estimated"], &found.evidence["estimated"]), (&json!(false), &json!(true)));
    with_tools["tools"] = json!([]);
    assert_eq!(measured(&with_tools), expected);
    let called = |call: Value| measured(&json!({"model": "gpt-4o", "messages": [call]})).quantities["input_tokens"];
    let call = json!({"name": "find", "arguments": words});
    assert_eq!(
        called(json!({"role": "assistant", "content": null, "function_call": call})),
        called(json!({"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": call}]})),
    );
}

/// Clients write null for what they have not.
#[test]
fn null_is_nothing() {
    let plain = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]});
    let with_nulls = json!({
        "model": "gpt-4o", "asked_model": null, "text": null, "system": null, "instructions": null, "tools": null,
        "functions": null, "reply": null, "tool_calls": null, "usage": null, "outcome": null,
        "messages": [{"role": "user", "content": "Hello", "name": null, "tool_calls": null, "function_call": null}],
    });
    assert_eq!(measured(&with_nulls), measured(&plain));
    // Nor is a prompt that was left empty.
    let text = |system: Value| measured(&json!({"model": "gpt-4o", "text": "Hello", "system": system}));
    assert_eq!(text(json!("")), text(Value::Null));
    assert_eq!(text(json!([])), text(Value::Null));
}

/// What stands beside the messages is not one of them, and is named by its own field.
#[test]
fn a_refused_part_is_named_where_it_stands() {
    let image = json!({"type": "image", "source": {}});
    let field = |request: Value| refused(&request).field();
    let of = |system: Value, content: Value| {
        field(json!({"model": "m", "system": system, "messages": [{"role": "user", "content": content}]}))
    };
    assert_eq!(of(json!("a"), json!([image])).as_deref(), Some("messages[0].content[0]"));
    assert_eq!(of(json!([{"type": "text", "text": "a"}, image]), json!("b")).as_deref(), Some("system[1]"));
    let call = |name: &str, call: Value| field(json!({"model": "m", "messages": [{"role": "assistant", name: call}]}));
    assert_eq!(call("function_call", json!({})).as_deref(), Some("messages[0].function_call"));
    assert_eq!(call("tool_calls", json!([{}])).as_deref(), Some("messages[0].tool_calls[0]"));
    for name in ["tools", "functions"] {
        assert_eq!(refused(&json!({"model": "m", "text": "a", name: [[null]]})).code(), "invalid_chat");
    }
}

#[test]
fn anthropic_tells_what_it_wrote_to_its_cache() {
    let found = measured(&json!({"model": "claude", "usage":
        {"input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 0, "output_tokens": 3}}));
    assert_eq!(found.quantities["cache_write_tokens"], 5);
}

#[test]
fn odd_usage_is_refused_by_field() {
    let table = [
        (
            json!({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}}),
            "usage.prompt_tokens",
        ),
        (json!({"prompt_tokens": -1, "completion_tokens": 1}), "usage.prompt_tokens"),
        (json!({"prompt_tokens": 1.5, "completion_tokens": 1}), "usage.prompt_tokens"),
        (json!({"prompt_tokens": "9", "completion_tokens": 1}), "usage.prompt_tokens"),
        (json!({"prompt_tokens": 2_000_000_000_000_u64, "completion_tokens": 1}), "usage.prompt_tokens"),
        (json!({"tokens": 1}), "usage"),
        (json!(7), "usage"),
    ];
    for (usage, field) in table {
        let error = refused(&json!({"model": "m", "usage": usage}));
        assert_eq!((error.code(), error.field()), ("invalid_usage", Some(field.to_owned())), "{error}");
    }
}

#[test]
fn framing_follows_the_cookbook() {
    // The cookbook's own example: 129 tokens by its count for gpt-4o and 129 for gpt-4 (6 messages, four with a name).
    let messages = json!([
        {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
        {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
        {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
    ]);
    check(json!({"model": "gpt-4-0613", "messages": messages}), 129, 0, 0);
    check(json!({"model": "gpt-4o", "messages": messages}), 124, 0, 0);
}

#[test]
fn text_is_counted_without_framing() {
    check(json!({"model": "gpt-4", "text": "hello world", "reply": "hello world"}), 2, 0, 2);
    check(json!({"model": "gpt-4", "text": ""}), 0, 0, 0);
    check(json!({"model": "gpt-4o", "messages": []}), 3, 0, 0);
}

#[test]
fn outcome_is_told_by_the_reply_or_the_caller() {
    let outcome = |request: Value| measured(&request).dimensions.get("outcome").cloned();
    assert_eq!(outcome(json!({"model": "m", "text": "a"})), None);
    assert_eq!(outcome(json!({"model": "m", "text": "a", "reply": "b"})), None);
    assert_eq!(outcome(json!({"model": "m", "text": "a", "reply": " \n"})).as_deref(), Some("empty"));
    assert_eq!(
        outcome(json!({"model": "m", "text": "a", "reply": "b", "outcome": "failed"})).as_deref(),
        Some("failed")
    );
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 0});
    assert_eq!(outcome(json!({"model": "m", "usage": usage})).as_deref(), Some("empty"));
}

/// What a provider counted of a reply without words is what its model thought: nobody can read it.
#[test]
fn a_reply_without_words_is_empty_unless_it_calls_something() {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 64});
    let tools = json!([{"type": "function", "function": {"name": "find"}}]);
    let call = json!([{"type": "function", "function": {"name": "find", "arguments": "{}"}}]);
    let outcome = |reply: Value, tools: Value, calls: Value, usage: Value| {
        let request = json!({"model": "m", "text": "a", "reply": reply, "tools": tools, "tool_calls": calls,
            "usage": usage});
        measured(&request).dimensions.get("outcome").cloned()
    };
    let (none, blank, empty) = (Value::Null, json!(" "), Some("empty".to_owned()));
    for (reply, tools, calls, usage, expected) in [
        (&blank, &none, &none, &usage, &empty),
        (&blank, &none, &json!([]), &usage, &empty),
        (&blank, &tools, &json!([]), &usage, &empty),
        // Nothing was said of calls, and there may have been some.
        (&blank, &tools, &none, &usage, &None),
        (&blank, &tools, &none, &none, &empty),
        (&blank, &none, &call, &usage, &None),
        (&blank, &tools, &call, &none, &None),
        (&none, &none, &call, &none, &None),
        (&json!("b"), &tools, &json!([]), &usage, &None),
        (&none, &none, &none, &usage, &None),
        (&blank, &tools, &call, &json!({"prompt_tokens": 9, "completion_tokens": 0}), &empty),
    ] {
        let found = outcome(reply.clone(), tools.clone(), calls.clone(), usage.clone());
        assert_eq!(found, *expected, "{reply} {tools} {calls} {usage}");
    }
}

#[test]
fn what_a_reply_calls_is_output_and_an_estimate() {
    let call = |calls: Value| json!({"model": "gpt-4o", "text": "a", "reply": "hello world", "tool_calls": calls});
    let with = measured(&call(json!([{"function": {"name": "hello", "arguments": "world"}}])));
    let without = measured(&call(json!([])));
    assert_eq!((with.quantities["output_tokens"], without.quantities["output_tokens"]), (4, 2));
    assert_eq!((&with.evidence["estimated"], &without.evidence["estimated"]), (&json!(true), &json!(false)));
    let error = refused(&call(json!([{"function": {"name": "hello"}}, {}])));
    assert_eq!(error.field().as_deref(), Some("tool_calls[1]"));
}

#[test]
fn a_fallback_keeps_the_model_that_was_asked_for() {
    let found = measured(&json!({"model": "small", "asked_model": "large", "text": "a"}));
    assert_eq!(found.dimensions["asked_model"], "large");
    let same = measured(&json!({"model": "small", "asked_model": "small", "text": "a"}));
    assert!(!same.dimensions.contains_key("asked_model"));
}

#[test]
fn each_model_has_its_tokenizer() {
    let table = [
        ("gpt-4o-mini", "o200k_base", false),
        ("openai/gpt-5.1", "o200k_base", false),
        ("GPT-4", "cl100k_base", false),
        ("o3-mini", "o200k_base", false),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3", false),
        ("llama-2-70b", "llama3", true),
        ("qwen3-coder", "qwen2", false),
        ("deepseek-chat", "deepseek_v4", false),
        ("mistral-large-latest", "mistral_v3", false),
        ("claude-sonnet-4-5", "o200k_base", true),
        ("gemini-2.5-pro", "o200k_base", true),
        ("adaptive-thing", "o200k_base", true),
        ("ada", "r50k_base", false),
        ("", "o200k_base", true),
        ("☃", "o200k_base", true),
    ];
    for (model, name, estimated) in table {
        let tokenizer = Tokenizer::of_model(model);
        assert_eq!((tokenizer.name, tokenizer.estimated), (name, estimated), "{model}");
    }
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:…"}});
    let error = refused(
        &json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, image]}]}),
    );
    assert_eq!((error.code(), error.field().as_deref()), ("unsupported_message_part", Some("messages[0].content[1]")));
    for request in [
        json!({"model": "m"}),
        json!({"model": " ", "text": "a"}),
        json!({"text": "a"}),
        json!({"model": "m", "text": "a", "messages": []}),
        json!([]),
    ] {
        assert_eq!(refused(&request).code(), "invalid_chat", "{request}");
    }
    let long = "a".repeat(17 << 20);
    assert_eq!(refused(&json!({"model": "m", "text": long})).code(), "chat_too_long");
}

#[test]
fn control_tokens_are_plain_text() {
    let tokenizer = Tokenizer::of_model("gpt-4o");
    assert!(1 < tokenizer.count("<|endoftext|>"));
}

#[test]
fn the_evidence_names_the_version_that_counts() {
    let lock = include_str!("../../../Cargo.lock");
    for (name, version) in [meters::chat::TOKENIZER_VERSION, "tokei 15.0.0"].map(|full| full.split_once(' ').unwrap()) {
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")), "{name} {version}");
    }
    assert!(meters::repository::COUNTER_VERSION.ends_with("tokei 15.0.0"));
}

/// Every cut of a text, in every vocabulary, must end at the count of the whole.
fn counts_alike(text: &str, cuts: &[usize]) {
    for name in [
        "o200k_base",
        "cl100k_base",
        "p50k_base",
        "llama3",
        "deepseek_v3",
        "qwen2",
        "mistral_v3",
        "kimi_k2",
        "glm5",
        "minimax_m2",
    ] {
        let tokenizer = Tokenizer::named(name).unwrap();
        let mut counter = Counter::with(tokenizer.clone());
        let mut rest = text;
        for cut in cuts {
            let mut at = (*cut).min(rest.len());
            while !rest.is_char_boundary(at) {
                at += 1;
            }
            counter.push(&rest[..at]);
            rest = &rest[at..];
        }
        counter.push(rest);
        assert_eq!(counter.finish(), tokenizer.count(text), "{name}: {text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_stream_counts_as_the_whole(text in "([a-z]{1,9}|[A-Z]{1,3}|[0-9]{1,7}|'[a-z]{1,2}| {1,3}|\\n|\\r\\n|\\t|[.,;:!?()/\\\\'\"-]{1,3}|[一-龥]{1,4}|[ぁ-ゖァ-ヺ]{1,3}|[가-힣]{1,3}|[、。，：！？]|\\PC){0,60}",
                                    cuts in proptest::collection::vec(0_usize..12, 0..60)) {
        counts_alike(&text, &cuts);
    }

    #[test]
    fn no_bytes_make_the_request_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ChatRequest::from_json(&bytes);
    }
}

#[test]
fn the_running_count_never_passes_the_whole_by_more_than_the_tail_could() {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    let mut counter = Counter::new("gpt-4o");
    let mut last = 0;
    for character in text.chars() {
        last = counter.push(character.encode_utf8(&mut [0; 4]));
    }
    assert_eq!(last, counter.finish());
}

#[test]
fn a_long_text_counts_in_pieces_as_the_whole() {
    let words = "Ein längerer Text, don't you think? 文章です。 12345678 \r\n\t {\"json\": [1, 2]}\n".repeat(4000);
    let text = words + &"x".repeat(300_000) + " and more. ";
    for model in
        ["gpt-4o", "gpt-4", "llama-3.1", "qwen3", "deepseek-chat", "mistral-large", "kimi-k2", "glm-5", "minimax-m2"]
    {
        let found = measured(&json!({"model": model, "text": text}));
        assert_eq!(found.quantities["input_tokens"], Tokenizer::of_model(model).count(&text), "{model}");
    }
}

#[test]
fn long_sameness_is_neither_slow_nor_wrong() {
    for text in [
        "a".repeat(1 << 20),
        " ".repeat(1 << 20),
        "\n".repeat(1 << 20),
        "=".repeat(1 << 20),
        "文".repeat(300_000),
        "ab".repeat(1 << 19),
        "\u{301}".repeat(200_000),
        "1".repeat(1 << 20),
    ] {
        let start = std::time::Instant::now();
        let tokenizer = Tokenizer::of_model("gpt-4o");
        let whole = tokenizer.count(&text);
        let mut counter = Counter::with(tokenizer);
        let mut buffer = [0; 4];
        for character in text.chars() {
            counter.push(character.encode_utf8(&mut buffer));
        }
        assert_eq!(counter.finish(), whole);
        // Quadratic would be hours; this is generous for an unoptimised build on a busy machine.
        assert!(start.elapsed().as_secs() < 60, "{:?} for {:?}…", start.elapsed(), &text[..8]);
    }
}

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

/// Where calls and what came of them are parts of messages, and not beside them.
#[test]
fn calls_and_their_results_count_as_parts_of_messages() {
    let input = |content: Value| {
        let found = measured(&json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}));
        (found.quantities["input_tokens"], found.evidence["estimated"] == json!(true))
    };
    let words = "look at all of this ".repeat(100);
    let (plain, _) = input(json!(words));
    let nothing = input(json!([])).0;
    let result = |content: Value| input(json!([{"type": "tool_result", "tool_use_id": "toolu_1", "content": content}]));
    assert_eq!(result(json!(words)), (plain, true));
    assert_eq!(result(json!([{"type": "text", "text": words}])), (plain, true));
    assert_eq!(result(Value::Null), (nothing, true));
    assert_eq!(input(json!([{"type": "tool_result", "tool_use_id": "toolu_1"}])), (nothing, true));
    let call = input(json!([{"type": "tool_use", "id": "toolu_1", "name": "run", "input": {"text": words}}]));
    assert!(plain < call.0 && call.1, "{call:?}");
    assert_eq!(input(json!([{"type": "refusal", "refusal": words}])), (plain, false));
    // A picture within is a picture; and what says nothing is refused whatever its kind.
    let field = |content: Value| {
        refused(&json!({"model": "m", "messages": [{"role": "user", "content": content}]})).field().unwrap()
    };
    let picture = json!([{"type": "text", "text": "a"}, {"type": "image", "source": {}}]);
    let within = json!([{"type": "tool_result", "content": picture}]);
    assert_eq!(field(within.clone()), "messages[0].content[0].content[1]");
    assert_eq!(field(json!([{"type": "refusal"}])), "messages[0].content[0]");
    assert_eq!(
        field(json!([{"type": "document", "name": "a.pdf", "content": [1], "input": 7}])),
        "messages[0].content[0]"
    );
    let usage = json!({"input_tokens": 90, "output_tokens": 4, "cache_read_input_tokens": 0});
    check(json!({"model": "m", "messages": [{"role": "user", "content": within}], "usage": usage}), 90, 0, 4);
}

/// The quantities that a usage object comes to, those of none left out.
fn used(usage: &Value) -> Value {
    let mut quantities = measured(&json!({"model": "m", "usage": usage})).quantities;
    quantities.retain(|_, count| 0 < *count);
    json!(quantities)
}

/// Each as its provider documents it, or as it was seen where the provider documents none.
#[test]
fn usage_objects_of_every_provider_read_alike() {
    let table = [
        // OpenAI: what was cached is inside the input. 2 600 tokens, of which 2 000 were read and 400 written.
        (
            json!({"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
                   "prompt_tokens_details": {"cached_tokens": 1920}, "completion_tokens_details": {"reasoning_tokens": 15}}),
            json!({"input_tokens": 86, "cached_input_tokens": 1920, "output_tokens": 300}),
        ),
        (
            json!({"prompt_tokens": 2600, "completion_tokens": 300, "total_tokens": 2900,
                   "prompt_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 400}}),
            json!({"input_tokens": 200, "cached_input_tokens": 2000, "cache_write_tokens": 400, "output_tokens": 300}),
        ),
        (
            json!({"input_tokens": 2600, "output_tokens": 300, "total_tokens": 2900,
                   "input_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 400},
                   "output_tokens_details": {"reasoning_tokens": 256}}),
            json!({"input_tokens": 200, "cached_input_tokens": 2000, "cache_write_tokens": 400, "output_tokens": 300}),
        ),
        (
            json!({"total_tokens": 253, "input_tokens": 132, "output_tokens": 121, "input_token_details":
                   {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64}}),
            json!({"input_tokens": 68, "cached_input_tokens": 64, "output_tokens": 121}),
        ),
        // Those who copy it. OpenRouter writes what it costs, too; Groq how long it took.
        (
            json!({"completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 0}, "cost": 0.95,
                   "cost_details": {"upstream_inference_cost": 19}, "prompt_tokens": 194, "total_tokens": 196,
                   "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0}}),
            json!({"input_tokens": 94, "cache_write_tokens": 100, "output_tokens": 2}),
        ),
        (
            json!({"queue_time": 0.037, "prompt_tokens": 4641, "prompt_time": 0.096, "completion_tokens": 1817,
                   "completion_time": 3.02, "total_tokens": 6458, "total_time": 3.12,
                   "prompt_tokens_details": {"cached_tokens": 4608}}),
            json!({"input_tokens": 33, "cached_input_tokens": 4608, "output_tokens": 1817}),
        ),
        (
            json!({"prompt_tokens": 1013, "completion_tokens": 30, "total_tokens": 1043, "prompt_audio_seconds": null,
                   "prompt_tokens_details": {"cached_tokens": 1008}}),
            json!({"input_tokens": 5, "cached_input_tokens": 1008, "output_tokens": 30}),
        ),
        (
            json!({"prompt_tokens": 5734, "completion_tokens": 181, "total_tokens": 5915,
                   "prompt_cache_hit_tokens": 4480, "prompt_cache_miss_tokens": 1254,
                   "completion_tokens_details": {"reasoning_tokens": 55}}),
            json!({"input_tokens": 1254, "cached_input_tokens": 4480, "output_tokens": 181}),
        ),
        (
            json!({"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40, "cached_tokens": 10}),
            json!({"input_tokens": 9, "cached_input_tokens": 10, "output_tokens": 21}),
        ),
        // xAI: reasoning stands beside the output, and only the total tells.
        (
            json!({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, "num_sources_used": 0,
                   "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 6},
                   "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0}}),
            json!({"input_tokens": 26, "cached_input_tokens": 6, "output_tokens": 103}),
        ),
        (
            json!({"input_tokens": 125, "output_tokens": 48, "total_tokens": 273,
                   "input_tokens_details": {"cached_tokens": 98}, "output_tokens_details": {"reasoning_tokens": 100}}),
            json!({"input_tokens": 27, "cached_input_tokens": 98, "output_tokens": 148}),
        ),
        // Qwen, whose writes are for five minutes or an hour; LiteLLM, which adds them up as Anthropic does not.
        (
            json!({"prompt_tokens": 1605, "completion_tokens": 203, "total_tokens": 1808, "prompt_tokens_details":
                   {"cached_tokens": 0, "cache_type": "ephemeral", "cache_creation_input_tokens": 1594,
                    "cache_creation": {"ephemeral_1h_input_tokens": 1594}}}),
            json!({"input_tokens": 11, "cache_write_1h_tokens": 1594, "output_tokens": 203}),
        ),
        (
            json!({"total_tokens": 103_925, "prompt_tokens": 98_805, "completion_tokens": 5120,
                   "prompt_tokens_details": {"text_tokens": null, "cached_tokens": 66_360, "cache_creation_tokens": 32_435},
                   "completion_tokens_details": {"reasoning_tokens": 1710, "text_tokens": null},
                   "cache_read_input_tokens": 66_360, "cache_creation_input_tokens": 32_435}),
            json!({"input_tokens": 10, "cached_input_tokens": 66_360, "cache_write_tokens": 32_435, "output_tokens": 5120}),
        ),
    ];
    for (usage, expected) in table {
        assert_eq!(used(&usage), expected, "{usage}");
        assert_eq!(used(&json!({"id": "chat-1", "usage": usage})), expected, "within what came back");
    }
}

/// Whose counts of what was cached stand beside the input, or who have names of their own for everything.
#[test]
fn usage_objects_of_other_shapes_read_alike() {
    let table = [
        (
            json!({"input_tokens": 2048, "cache_read_input_tokens": 1800, "cache_creation_input_tokens": 248,
                   "output_tokens": 503, "service_tier": "standard",
                   "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100}}),
            json!({"input_tokens": 2048, "cached_input_tokens": 1800, "cache_write_tokens": 148,
                   "cache_write_1h_tokens": 100, "output_tokens": 503}),
        ),
        (
            json!({"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output_tokens": 3}),
            json!({"input_tokens": 10, "cached_input_tokens": 90, "cache_write_tokens": 5, "output_tokens": 3}),
        ),
        (
            json!({"input_tokens": 10, "output_tokens": 3, "cache_creation":
                   {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7}}),
            json!({"input_tokens": 10, "cache_write_1h_tokens": 7, "output_tokens": 3}),
        ),
        // Bedrock: the three kinds of input stand beside each other, the writes once more by how long they last.
        (
            json!({"inputTokens": 30, "outputTokens": 628, "totalTokens": 658}),
            json!({"input_tokens": 30, "output_tokens": 628}),
        ),
        (
            json!({"inputTokens": 12, "outputTokens": 350, "totalTokens": 1562, "cacheReadInputTokens": 800,
                   "cacheWriteInputTokens": 400, "cacheDetails":
                   [{"ttl": "1h", "inputTokens": 300}, {"ttl": "5m", "inputTokens": 100}]}),
            json!({"input_tokens": 12, "cached_input_tokens": 800, "cache_write_tokens": 100,
                   "cache_write_1h_tokens": 300, "output_tokens": 350}),
        ),
        (
            json!({"inputTokens": 4, "outputTokens": 8, "totalTokens": 12, "cacheReadInputTokenCount": 5,
                   "cacheWriteInputTokenCount": 6}),
            json!({"input_tokens": 4, "cached_input_tokens": 5, "cache_write_tokens": 6, "output_tokens": 8}),
        ),
        // Gemini: thoughts stand beside the candidates, and what tools answered beside the prompt.
        (
            json!({"usageMetadata": {"promptTokenCount": 50, "cachedContentTokenCount": 20, "candidatesTokenCount": 5,
                   "thoughtsTokenCount": 9, "toolUsePromptTokenCount": 2, "totalTokenCount": 66,
                   "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 50}]}}),
            json!({"input_tokens": 32, "cached_input_tokens": 20, "output_tokens": 14}),
        ),
        (
            json!({"prompt_token_count": 10, "candidates_token_count": 30, "thoughts_token_count": 20,
                   "cached_content_token_count": null, "total_token_count": 60}),
            json!({"input_tokens": 10, "output_tokens": 50}),
        ),
        (
            json!({"promptTokenCount": 10, "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "totalTokenCount": 40}),
            json!({"input_tokens": 10, "output_tokens": 30}),
        ),
        (
            json!({"total_tokens": 197, "total_input_tokens": 8, "total_output_tokens": 12, "total_thought_tokens": 177}),
            json!({"input_tokens": 8, "output_tokens": 189}),
        ),
        // Cohere: what it bills, not what its model read; where it bills nothing, that.
        (
            json!({"billed_units": {"input_tokens": 5, "output_tokens": 418},
                   "tokens": {"input_tokens": 71, "output_tokens": 418}, "cached_tokens": 64}),
            json!({"input_tokens": 5, "output_tokens": 418}),
        ),
        (
            json!({"meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 6.0, "output_tokens": 90.0}}}),
            json!({"input_tokens": 6, "output_tokens": 90}),
        ),
        (
            json!({"billed_units": {}, "tokens": {"input_tokens": 71, "output_tokens": 9}}),
            json!({"input_tokens": 71, "output_tokens": 9}),
        ),
        // Ollama writes it into the reply itself.
        (
            json!({"model": "gemma4", "response": "Hello!", "done": true, "total_duration": 174_560_334,
                   "prompt_eval_count": 11, "prompt_eval_cached_count": 8, "prompt_eval_duration": 13_074_791,
                   "eval_count": 18, "eval_duration": 52_479_709}),
            json!({"input_tokens": 3, "cached_input_tokens": 8, "output_tokens": 18}),
        ),
    ];
    for (usage, expected) in table {
        assert_eq!(used(&usage), expected, "{usage}");
    }
}

/// An hour's writes are told where there were any, and only then: cards that know no such thing still price the rest.
#[test]
fn writes_for_an_hour_are_a_quantity_where_there_are_any() {
    let names = |usage: Value| {
        let found = measured(&json!({"model": "m", "usage": usage})).quantities;
        found.into_keys().filter(|name| name.starts_with("cache_write")).collect::<Vec<_>>()
    };
    let anthropic = |hour: u64| {
        json!({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": hour, "cache_read_input_tokens": 0,
               "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": hour}})
    };
    assert_eq!(names(anthropic(0)), ["cache_write_tokens"]);
    assert_eq!(names(anthropic(3)), ["cache_write_1h_tokens", "cache_write_tokens"]);
    assert!(names(json!({"prompt_tokens": 1, "completion_tokens": 1})).is_empty());
    assert!(names(json!({"inputTokens": 1, "outputTokens": 1})).is_empty());
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
        (
            json!({"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14, "completion_tokens_details":
                {"reasoning_tokens": 10}}),
            "usage.completion_tokens_details.reasoning_tokens",
        ),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details":
                {"cached_tokens": 6, "cache_write_tokens": 4}}),
            "usage.prompt_tokens",
        ),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details":
                {"cache_write_tokens": 4, "cache_creation": {"ephemeral_1h_input_tokens": 5}}}),
            "usage.prompt_tokens_details.cache_creation.ephemeral_1h_input_tokens",
        ),
        (
            json!({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 4, "cache_creation":
                {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 1}}),
            "usage.cache_creation",
        ),
        // The last piece of a stream has counted no input.
        (json!({"output_tokens": 1, "cache_read_input_tokens": 4}), "usage.input_tokens"),
        (json!({"eval_count": 4, "done": true}), "usage.prompt_eval_count"),
        (json!({"inputTokens": 4, "totalTokens": 4}), "usage.outputTokens"),
        (
            json!({"inputTokens": 4, "outputTokens": 4, "cacheWriteInputTokens": 1, "cacheDetails":
                [{"ttl": "1h", "inputTokens": 2}]}),
            "usage.cacheDetails",
        ),
        (
            json!({"inputTokens": 4, "outputTokens": 4, "cacheDetails": [{"ttl": "1h"}]}),
            "usage.cacheDetails[0].inputTokens",
        ),
        // A library's summary of another's counts.
        (json!({"inputTokens": 4, "outputTokens": 4, "cachedInputTokens": 2}), "usage.cachedInputTokens"),
        (
            json!({"input_tokens": 4, "output_tokens": 4, "input_token_details": {"cache_read": 2}}),
            "usage.input_token_details.cache_read",
        ),
        (json!({"billed_units": {"search_units": 1}}), "usage.tokens.input_tokens"),
        (json!({"tokens": 1}), "usage"),
        (json!({"promptTokens": 1, "completionTokens": 1}), "usage"),
        (json!({"output_tokens": 1}), "usage"),
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
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama3", true),
        ("qwen3-coder", "qwen2", false),
        ("Qwen/Qwen2.5-72B-Instruct", "qwen2", false),
        ("qwen3.7-max", "qwen2", true),
        ("qwen-max-latest", "qwen2", true),
        ("deepseek-r1", "deepseek_v3", false),
        ("deepseek-r1-distill-llama-70b", "deepseek_v3", true),
        ("deepseek-chat", "deepseek_v4", false),
        ("mistral-large-latest", "mistral_v3", false),
        ("mistral-large-2411", "mistral_v3", true),
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

//! The store entries byte for byte: digests published in Ollama's own tests of `ollama create`, release 0.15.0.
//! The GGUF files are made by `gguf/testing.rs`.

use std::io::Cursor;

use payload::Digest;
use serde_json::json;

use super::*;
use crate::content::gguf;
use crate::content::gguf::testing::Writer;

const WEIGHTS: &str = "89a2116c3a82d6a97f59f748d86ed4417214353fd178ee54df418fde32495fad";

fn made(writer: &Writer, settings: &ModelSettings) -> StoreEntries {
    let bytes = writer.bytes();
    let gguf = gguf::read(Cursor::new(&bytes), bytes.len() as u64).unwrap();
    entries(&gguf, Digest::of(&bytes), bytes.len() as u64, &[], settings)
}

fn digests(settings: &ModelSettings) -> Vec<String> {
    made(&Writer::new("test"), settings).blobs.iter().map(|blob| Digest::of(blob).hex()).collect()
}

fn chat(jinja: &str) -> Writer {
    Writer::new("llama").text("tokenizer.chat_template", jinja)
}

#[test]
fn the_bare_model_has_the_published_digests() {
    assert_eq!(Digest::of(&Writer::new("test").bytes()).hex(), WEIGHTS);
    let config = "6bcdb8859d417753645538d7bbfbd7ca91a3f0c191aef5379c53c05e86b669dd";
    assert_eq!(digests(&ModelSettings::default()), [config]);
}

#[test]
fn templates_have_the_published_digests() {
    for (template, blob, config) in [
        (
            "{{ .Prompt }}",
            "b507b9c2f6ca642bffcd06665ea7c91f235fd32daeefdf875a0f938db05fb315",
            "f6e7e4b28e0b1d0c635f2d465bd248c5387c3e75b61a48c4374192b26d832a56",
        ),
        (
            "{{ .System }} {{ .Prompt }}",
            "fe7ac77b725cda2ccad03f88a880ecdfd7a33192d6cae08fce2c0ee1455991ed",
            "136bf7c76bac2ec09d6617885507d37829e04b41acc47687d45e512b544e893a",
        ),
    ] {
        let settings = ModelSettings { template: Some(template.to_owned()), ..ModelSettings::default() };
        assert_eq!(digests(&settings), [blob, config]);
    }
}

#[test]
fn system_messages_have_the_published_digests() {
    let settings = ModelSettings { system: Some("Say hi!".to_owned()), ..ModelSettings::default() };
    let blob = "f29e82a8284dbdf5910b1555580ff60b04238b8da9d5e51159ada67a4d0d5851";
    assert_eq!(digests(&settings), [blob, "0a666d113e8e0a3d27e9c7bd136a0bdfb6241037db50729d81568451ebfdbde8"]);
}

#[test]
fn params_have_the_published_digests_whatever_kind_of_number_the_manifest_has() {
    let params = json!({"top_k": 10, "temperature": 1.0, "stop": ["USER:", "ASSISTANT:"]});
    let settings = ModelSettings { params: params.as_object().cloned(), ..ModelSettings::default() };
    let blob = "1d0ad71299d48c2fb7ae2b98e683643e771f8a5b72be34942af90d97a91c1e37";
    assert_eq!(digests(&settings), [blob, "6d6e36c1f90fc7deefc33a7300aa21ad4b67c506e33ecdeddfafa98147e60bbf"]);
}

#[test]
fn stop_words_are_escaped_as_go_does() {
    // The digest that TestCreateDetectTemplate states for these stop words begins so.
    let params = json!({"stop": ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]});
    let (bytes, _) = params::merged(&[], params.as_object());
    let text = String::from_utf8(bytes.unwrap()).unwrap();
    assert!(text.starts_with(r#"{"stop":["\u003c|end|\u003e","#) && text.ends_with("]}\n"), "{text}");
    assert!(Digest::of(text.as_bytes()).hex().starts_with("0d79f567"));
    assert_eq!(json::text("a&b\"\\\n\u{2028}ü"), "\"a\\u0026b\\\"\\\\\\n\\u2028ü\"");
}

#[test]
fn the_manifest_lists_the_layers_in_order_and_ends_without_a_newline() {
    let settings = ModelSettings {
        template: Some("T".to_owned()),
        system: Some("S".to_owned()),
        license: vec!["L1".to_owned(), "L2".to_owned()],
        params: json!({"seed": 1}).as_object().cloned(),
        ..ModelSettings::default()
    };
    let made = made(&Writer::new("test"), &settings);
    let text = std::str::from_utf8(&made.manifest).unwrap();
    let config = made.blobs.last().unwrap();
    let start = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\",\"config\":\
         {{\"mediaType\":\"application/vnd.docker.container.image.v1+json\",\"digest\":\"{}\",\"size\":{}}},\"layers\":\
         [{{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:{WEIGHTS}\",\"size\":{}}},",
        Digest::of(config),
        config.len(),
        Writer::new("test").bytes().len()
    );
    assert!(text.starts_with(&start), "{text}");
    assert!(text.ends_with("}]}") && !text.contains("\"from\""));
    let parsed: serde_json::Value = serde_json::from_str(text).unwrap();
    let kinds: Vec<&str> =
        parsed["layers"].as_array().unwrap().iter().filter_map(|l| l["mediaType"].as_str()).collect();
    assert_eq!(kinds, [MODEL, TEMPLATE, SYSTEM, LICENSE, LICENSE, PARAMS]);
    let config: serde_json::Value = serde_json::from_slice(config).unwrap();
    let digests: Vec<&serde_json::Value> = parsed["layers"].as_array().unwrap().iter().map(|l| &l["digest"]).collect();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().iter().collect::<Vec<_>>(), digests);
}

#[test]
fn counts_are_worded_as_ollama_words_them() {
    for (count, text) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1K"),
        (12_345, "12K"),
        (999_999, "1000K"),
        (1_000_000, "1M"),
        (125_000_000, "125M"),
        (135_515_392, "135.52M"),
        (500_500_000, "500.50M"),
        (6_738_415_616, "6.7B"),
        (8_000_000_000, "8B"),
        (8_030_261_248, "8.0B"),
        (1_000_000_000_000, "1000B"),
    ] {
        assert_eq!(config::human_number(count), text);
    }
}

#[test]
fn file_types_have_ollamas_names() {
    let of = |number| config::file_type(Some(number));
    assert_eq!((of(0), of(1), of(2), of(15), of(19), of(32)), ("unknown", "F16", "Q4_0", "Q4_K_M", "unknown", "BF16"));
    assert_eq!(config::file_type(None), "unknown");
}

/// The characteristic parts of the Jinja templates of well-known models.
const JINJA: [(&str, &str); 32] = [
    (
        "ChatML",
        "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n'}}{% endfor %}",
    ),
    (
        "Qwen 2.5",
        "You may call one or more functions to assist with the user query {{'<|im_start|>'}} <function-name> <tool_response> <|im_end|>",
    ),
    (
        "Qwen 3",
        "You may call one or more functions to assist with the user query <|im_start|> <function-name> <tool_response> <|im_end|> \
         {{ m.reasoning_content }}",
    ),
    ("Phi-4", "{{'<|im_start|>user<|im_sep|>' + m['content'] + '<|im_end|>'}}"),
    ("Llama 2", "{{ bos_token + '[INST] <<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m['content'] + ' [/INST]' }}"),
    (
        "Llama 3",
        "{% set content = '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' + c | trim + '<|eot_id|>' %}",
    ),
    ("Llama 3.1", "<|start_header_id|> Cutting Knowledge Date: x {% set date = '26 Jul 2024' %} <|eot_id|>"),
    ("Llama 4", "{{- '<|header_start|>' + m['role'] + '<|header_end|>\\n\\n' }}{{- '<|eot|>' }}"),
    ("Mistral", "{{ bos_token }}{{ '[INST] ' + m['content'] + '[/INST]' }}{{ ' ' + m['content'] + eos_token }}"),
    ("Mistral v1", "{{ bos_token }}{{ '[INST] ' + m['content'] + ' [/INST]' }}{{ m['content'] + eos_token }}"),
    (
        "Mistral v1 with spaces",
        "{{ bos_token }}{{ ' [INST] ' + m['content'] + ' [/INST]' }}{{ ' ' + m['content'] + eos_token }}",
    ),
    ("Mistral v3", "{{ '[AVAILABLE_TOOLS] [' }}{{ '[INST] ' + c + '[/INST]' }}{{ '[TOOL_CALLS] [' }}"),
    ("Mistral Nemo", "{{ '[AVAILABLE_TOOLS][' }}{{ '[INST]' + c + '[/INST]' }}{{ '[TOOL_CALLS][' }}"),
    ("Mistral with [SYSTEM_PROMPT]", "{{ '[SYSTEM_PROMPT]' + s + '[/SYSTEM_PROMPT]' }}{{ '[INST]' + c + '[/INST]' }}"),
    (
        "Mistral with [SYSTEM_PROMPT] and spaces",
        "{{ '[SYSTEM_PROMPT] ' + s + '[/SYSTEM_PROMPT]' }}{{ '[INST] ' + c + '[/INST]' }}",
    ),
    ("Gemma", "{{ '<start_of_turn>' + role + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}"),
    ("Phi-3", "{{'<|user|>\\n' + m['content'] + '<|end|>\\n'}}{{'<|assistant|>\\n'}}"),
    ("Phi-4 mini", "{{'<|' + m['role'] + '|>' + m['content'] + '<|end|>'}}{{'<|assistant|>'}}"),
    (
        "Zephyr",
        "{{ '<|user|>\\n' + m['content'] + eos_token }}{{ '<|system|>\\n' + c + eos_token }}{{ '<|assistant|>' }}",
    ),
    ("Granite", "{{ '<|start_of_role|>' + m['role'] + '<|end_of_role|>' + m['content'] + '<|end_of_text|>\\n' }}"),
    ("Granite 3.3", "{{- '<|start_of_role|>available_tools<|end_of_role|>' }}{{ tools }}{{ '<|end_of_text|>' }}"),
    ("Granite 3.1", "{{- '<|start_of_role|>tools<|end_of_role|>' }}{{ tools }}{{ '<|end_of_text|>' }}"),
    (
        "Granite 3.0",
        "{{- '<|start_of_role|>available_tools<|end_of_role|>\n' }}{% elif m.role == 'assistant_tool_call' %}{{ '<|end_of_role|>' }}",
    ),
    (
        "Granite 4",
        "{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' }}{{ '<tool_response>' }}{{ '<|end_of_text|>' }}",
    ),
    (
        "Mistral with [SYSTEM_PROMPT] and [CALL_ID]",
        "{{ '[SYSTEM_PROMPT]' + s }}{{ '[INST]' + c }}{{ '[TOOL_CALLS]' + name + '[CALL_ID]' + id + '[ARGS]' }}{{ '[TOOL_CONTENT]' }}",
    ),
    (
        "Mistral with [SYSTEM_PROMPT] and [ARGS]",
        "{{ '[SYSTEM_PROMPT]' + s }}{{ '[INST]' + c }}{{ '[TOOL_CALLS]' + name + '[ARGS]' }}",
    ),
    (
        "DeepSeek R1 with closed calls",
        "{{'<｜User｜>' + c}}{{'<｜Assistant｜><think>\\n'}}{{ tool['function']['arguments'] | tojson }}",
    ),
    ("Command R", "{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + c }}{{ '<|CHATBOT_TOKEN|>' }}"),
    ("DeepSeek", "{{'<｜User｜>' + m['content']}}{{'<｜Assistant｜>' + m['content'] + '<｜end▁of▁sentence｜>'}}"),
    ("DeepSeek R1", "{{'<｜User｜>' + m['content']}}{{'<｜Assistant｜><think>\\n'}}"),
    ("DeepSeek 2", "{{ 'User: ' + c }}{{ 'Assistant: ' + c + eos_token }}{{ 'Assistant:' }}"),
    ("", "{{ '<|user|>\\n' + m['content'] + '\\n' }}{{ '<|assistant|>\\n' }}"),
];

#[test]
fn families_are_recognised_by_their_markers() {
    for (name, jinja) in JINJA {
        assert_eq!(templates::recognise(jinja).map_or("", |family| family.name), name, "{jinja}");
    }
    assert!(templates::FAMILIES.iter().all(|family| JINJA.iter().any(|(name, _)| *name == family.name)));
}

#[test]
fn a_recognised_family_gives_template_and_stop_words_which_the_manifest_overrides_one_by_one() {
    let writer = chat(JINJA[0].1);
    let plain = made(&writer, &ModelSettings::default());
    assert_eq!((plain.blobs.len(), plain.warnings.len()), (3, 0));
    assert!(std::str::from_utf8(&plain.blobs[0]).unwrap().contains("<|im_start|>{{ .Role }}"));
    assert_eq!(plain.blobs[1], b"{\"stop\":[\"\\u003c|im_start|\\u003e\",\"\\u003c|im_end|\\u003e\"]}\n");
    let with = |params: serde_json::Value| {
        let settings = ModelSettings { params: params.as_object().cloned(), ..ModelSettings::default() };
        String::from_utf8(made(&writer, &settings).blobs[1].clone()).unwrap()
    };
    assert_eq!(with(json!({"stop": "X"})), "{\"stop\":[\"X\"]}\n");
    assert!(with(json!({"top_p": 0.5})).ends_with("],\"top_p\":0.5}\n"));
}

#[test]
fn no_known_template_is_a_warning_with_the_remedy() {
    for (writer, cause) in [
        (Writer::new("llama"), "no chat template"),
        (
            chat("{{ '<|user|>' + messages[0] + '[WORD]' }}"),
            "a chat template with <|user|> [WORD], of none of the families known here (Phi-4, ",
        ),
    ] {
        let made = made(&writer, &ModelSettings::default());
        assert_eq!(made.blobs.len(), 1);
        assert!(
            made.warnings[0].contains(cause) && made.warnings[0].contains("template = \"\"\"…\"\"\""),
            "{:?}",
            made.warnings
        );
    }
    let own = ModelSettings { template: Some("{{ .Prompt }}".to_owned()), ..ModelSettings::default() };
    assert!(made(&Writer::new("llama"), &own).warnings.is_empty());
    let embedding = Writer::new("bert").u32("bert.pooling_type", 1);
    assert!(made(&embedding, &ModelSettings::default()).warnings.is_empty());
}

#[test]
fn a_system_message_that_the_models_template_has_of_its_own_becomes_the_models() {
    let own =
        "{{ '<|im_start|>system\\nYou are kind.\\nAlways.<|im_end|>\\n' }}{{ '<|im_start|>' + m + '<|im_end|>' }}";
    let text = |settings: &ModelSettings| String::from_utf8(made(&chat(own), settings).blobs[1].clone()).unwrap();
    assert_eq!(text(&ModelSettings::default()), "You are kind.\nAlways.");
    let given = ModelSettings { system: Some("Be brief.".to_owned()), ..ModelSettings::default() };
    assert_eq!(text(&given), "Be brief.");
    assert_eq!(templates::default_system("{{ '<|im_start|>system\\n' + text + '<|im_end|>' }}"), None);
}

#[test]
fn the_beginning_of_text_stands_in_the_template_only_where_ollama_does_not_put_it() {
    let jinja = "{{ bos_token }}{{ '<start_of_turn>' + m + '<end_of_turn>' }}";
    let begins = |writer: &Writer| {
        let text = String::from_utf8(made(writer, &ModelSettings::default()).blobs[0].clone()).unwrap();
        text.contains("{{ end }}<bos>{{ $system")
    };
    let flag = |value| chat(jinja).u32("tokenizer.ggml.add_bos_token", value);
    assert!(!begins(&chat(jinja)) && !begins(&flag(1)) && begins(&flag(0)));
}

#[test]
fn tools_that_a_family_cannot_pass_on_are_said() {
    let jinja = "{% if tools %}{% endif %}{{ '<start_of_turn>' + m + '<end_of_turn>' }}";
    let warnings = made(&chat(jinja), &ModelSettings::default()).warnings;
    assert!(warnings[0].contains("family Gemma, whose use of tools is not known here"), "{warnings:?}");
}

#[test]
fn unknown_parameters_are_warned_about() {
    let settings = ModelSettings {
        template: Some("x".to_owned()),
        params: json!({"num_ctxx": 1}).as_object().cloned(),
        ..ModelSettings::default()
    };
    let warnings = made(&Writer::new("llama"), &settings).warnings;
    assert!(warnings[0].contains("did you mean \"num_ctx\"?"), "{warnings:?}");
}

#[test]
fn settings_on_a_registry_model_replace_its_layers_and_keep_the_rest() {
    let first = ModelSettings {
        template: Some("{{ .Prompt }}".to_owned()),
        system: Some("old".to_owned()),
        params: json!({"top_k": 1, "seed": 2}).as_object().cloned(),
        ..ModelSettings::default()
    };
    let base = made(&Writer::new("test"), &first);
    let original =
        Original { manifest: &base.manifest, config: base.blobs.last().unwrap(), params: Some(&base.blobs[2]) };
    let settings = ModelSettings {
        system: Some("new".to_owned()),
        params: json!({"top_k": 9}).as_object().cloned(),
        ..ModelSettings::default()
    };
    let made = overlay(&original, &[], &settings).unwrap();
    assert_eq!(made.blobs[..2], [b"new".to_vec(), b"{\"seed\":2,\"top_k\":9}\n".to_vec()]);
    let manifest: serde_json::Value = serde_json::from_slice(&made.manifest).unwrap();
    let kinds: Vec<&str> =
        manifest["layers"].as_array().unwrap().iter().filter_map(|l| l["mediaType"].as_str()).collect();
    assert_eq!(kinds, [MODEL, TEMPLATE, SYSTEM, PARAMS]);
    let config: serde_json::Value = serde_json::from_slice(made.blobs.last().unwrap()).unwrap();
    assert_eq!(config["model_family"], "test");
    assert_eq!(config["rootfs"]["diff_ids"][2], Digest::of(b"new").to_string());
    assert!(overlay(&Original { manifest: b"[]", ..original }, &[], &settings).is_err());
}

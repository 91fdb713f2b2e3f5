//! Which family of models a Jinja template belongs to, and what goes with the family: stop words, the text it begins with.
//! How a family's prompts look, in Ollama's template language and our own wording, is in `templates/`: one file each, whose
//! last newline is not part of the template. `tests/tests/templates.rs` renders them against the models' own templates.

use std::collections::BTreeSet;

/// A family of models that were trained on one prompt format.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    file: &'static str,
    pub(crate) stop: &'static [&'static str],
    /// What every prompt of the family begins with. Ollama puts it there itself, unless the model's file says no.
    begin: &'static str,
    /// Whether this is the family of a Jinja template.
    matches: fn(&str) -> bool,
}

impl Family {
    /// The template; `begin` says that nobody else puts the beginning-of-text token before the prompt.
    pub(super) fn template(&self, begin: bool) -> String {
        const TRIM: &str = include_str!("templates/trim.tmpl");
        let text = one_newline_less(self.file);
        let trim = if text.contains("{{ template \"trim") { one_newline_less(TRIM) } else { "" };
        format!("{trim}{}{text}", if begin { self.begin } else { "" })
    }

    /// Whether the template passes tools on.
    pub(super) fn has_tools(&self) -> bool {
        self.file.contains(".Tools")
    }
}

fn one_newline_less(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

/// The family whose prompt format the Jinja template `jinja` produces.
pub(crate) fn recognise(jinja: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| (family.matches)(jinja))
}

/// What the families are called.
pub(super) fn names() -> String {
    let names = FAMILIES.iter().map(|family| family.name);
    names.collect::<Vec<_>>().join(", ")
}

/// The system message that a template of `ChatML` or Granite 4 writes when a conversation has none: it stands in the template
/// as it is.
pub(super) fn default_system(jinja: &str) -> Option<String> {
    const BETWEEN: [(&str, &str); 3] = [
        ("<|im_start|>system\\n", "<|im_end|>"),
        ("<|im_start|>system\n", "<|im_end|>"),
        ("set g4_default_system_message = '", "'"),
    ];
    let texts = BETWEEN.iter().flat_map(|(before, after)| {
        jinja.match_indices(before).map(move |(at, _)| (&jinja[at + before.len()..], after))
    });
    let mut literals = texts.filter_map(|(rest, after)| Some(rest.split_once(after)?.0));
    let literal = literals.find(|text| !text.trim().is_empty() && !text.contains(['\'', '"', '{', '}']))?;
    let text = literal.replace("\\n", "\n");
    (!text.contains('\\')).then_some(text)
}

/// What looks like a marker of a prompt format in a template of no known family: `<|user|>`, `[INST]`.
pub(super) fn markers(jinja: &str) -> String {
    const SHOWN: usize = 12;
    const LONGEST: usize = 40;
    let found: BTreeSet<&str> = jinja
        .match_indices(['<', '['])
        .filter_map(|(at, open)| {
            let close = if open == "<" { '>' } else { ']' };
            let marker = &jinja[at..=at + jinja[at..].find(close)?];
            let inner = marker.get(1..marker.len() - 1)?;
            let usual = |c: char| {
                if open == "<" {
                    c.is_alphanumeric() || "|｜▁_/-".contains(c)
                } else {
                    c.is_ascii_uppercase() || "_/".contains(c)
                }
            };
            (inner.len() > 1 && marker.len() <= LONGEST && inner.chars().all(usual)).then_some(marker)
        })
        .collect();
    let shown: Vec<&str> = found.iter().copied().take(SHOWN).collect();
    match (shown.is_empty(), found.len() > SHOWN) {
        (true, _) => "no markers at all".to_owned(),
        (false, more) => shown.join(" ") + if more { " …" } else { "" },
    }
}

/// Whether a template itself writes the beginning-of-text token, by name or as it is.
pub(super) fn writes_begin(jinja: &str) -> bool {
    let written = recognise(jinja).is_some_and(|family| !family.begin.is_empty() && jinja.contains(family.begin));
    jinja.contains("bos_token") || written
}

/// Whether a template passes tools on to its model.
pub(super) fn mentions_tools(jinja: &str) -> bool {
    ["in tools", "if tools", "tools |", "tools|"].iter().any(|word| jinja.contains(word))
}

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("templates/", $name, ".tmpl"))
    };
}

const CHATML_STOP: &[&str] = &["<|im_start|>", "<|im_end|>"];
const LLAMA_STOP: &[&str] = &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
const DEEPSEEK_STOP: &[&str] = &["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"];
const DEEPSEEK_BEGIN: &str = "<｜begin▁of▁sentence｜>";
const GRANITE_STOP: &[&str] = &["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"];
const MISTRAL_STOP: &[&str] = &["[INST]", "[/INST]", "</s>"];
const SYSTEM_PROMPT_STOP: &[&str] = &["[INST]", "[/INST]", "[SYSTEM_PROMPT]", "</s>"];

/// Special before general: the first match counts.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        name: "Phi-4",
        file: file!("phi4"),
        stop: &["<|im_start|>", "<|im_sep|>", "<|im_end|>"],
        begin: "",
        matches: |jinja| has(jinja, &["<|im_start|>", "<|im_sep|>"]),
    },
    Family {
        name: "Qwen 3",
        file: file!("qwen3"),
        stop: CHATML_STOP,
        begin: "",
        matches: |jinja| calls_like_qwen(jinja) && jinja.contains("reasoning_content"),
    },
    Family { name: "Qwen 2.5", file: file!("qwen"), stop: CHATML_STOP, begin: "", matches: calls_like_qwen },
    Family { name: "ChatML", file: file!("chatml"), stop: CHATML_STOP, begin: "", matches: chatml },
    Family {
        name: "Llama 3.1",
        file: file!("llama31"),
        stop: LLAMA_STOP,
        begin: "<|begin_of_text|>",
        matches: |jinja| has(jinja, &["<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date", "26 Jul 2024"]),
    },
    Family {
        name: "Llama 3",
        file: file!("llama3"),
        stop: LLAMA_STOP,
        begin: "<|begin_of_text|>",
        matches: |jinja| has(jinja, &["<|start_header_id|>", "<|eot_id|>"]),
    },
    Family {
        name: "Llama 4",
        file: file!("llama4"),
        stop: &["<|header_start|>", "<|header_end|>", "<|eot|>"],
        begin: "<|begin_of_text|>",
        matches: |jinja| has(jinja, &["<|header_start|>", "<|eot|>"]),
    },
    Family {
        name: "Gemma",
        file: file!("gemma"),
        stop: &["<start_of_turn>", "<end_of_turn>"],
        begin: "<bos>",
        matches: |jinja| has(jinja, &["<start_of_turn>", "<end_of_turn>"]),
    },
    Family {
        name: "Granite 4",
        file: file!("granite4"),
        stop: GRANITE_STOP,
        begin: "",
        matches: |jinja| has(jinja, &["<|start_of_role|>", "<|end_of_text|>", "<tool_response>"]),
    },
    Family {
        name: "Granite 3.1",
        file: file!("granite31"),
        stop: GRANITE_STOP,
        begin: "",
        matches: |jinja| has(jinja, &["<|start_of_role|>tools<|end_of_role|>' }}", "<|end_of_text|>"]),
    },
    Family {
        name: "Granite 3.0",
        file: file!("granite3"),
        stop: GRANITE_STOP,
        begin: "",
        matches: |jinja| has(jinja, &["<|start_of_role|>available_tools<|end_of_role|>", "assistant_tool_call"]),
    },
    Family {
        name: "Granite 3.3",
        file: file!("granite-tools"),
        stop: GRANITE_STOP,
        begin: "",
        matches: |jinja| has(jinja, &["<|start_of_role|>available_tools<|end_of_role|>' }}", "<|end_of_text|>"]),
    },
    Family {
        name: "Granite",
        file: file!("granite"),
        stop: GRANITE_STOP,
        begin: "",
        matches: |jinja| has(jinja, &["<|start_of_role|>", "<|end_of_role|>"]),
    },
    Family {
        name: "Command R",
        file: file!("command-r"),
        stop: &["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"],
        begin: "<BOS_TOKEN>",
        matches: |jinja| {
            has(jinja, &["<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"]) && !jinja.contains("<|START_RESPONSE|>")
        },
    },
    Family {
        name: "DeepSeek R1 with closed calls",
        file: file!("deepseek-r1-closed"),
        stop: DEEPSEEK_STOP,
        begin: DEEPSEEK_BEGIN,
        matches: |jinja| {
            deepseek(jinja) && has(jinja, &["<｜Assistant｜><think>\\n", "tool['function']['arguments'] | tojson"])
        },
    },
    Family {
        name: "DeepSeek R1",
        file: file!("deepseek-r1"),
        stop: DEEPSEEK_STOP,
        begin: DEEPSEEK_BEGIN,
        matches: |jinja| deepseek(jinja) && jinja.contains("<｜Assistant｜><think>\\n"),
    },
    Family { name: "DeepSeek", file: file!("deepseek"), stop: DEEPSEEK_STOP, begin: DEEPSEEK_BEGIN, matches: deepseek },
    Family {
        name: "DeepSeek 2",
        file: file!("deepseek2"),
        stop: &["User:", "<｜end▁of▁sentence｜>"],
        begin: DEEPSEEK_BEGIN,
        matches: |jinja| has(jinja, &["'User: '", "'Assistant: '", "'Assistant:'", "eos_token"]),
    },
    Family {
        name: "Phi-4 mini",
        file: file!("phi4-mini"),
        stop: &["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"],
        begin: "",
        matches: |jinja| phi(jinja) && !jinja.contains("\\n") && !jinja.contains('\n'),
    },
    Family {
        name: "Phi-3",
        file: file!("phi3"),
        stop: &["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"],
        begin: "",
        matches: phi,
    },
    Family {
        name: "Zephyr",
        file: file!("zephyr"),
        stop: &["<|system|>", "<|user|>", "<|assistant|>", "</s>"],
        begin: "<s>",
        matches: |jinja| jinja.contains("<|assistant|>") && ends_turns_with_eos(jinja),
    },
    Family {
        name: "Mistral with [SYSTEM_PROMPT] and spaces",
        file: file!("mistral7"),
        stop: SYSTEM_PROMPT_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["[SYSTEM_PROMPT] ", "[INST] "]),
    },
    Family {
        name: "Mistral with [SYSTEM_PROMPT] and [CALL_ID]",
        file: file!("mistral-small"),
        stop: SYSTEM_PROMPT_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["[SYSTEM_PROMPT]", "[INST]", "[CALL_ID]", "[ARGS]", "[TOOL_CONTENT]"]),
    },
    Family {
        name: "Mistral with [SYSTEM_PROMPT] and [ARGS]",
        file: file!("devstral"),
        stop: SYSTEM_PROMPT_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["[SYSTEM_PROMPT]", "[INST]", "[ARGS]"]),
    },
    Family {
        name: "Mistral with [SYSTEM_PROMPT]",
        file: file!("mistral7-tight"),
        stop: SYSTEM_PROMPT_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["[SYSTEM_PROMPT]", "[INST]"]),
    },
    Family {
        name: "Llama 2",
        file: file!("llama2"),
        stop: &["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "</s>"],
        begin: "<s>",
        matches: |jinja| has(jinja, &["[INST]", "<<SYS>>"]),
    },
    Family {
        name: "Mistral Nemo",
        file: file!("mistral-nemo"),
        stop: MISTRAL_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["[AVAILABLE_TOOLS][", "[TOOL_CALLS]["]),
    },
    Family {
        name: "Mistral v3",
        file: file!("mistral3"),
        stop: MISTRAL_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["[AVAILABLE_TOOLS] [", "[TOOL_CALLS] ["]),
    },
    Family {
        name: "Mistral v1 with spaces",
        file: file!("mistral2"),
        stop: MISTRAL_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["' [INST] '", "' [/INST]'"]),
    },
    Family {
        name: "Mistral v1",
        file: file!("mistral1"),
        stop: MISTRAL_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["'[INST] '", "' [/INST]'"]),
    },
    Family {
        name: "Mistral",
        file: file!("mistral"),
        stop: MISTRAL_STOP,
        begin: "<s>",
        matches: |jinja| has(jinja, &["[INST]", "[/INST]"]),
    },
];

fn has(jinja: &str, markers: &[&str]) -> bool {
    markers.iter().all(|marker| jinja.contains(marker))
}

/// Templates that begin the model's answer for it (`<think>`) have other prompts.
fn chatml(jinja: &str) -> bool {
    has(jinja, &["<|im_start|>", "<|im_end|>"]) && !jinja.contains("assistant\\n<think>")
}

fn calls_like_qwen(jinja: &str) -> bool {
    let words =
        ["You may call one or more functions to assist with the user query", "<function-name>", "<tool_response>"];
    chatml(jinja) && has(jinja, &words)
}

/// From version 3.1 on, tools and thinking are written otherwise.
fn deepseek(jinja: &str) -> bool {
    has(jinja, &["<｜User｜>", "<｜Assistant｜>"]) && !jinja.contains("is_last_user") && !jinja.contains("｜DSML｜")
}

fn phi(jinja: &str) -> bool {
    has(jinja, &["<|end|>", "<|assistant|>"]) && !jinja.contains("<|channel|>")
}

/// Zephyr's format shares its role markers with others; only its turns end with the end-of-text token.
fn ends_turns_with_eos(jinja: &str) -> bool {
    let Some((_, turn)) = jinja.split_once("<|user|>") else { return false };
    let turn = turn.split("<|").next().unwrap_or(turn);
    turn.contains("eos_token") || turn.contains("</s>")
}

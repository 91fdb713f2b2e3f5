//! Prompt formats of the common model families in Ollama's template language, each with its stop words.
//! The formats are facts about the models: what their own Jinja template, which identifies them, produces.

/// A family of models that were trained on one prompt format.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// Go's `text/template` with Ollama's variables.
    pub(crate) template: &'static str,
    pub(crate) stop: &'static [&'static str],
    /// Whether this is the family of a Jinja template.
    matches: fn(&str) -> bool,
}

/// The family whose prompt format the Jinja template `jinja` produces.
pub(crate) fn recognise(jinja: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| (family.matches)(jinja))
}

/// What the families are called.
pub(super) fn names() -> String {
    FAMILIES.iter().map(|family| family.name).collect::<Vec<_>>().join(", ")
}

/// Special before general: the first match counts.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        name: "Phi-4",
        template: "{{ range .Messages }}<|im_start|>{{ .Role }}<|im_sep|>{{ .Content }}<|im_end|>{{ end }}\
                   <|im_start|>assistant<|im_sep|>",
        stop: &["<|im_start|>", "<|im_sep|>", "<|im_end|>"],
        matches: |jinja| has(jinja, &["<|im_start|>", "<|im_sep|>"]),
    },
    Family {
        name: "ChatML",
        template: "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}\
                   <|im_start|>assistant\n",
        stop: &["<|im_start|>", "<|im_end|>"],
        matches: |jinja| has(jinja, &["<|im_start|>", "<|im_end|>"]),
    },
    Family {
        name: "Llama 3",
        template: "{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}\
                   <|start_header_id|>assistant<|end_header_id|>\n\n",
        stop: &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        matches: |jinja| has(jinja, &["<|start_header_id|>", "<|eot_id|>"]),
    },
    Family {
        name: "Llama 4",
        template: "{{ range .Messages }}<|header_start|>{{ .Role }}<|header_end|>\n\n{{ .Content }}<|eot|>{{ end }}\
                   <|header_start|>assistant<|header_end|>\n\n",
        stop: &["<|header_start|>", "<|header_end|>", "<|eot|>"],
        matches: |jinja| has(jinja, &["<|header_start|>", "<|eot|>"]),
    },
    Family {
        name: "Gemma",
        template: "{{ $system := .System }}{{ range .Messages }}{{ if eq .Role \"user\" }}<start_of_turn>user\n\
                   {{ if $system }}{{ $system }}\n\n{{ $system = \"\" }}{{ end }}{{ .Content }}<end_of_turn>\n\
                   {{ else if eq .Role \"assistant\" }}<start_of_turn>model\n{{ .Content }}<end_of_turn>\n{{ end }}{{ end }}\
                   <start_of_turn>model\n",
        stop: &["<start_of_turn>", "<end_of_turn>"],
        matches: |jinja| has(jinja, &["<start_of_turn>", "<end_of_turn>"]),
    },
    Family {
        name: "Granite",
        template: "{{ range .Messages }}<|start_of_role|>{{ .Role }}<|end_of_role|>{{ .Content }}<|end_of_text|>\n{{ end }}\
                   <|start_of_role|>assistant<|end_of_role|>",
        stop: &["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"],
        matches: |jinja| has(jinja, &["<|start_of_role|>", "<|end_of_role|>"]),
    },
    Family {
        name: "Command R",
        template: "{{ range .Messages }}<|START_OF_TURN_TOKEN|>{{ if eq .Role \"user\" }}<|USER_TOKEN|>\
                   {{ else if eq .Role \"assistant\" }}<|CHATBOT_TOKEN|>{{ else }}<|SYSTEM_TOKEN|>{{ end }}\
                   {{ .Content }}<|END_OF_TURN_TOKEN|>{{ end }}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        stop: &["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"],
        matches: |jinja| {
            has(jinja, &["<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"]) && !jinja.contains("<|START_RESPONSE|>")
        },
    },
    Family {
        name: "DeepSeek",
        template: "{{ .System }}{{ range .Messages }}{{ if eq .Role \"user\" }}<｜User｜>{{ .Content }}\
                   {{ else if eq .Role \"assistant\" }}<｜Assistant｜>{{ .Content }}<｜end▁of▁sentence｜>{{ end }}{{ end }}\
                   <｜Assistant｜>",
        stop: &["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"],
        matches: |jinja| has(jinja, &["<｜User｜>", "<｜Assistant｜>"]),
    },
    Family {
        name: "Phi-3",
        template: "{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}<|end|>\n{{ end }}<|assistant|>\n",
        stop: &["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"],
        matches: |jinja| has(jinja, &["<|end|>", "<|assistant|>"]) && !jinja.contains("<|channel|>"),
    },
    Family {
        name: "Zephyr",
        template: "{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}</s>\n{{ end }}<|assistant|>\n",
        stop: &["<|system|>", "<|user|>", "<|assistant|>", "</s>"],
        matches: |jinja| jinja.contains("<|assistant|>") && ends_turns_with_eos(jinja),
    },
    Family {
        name: "Mistral with [SYSTEM_PROMPT]",
        template: "{{ range .Messages }}{{ if eq .Role \"system\" }}[SYSTEM_PROMPT]{{ .Content }}[/SYSTEM_PROMPT]\
                   {{ else if eq .Role \"user\" }}[INST]{{ .Content }}[/INST]\
                   {{ else if eq .Role \"assistant\" }}{{ .Content }}</s>{{ end }}{{ end }}",
        stop: &["[INST]", "[/INST]", "[SYSTEM_PROMPT]", "</s>"],
        matches: |jinja| has(jinja, &["[SYSTEM_PROMPT]", "[INST]"]),
    },
    Family {
        name: "Llama 2",
        template: "{{ $system := .System }}{{ range .Messages }}{{ if eq .Role \"user\" }}[INST] \
                   {{ if $system }}<<SYS>>\n{{ $system }}\n<</SYS>>\n\n{{ $system = \"\" }}{{ end }}{{ .Content }} [/INST]\
                   {{ else if eq .Role \"assistant\" }} {{ .Content }} </s><s>{{ end }}{{ end }}",
        stop: &["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "</s>"],
        matches: |jinja| has(jinja, &["[INST]", "<<SYS>>"]),
    },
    Family {
        name: "Mistral",
        template: "{{ $system := .System }}{{ range .Messages }}{{ if eq .Role \"user\" }}[INST] \
                   {{ if $system }}{{ $system }}\n\n{{ $system = \"\" }}{{ end }}{{ .Content }}[/INST]\
                   {{ else if eq .Role \"assistant\" }} {{ .Content }}</s>{{ end }}{{ end }}",
        stop: &["[INST]", "[/INST]", "</s>"],
        matches: |jinja| has(jinja, &["[INST]", "[/INST]"]),
    },
];

fn has(jinja: &str, markers: &[&str]) -> bool {
    markers.iter().all(|marker| jinja.contains(marker))
}

/// Zephyr's format shares its role markers with others; only its turns end with the end-of-text token.
fn ends_turns_with_eos(jinja: &str) -> bool {
    let Some((_, turn)) = jinja.split_once("<|user|>") else { return false };
    let turn = turn.split("<|").next().unwrap_or(turn);
    turn.contains("eos_token") || turn.contains("</s>")
}

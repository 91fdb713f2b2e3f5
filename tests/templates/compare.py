#!/usr/bin/env python3
"""The models' own chat templates, and what they make of conversations: the other half of tests/tests/templates.rs.

usage: compare.py OLLAMA-TEMPLATES LLAMA.CPP [OLLAMA-UTILS]
    the directories that hold index.json; models/ and tests/ of llama.cpp; src/ of the npm package @huggingface/ollama-utils,
    without which some models are left out

Writes a list of {name, jinja, begin, conversations: [{label, messages, tools, prompt}]}. Jinja runs as the transformers
library runs it. The rule of the comparison:

- A beginning-of-text token at the very start is taken off: Ollama puts it there itself.
- A conversation without a system message is only compared where the model's template then writes a message that can
  be taken over; Granite's and Mistral Small's own message holds the date of the day.
- JSON is written as Go's encoder writes it, and spaces that mean nothing to JSON are taken out on both sides.
- Where a model's template takes a call of a tool, its result or the tools themselves in another shape than the OpenAI one that
  Ollama has, they are given to it in its own (`SHAPES`): what a model said is its own words.
- A template may refuse a conversation (Gemma 2 has no system messages): that one is left out, by name, below.
"""

import json
import re
import sys
from pathlib import Path

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment


def go_json(value, **_):
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for char, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, escape)
    return text


def refuse(message):
    raise TemplateError(message)


def render(jinja, messages, tools, begin, end):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.filters["tojson"] = go_json
    env.globals["raise_exception"] = refuse
    if "26 Jul 2024" not in jinja:  # Llama 3.2 has that date for machines without a clock, and Ollama's is spelled otherwise
        env.globals["strftime_now"] = lambda _: "that day"
    words = {"tools": tools} if tools else {}
    return env.from_string(jinja).render(
        messages=messages, add_generation_prompt=True, bos_token=begin, eos_token=end, enable_thinking=True, **words
    )


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Answer briefly."}
TURNS = [user("  Hello there \n"), assistant(" Hi.\n"), user("One more")]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"The {name} of a place",
            "parameters": {
                "type": "object",
                "required": ["place"],
                "properties": {"place": {"type": "string", "description": "A town"}},
            },
        },
    }
    for name in ("weather", "population")
]
CALL = {"id": "abcdef123", "type": "function", "function": {"name": "weather", "arguments": {"place": "Ulm"}}}
ASKED = [SYSTEM, user("Weather in Ulm?"), {"role": "assistant", "content": "", "tool_calls": [CALL]}]
ANSWERED = [*ASKED, {"role": "tool", "content": "18 degrees", "tool_call_id": CALL["id"], "tool_name": "weather"}]
AFTER = [*ANSWERED, assistant("Mild."), user("Thanks")]
CONVERSATIONS = {
    "one": ([user("Hello")], None),
    "turns": (TURNS, None),
    "system": ([SYSTEM, *TURNS], None),
    "tools": ([SYSTEM, user("Weather?")], TOOLS),
    "answered": (ANSWERED, TOOLS),
    "after": (AFTER, TOOLS),
    # For models whose own template has no place for the tools themselves.
    "answered without tools": (ANSWERED, None),
    "after without tools": (AFTER, None),
}


def each(change):
    return lambda messages, tools: [change(message) for message in messages]


def as_said(before, after):
    """A call as the model's own words between these, in place of `tool_calls`."""

    def change(message):
        if "tool_calls" not in message:
            return message
        calls = [{"name": c["function"]["name"], "arguments": c["function"]["arguments"]} for c in message["tool_calls"]]
        return assistant(before + go_json(calls) + after)

    return change


def granite_3_0(message):
    """Its template has roles of its own for a call, which it puts the marker before, and for a result."""
    if "tool_calls" in message:
        return {**as_said("", "")(message), "role": "assistant_tool_call"}
    return {**message, "role": "tool_response"} if message["role"] == "tool" else message


def deepseek(message):
    """Its template wants a call without any content, and the arguments as a text."""
    if "tool_calls" not in message:
        return message
    calls = [{**c, "function": {**c["function"], "arguments": go_json(c["function"]["arguments"])}} for c in message["tool_calls"]]
    return {**message, "content": None, "tool_calls": calls}


def phi_4_mini(messages, tools):
    """Its template takes the tools out of the system message, as a text."""
    said = [as_said("<|tool_call|>", "<|/tool_call|>")(message) for message in messages]
    return [{**said[0], "tools": go_json([tool["function"] for tool in tools])}, *said[1:]] if tools else said


SHAPES = {
    "Granite 3.0, its own template": each(granite_3_0),
    "Granite 3.1": each(as_said("<|tool_call|>", "")),
    "Granite 3.2": each(as_said("<|tool_call|>", "")),
    "Granite 3.3": each(as_said("<|tool_call|>", "")),
    "DeepSeek 3": each(deepseek),
    "DeepSeek R1 distilled into Qwen": each(lambda message: {**message, "content": message["content"] or None}),
    "DeepSeek R1 distilled into Llama": each(deepseek),
    "Phi-4 mini": phi_4_mini,
}
PLAIN = "one turns system"
CALLS = f"{PLAIN} tools answered after"
WITH_SYSTEM = "system tools answered after"
CALLS_ALONE = f"{PLAIN} answered-without-tools after-without-tools"
UTILS = "library/"


def mistral_7(space):
    """The templates of Mistral Large 2411 and Small 3 know no tools, the models do. Recorded from what Mistral's own library
    (mistral-common 1.13.1, tokenizer v7) makes of these conversations; Small 3 is written without the spaces."""
    told = f"[AVAILABLE_TOOLS]{space}{go_json(TOOLS)}[/AVAILABLE_TOOLS]"
    system = f"[SYSTEM_PROMPT]{space}Answer briefly.[/SYSTEM_PROMPT]"
    call = f'[TOOL_CALLS]{space}[{{"name": "weather", "arguments": {{"place":"Ulm"}}, "id": "abcdef123"}}]</s>'
    result = f"[TOOL_RESULTS]{space}abcdef123[TOOL_CONTENT]{space}18 degrees[/TOOL_RESULTS]"
    asked = f"[INST]{space}Weather in Ulm?[/INST]{call}{result}"
    return {
        "tools": f"{system}{told}[INST]{space}Weather?[/INST]",
        "answered": f"{system}{told}{asked}",
        "after": f"{system}{asked}{space}Mild.</s>{told}[INST]{space}Thanks[/INST]",
    }


RECORDED = {"Mistral v7": mistral_7(" "), "Mistral Small 3": mistral_7("")}
LLAMA_2 = ("<s>", "</s>")
LLAMA_3 = ("<|begin_of_text|>", "<|eot_id|>")
GEMMA = ("<bos>", "<eos>")
COMMAND_R = ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")

# Where the template is: a number of Ollama's index, a file of llama.cpp, or a name in its test of templates.
MODELS = [
    ("ChatML", 6, LLAMA_2, PLAIN),
    ("ChatML with a system message of its own", 7, LLAMA_2, PLAIN),
    ("Qwen 2.5", "Qwen-Qwen2.5-7B-Instruct.jinja", LLAMA_2, CALLS),
    ("Qwen 3", "Qwen-Qwen3-0.6B.jinja", LLAMA_2, CALLS),
    ("Llama 2", 12, LLAMA_2, PLAIN),
    ("Llama 2, trimmed by method", 28, LLAMA_2, PLAIN),
    ("Llama 3", 23, LLAMA_3, PLAIN),
    ("Llama 3.1", "meta-llama-Llama-3.1-8B-Instruct.jinja", LLAMA_3, CALLS),
    ("Llama 3.2", "meta-llama-Llama-3.2-3B-Instruct.jinja", LLAMA_3, CALLS),
    ("Llama 3.3", "meta-llama-Llama-3.3-70B-Instruct.jinja", LLAMA_3, CALLS),
    ("Mistral v1", 10, LLAMA_2, "one turns"),
    ("Mistral v1 with spaces", "mistralai/Mistral-7B-Instruct-v0.2 (mistralai 'v1' template with", LLAMA_2, PLAIN),
    ("Mistral v3", "Mistral-Large-Instruct-2407", LLAMA_2, CALLS),
    ("Mistral Nemo", "mistralai-Mistral-Nemo-Instruct-2407.jinja", LLAMA_2, CALLS),
    ("Mistral v7", "mistralai/Mistral-Large-Instruct-2411", LLAMA_2, CALLS),
    ("Mistral Small 3", f"{UTILS}mistral-small:24b", LLAMA_2, CALLS),
    ("Mistral Small 3.2", "Mistral-Small-3.2-24B-Instruct-2506.jinja", LLAMA_2, WITH_SYSTEM),
    ("Devstral Small", f"{UTILS}devstral:latest", LLAMA_2, "system"),
    ("Devstral Small 2507", "unsloth-mistral-Devstral-Small-2507.jinja", LLAMA_2, WITH_SYSTEM),
    ("Ministral 3", "mistralai-Ministral-3-14B-Reasoning-2512.jinja", LLAMA_2, WITH_SYSTEM),
    ("Gemma", 21, GEMMA, "one turns"),
    ("Gemma 2", "google-gemma-2-2b-it.jinja", GEMMA, "one turns"),
    ("Gemma 3", 22, GEMMA, PLAIN),
    ("Phi-3 small", 31, LLAMA_2, PLAIN),
    ("Phi-3 mini", 30, LLAMA_2, "one turns"),
    ("Phi-3.5 mini", "microsoft-Phi-3.5-mini-instruct.jinja", LLAMA_2, PLAIN),
    ("Phi-4", "phi-4", LLAMA_2, PLAIN),
    ("Phi-4 mini", f"{UTILS}phi4-mini:3.8b", LLAMA_2, CALLS),
    ("Llama 4", f"{UTILS}llama4:latest", LLAMA_3, CALLS),
    ("Zephyr", 2, LLAMA_2, PLAIN),
    ("DeepSeek 2", "DeepSeek-V2", DEEPSEEK, PLAIN),
    ("DeepSeek 3", f"{UTILS}deepseek-v3:671b", DEEPSEEK, CALLS_ALONE),
    ("DeepSeek R1 distilled into Qwen", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja", DEEPSEEK, CALLS_ALONE),
    ("DeepSeek R1 distilled into Llama", "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja", DEEPSEEK, CALLS_ALONE),
    ("Command R", 36, COMMAND_R, PLAIN),
    # A file of the model has both; the one for tools is rendered where there are tools.
    ("Command R with tools", (36, "CohereForAI-c4ai-command-r-plus-tool_use.jinja"), COMMAND_R, "tools answered after"),
    ("Granite 3.0", "ibm-granite/granite-3.0", LLAMA_2, PLAIN),
    ("Granite 3.0, its own template", f"{UTILS}granite3-dense:2b", LLAMA_2, CALLS),
    ("Granite 3.1", f"{UTILS}granite3.1-moe:1b", LLAMA_2, WITH_SYSTEM),
    ("Granite 3.2", f"{UTILS}granite3.2:8b", LLAMA_2, WITH_SYSTEM),
    ("Granite 3.3", "ibm-granite-granite-3.3-2B-Instruct.jinja", LLAMA_2, WITH_SYSTEM),
    ("Granite 4.0", "ibm-granite-granite-4.0.jinja", LLAMA_2, CALLS),
    ("Granite 4.1", "ibm-granite-granite-4.1.jinja", LLAMA_2, CALLS),
]


def template(place, ollama, llama_cpp, utils):
    if isinstance(place, str) and place.startswith(UTILS):
        text = (utils / "chat-template-automap.ts").read_text()
        return json.loads(re.search(rf'model: "{re.escape(place)}",\s*gguf:\s*("(?:[^"\\]|\\.)*")', text)[1])
    if isinstance(place, int):
        return json.loads((ollama / "index.json").read_text())[place]["template"]
    if place.endswith(".jinja"):
        return (llama_cpp / "models/templates" / place).read_text()
    text = (llama_cpp / "tests/test-chat-template.cpp").read_text()
    start = text.index(".template_str= */ ", text.index(f'/* .name= */ "{place}')) + len(".template_str= */ ")
    return json.loads(text[start : text.index('",\n', start) + 1].replace("\\'", "'"))


def without_spaces(prompt):
    # Command R writes calls on many lines.
    prompt = re.sub(r'([\[{,:])\n\s*(?=["{])', r"\1", prompt)
    prompt = re.sub(r'(["}])\n\s*(?=[\]}])', r"\1", prompt)
    return re.sub(r'([:,\]}"0-9]) (?=["{\[])', r"\1", prompt)


def main():
    ollama, llama_cpp, utils = (*map(Path, sys.argv[1:]), None)[:3]
    found = []
    for name, place, (begin, end), labels in MODELS:
        if utils is None and str(place).startswith(UTILS):
            continue
        places = place if isinstance(place, tuple) else (place, place)
        jinja, rendered = (template(place, ollama, llama_cpp, utils) for place in places)
        conversations = []
        for label in labels.split():
            messages, tools = CONVERSATIONS[label.replace("-", " ")]
            shaped = SHAPES.get(name, lambda messages, tools: messages)(messages, tools)
            prompt = RECORDED.get(name, {}).get(label) or render(rendered, shaped, tools, begin, end).removeprefix(begin)
            conversations.append({"label": label, "messages": messages, "tools": tools, "prompt": prompt})
        found.append({"name": name, "jinja": jinja, "begin": begin, "conversations": conversations})
    json.dump(found, sys.stdout)


if __name__ == "__main__" and len(sys.argv) > 2:
    main()
elif __name__ == "__main__":
    json.dump([without_spaces(prompt) for prompt in json.load(sys.stdin)], sys.stdout)

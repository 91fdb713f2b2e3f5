#!/usr/bin/env python3
"""The models' own chat templates, and what they make of conversations: the other half of tests/tests/templates.rs.

usage: compare.py OLLAMA-TEMPLATES LLAMA.CPP    the directories that hold index.json, and models/ and tests/

Writes a list of {name, jinja, begin, conversations: [{label, messages, tools, prompt}]}. Jinja runs as the transformers
library runs it. The rule of the comparison:

- A beginning-of-text token at the very start is taken off: Ollama puts it there itself.
- A conversation without a system message is only compared where the model's template then writes a message that can
  be taken over; Granite's and Mistral Small's own message holds the date of the day.
- JSON is written as Go's encoder writes it, and spaces that mean nothing to JSON are taken out on both sides.
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
CONVERSATIONS = {
    "one": ([user("Hello")], None),
    "turns": (TURNS, None),
    "system": ([SYSTEM, *TURNS], None),
    "tools": ([SYSTEM, user("Weather?")], TOOLS),
    "answered": (ANSWERED, TOOLS),
    "after": ([*ANSWERED, assistant("Mild."), user("Thanks")], TOOLS),
}
PLAIN = "one turns system"
CALLS = f"{PLAIN} tools answered after"
LLAMA_2 = ("<s>", "</s>")
LLAMA_3 = ("<|begin_of_text|>", "<|eot_id|>")
GEMMA = ("<bos>", "<eos>")
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
    ("Mistral v7", "mistralai/Mistral-Large-Instruct-2411", LLAMA_2, PLAIN),
    ("Mistral Small 3.2", "Mistral-Small-3.2-24B-Instruct-2506.jinja", LLAMA_2, "system"),
    ("Gemma", 21, GEMMA, "one turns"),
    ("Gemma 2", "google-gemma-2-2b-it.jinja", GEMMA, "one turns"),
    ("Gemma 3", 22, GEMMA, PLAIN),
    ("Phi-3 small", 31, LLAMA_2, PLAIN),
    ("Phi-3 mini", 30, LLAMA_2, "one turns"),
    ("Phi-3.5 mini", "microsoft-Phi-3.5-mini-instruct.jinja", LLAMA_2, PLAIN),
    ("Phi-4", "phi-4", LLAMA_2, PLAIN),
    ("Zephyr", 2, LLAMA_2, PLAIN),
    ("DeepSeek 2", "DeepSeek-V2", DEEPSEEK, PLAIN),
    ("DeepSeek R1 distilled into Qwen", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja", DEEPSEEK, PLAIN),
    ("DeepSeek R1 distilled into Llama", "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja", DEEPSEEK, PLAIN),
    ("Command R", 36, ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"), PLAIN),
    ("Granite 3.0", "ibm-granite/granite-3.0", LLAMA_2, PLAIN),
    ("Granite 3.3", "ibm-granite-granite-3.3-2B-Instruct.jinja", LLAMA_2, "system tools"),
]


def template(place, ollama, llama_cpp):
    if isinstance(place, int):
        return json.loads((ollama / "index.json").read_text())[place]["template"]
    if place.endswith(".jinja"):
        return (llama_cpp / "models/templates" / place).read_text()
    text = (llama_cpp / "tests/test-chat-template.cpp").read_text()
    start = text.index(".template_str= */ ", text.index(f'/* .name= */ "{place}')) + len(".template_str= */ ")
    return json.loads(text[start : text.index('",\n', start) + 1].replace("\\'", "'"))


def without_spaces(prompt):
    return re.sub(r'([:,\]}"0-9]) (?=["{\[])', r"\1", prompt)


def main():
    ollama, llama_cpp = Path(sys.argv[1]), Path(sys.argv[2])
    found = []
    for name, place, (begin, end), labels in MODELS:
        jinja = template(place, ollama, llama_cpp)
        conversations = []
        for label in labels.split():
            messages, tools = CONVERSATIONS[label]
            prompt = render(jinja, messages, tools, begin, end).removeprefix(begin)
            conversations.append({"label": label, "messages": messages, "tools": tools, "prompt": prompt})
        found.append({"name": name, "jinja": jinja, "begin": begin, "conversations": conversations})
    json.dump(found, sys.stdout)


if __name__ == "__main__" and len(sys.argv) == 3:
    main()
elif __name__ == "__main__":
    json.dump([without_spaces(prompt) for prompt in json.load(sys.stdin)], sys.stdout)

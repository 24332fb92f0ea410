#!/usr/bin/env python3
"""Makes tests/fixtures/chat/templates.json: what jinja2, as transformers sets it up, renders from
real templates and a set of conversations.

    python tests/oracle/jinja_templates.py ../shared/data/templates MODEL.gguf

The templates are not copied: the fixture names them. MODEL.gguf is the default model, whose template
is in its metadata.
"""
import sys
from pathlib import Path

import gguf

import jinja_oracle

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def chat(*turns):
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool", "x": "narrator"}
    return [{"role": roles[role], "content": content} for role, content in turns]


CONVERSATIONS = {
    "one user turn": chat(("u", "Hello")),
    "system and user": chat(("s", "You are terse."), ("u", "Hello")),
    "two turns": chat(("u", "Hi"), ("a", "Hello!"), ("u", "How are you?")),
    "system and three turns": chat(("s", "Be kind."), ("u", "1"), ("a", "2"), ("u", "3"), ("a", "4"),
                                   ("u", "5")),
    "ends with an answer": chat(("u", "Hi"), ("a", "Hello!")),
    "empty content": chat(("u", "")),
    "empty system": chat(("s", ""), ("u", "Hi")),
    "white space alone": chat(("s", " \n "), ("u", " \t\n "), ("a", "\n"), ("u", "x")),
    "white space around": chat(("s", "  sys  "), ("u", "\n  a b \n\n"), ("a", "\n\nc\n"), ("u", " d ")),
    "Unicode": chat(("s", "Grüße, 世界"), ("u", "é e\u0301 👩‍👩‍👧 \u202eabc \u00a0\u3000 end\u2003"),
                    ("a", "ß ſ İ ı"), ("u", "\u2028\u0085x\u0085")),
    "template syntax": chat(("s", "{{ bos_token }}{% if %}"), ("u", "{% raw %}{{ 7*7 }}{# c #}"),
                            ("a", "{%- endfor %}}}"), ("u", "${x} {{{ }}} %}")),
    "special tokens": chat(("s", "<|im_start|>system<|im_end|>"),
                           ("u", "<|im_end|>\n<|im_start|>assistant\n<s></s>[INST]"),
                           ("a", "<|eot_id|><|end|><end_of_turn>"), ("u", "<|end_of_text|>")),
    "quotes and backslashes": chat(("u", "\"a\" 'b' \\n \\ \x00 \x07 \x7f")),
    "mentions of thinking": chat(("s", "Use /no_think please"), ("u", "/think"), ("a", "<think>x</think>y"),
                                 ("u", "z")),
    "asks to think": chat(("s", "Go /think  "), ("u", "a"), ("a", "\n\nb"), ("u", "c")),
    "assistant first": chat(("a", "Hello"), ("u", "Hi")),
    "two users": chat(("u", "a"), ("u", "b")),
    "two assistants": chat(("u", "a"), ("a", "b"), ("a", "c"), ("u", "d")),
    "system later": chat(("u", "a"), ("s", "b"), ("u", "c")),
    "unknown role": chat(("u", "a"), ("x", "b"), ("u", "c")),
    "tool result": chat(("u", "a"), ("a", "b"), ("t", "result: 42"), ("a", "c"), ("u", "d")),
    "long line": chat(("u", "word " * 40)),
    "newlines of all kinds": chat(("u", "a\r\nb\rc\nd\n"), ("a", "\r\n"), ("u", "\r")),
}


def read_templates(folder, model):
    templates = {path.stem: path.read_text(encoding="utf-8")
                 for path in sorted(Path(folder).glob("*.jinja"))}
    field = gguf.GGUFReader(model).fields["tokenizer.chat_template"]
    templates["default model"] = bytes(field.parts[field.data[0]]).decode()
    return templates


def main():
    templates = read_templates(sys.argv[1], sys.argv[2])
    cases = []
    for name, source in templates.items():
        for title, messages in CONVERSATIONS.items():
            for prompt in (True, False):
                result = jinja_oracle.render(source, messages, add_generation_prompt=prompt, **TOKENS)
                # Without the generation prompt it is mostly the same text, shorter.
                if not prompt and title not in ("two turns", "ends with an answer", "special tokens"):
                    continue
                cases.append({"template": name, "conversation": title, "prompt": prompt, **result})
    jinja_oracle.write("templates.json", {"date": jinja_oracle.DATE, **TOKENS,
                                          "conversations": CONVERSATIONS, "cases": cases})


main()

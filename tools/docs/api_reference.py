#!/usr/bin/env python3
"""Writes docs/api.md: what nibble.h declares, with its comments and an example of every function.
usage: api_reference.py [--check]    --check: is the file that is there the one that would be written?
"""
import os
import re
import sys

from api_header import read_header

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEADER = os.path.join(ROOT, "runtime", "api", "nibble.h")
EXAMPLES = os.path.join(ROOT, "tests", "examples", "api", "api_examples.c")
OUT = os.path.join(ROOT, "docs", "api.md")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def examples(text):
    """Function of the header -> body of its example, without indentation."""
    found = {}
    for name, body in re.findall(r"^static void (nibble_\w+)_example\(void\) \{\n(.*?)^\}", text,
                                 re.DOTALL | re.MULTILINE):
        found[name] = re.sub(r"^  ", "", body, flags=re.MULTILINE).rstrip()
    return found


def prose(comment):
    """A comment's sentences as Markdown: names in code, `<` kept from becoming HTML."""
    text = comment.replace("<", "&lt;")
    return re.sub(r'(?<![\w`"])((?:nibble|NIBBLE)_\w+\*?|NULL)(?![\w`])', r"`\1`", text)


def write(header, example_text):
    declared, intro = read_header(header)
    shown = examples(example_text)
    missing = [d.name for d in declared if d.kind == "function" and d.name not in shown]
    if missing:
        sys.exit(f"{os.path.relpath(EXAMPLES, ROOT)}: no example of {', '.join(missing)}")
    functions = {d.name for d in declared if d.kind == "function"}
    unknown = sorted(set(shown) - functions)
    if unknown:
        sys.exit(f"{os.path.relpath(EXAMPLES, ROOT)}: not in nibble.h: {', '.join(unknown)}")

    out = ["# The C API", "",
           "Written by `tools/docs/api_reference.py` from `runtime/api/nibble.h`, which is the "
           "reference, and", "from examples that the tests run. [embed.md](embed.md) begins at the "
           "beginning.", "", "```c", *intro.split("Rules that hold")[0].rstrip().split("\n")[2:],
           "```", ""]
    rules = intro.split("Rules that hold for every function:")[1].strip()
    out += ["## Rules that hold for every function", "", prose(rules), ""]
    section = None
    for d in declared:
        if d.section != section:
            section = d.section
            out += [f"## {section[0].upper()}{section[1:]}", ""]
        if d.kind == "macro" and d.name.endswith("_INIT"):
            continue  # named by its struct
        out += [f"### {d.name}", ""]
        if d.comment:
            out += [prose(d.comment), ""]
        out += ["```c", d.text.replace("NIBBLE_API ", ""), "```", ""]
        if d.kind == "struct" and f"#define NIBBLE_{d.name[7:].upper()}_INIT" in header:
            out += [f"Begins as `{d.name} x = NIBBLE_{d.name[7:].upper()}_INIT;`", ""]
        if d.name in shown:
            out += ["Example:", "", "```c", shown[d.name], "```", ""]
    return "\n".join(out).rstrip() + "\n"


def main():
    text = write(read(HEADER), read(EXAMPLES))
    if "--check" in sys.argv[1:]:
        if not os.path.exists(OUT) or read(OUT) != text:
            sys.exit("docs/api.md is not that of nibble.h: run tools/docs/api_reference.py")
        print(f"docs/api.md: {text.count('Example:')} functions, each with an example")
        return
    with open(OUT, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()

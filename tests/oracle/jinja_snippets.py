#!/usr/bin/env python3
"""Makes tests/fixtures/chat/snippets.json: small templates, and what jinja2 makes of them.

    python tests/oracle/jinja_snippets.py
"""
import jinja_oracle
from jinja_cases import CASES, MESSAGES, VARIABLES


def main():
    rows = []
    for source in CASES:
        result = jinja_oracle.render(source, MESSAGES, add_generation_prompt=True, bos_token="<s>",
                                     eos_token="</s>", **VARIABLES)
        rows.append({"source": source, **result})
    jinja_oracle.write("snippets.json", {"date": jinja_oracle.DATE, "messages": MESSAGES,
                                         "variables": VARIABLES, "cases": rows})
    print(f"{len(rows)} snippets, {sum('error' in row for row in rows)} of them fail")


main()

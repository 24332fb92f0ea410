#!/usr/bin/env python3
"""Runs the rules of form on a source tree: `lint.py ROOT [--goals]`. Exit code 1 on a finding."""
import sys

from rules import RULES, lengths_to_mend
from tree import Tree


def main():
    root = sys.argv[1]
    tree = Tree.read(root)
    findings = 0
    for name, rule, _ in RULES:
        for finding in rule(tree):
            print(f"{finding.path}:{finding.line}: {name}: {finding.message}")
            findings += 1
    if "--goals" in sys.argv:
        for finding in lengths_to_mend(tree):
            print(f"{finding.path}:{finding.line}: goal: {finding.message}")
    print(f"{len(RULES)} rules, {len(tree.cpp())} sources, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

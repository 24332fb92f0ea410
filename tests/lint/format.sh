#!/bin/sh
# Is every source as clang-format 14 writes it? usage: format.sh ROOT [CLANG_FORMAT]
# Exit code 77 where that version is not installed: others lay out differently.
set -eu
cd "$1"
tool=${2:-clang-format-14}
if ! command -v "$tool" >/dev/null; then
  echo "SKIPPED: $tool is not installed; tools/setup/packages.sh test installs it"
  exit 77
fi

# A snippet that must be refused: without it a broken call would pass for a clean tree.
if printf 'int  a ;\n' | "$tool" --dry-run -Werror --style=file --assume-filename=a.cpp 2>/dev/null; then
  echo "self-test: $tool accepts badly laid out code"
  exit 1
fi
find quant formats runtime tools tests examples bindings -name fixtures -prune -o \
  \( -name '*.h' -o -name '*.hpp' -o -name '*.cpp' -o -name '*.inl' -o -name '*.c' \) -print |
  sort | xargs "$tool" --dry-run -Werror --style=file

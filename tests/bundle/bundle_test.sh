#!/bin/sh
# Unpacks the bundle into an empty folder, takes the network and the environment away and asks it a
# question. It must load its own libraries and answer on stdout.
# usage: bundle_test.sh SOURCE BUILD      exit code 77: the model is not in the cache
set -eu
source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

. "$source/tools/setup/common.sh"
if [ ! -f "$(models_folder)/SmolLM2-135M-Instruct.Q4_1.gguf" ]; then
  echo 'SKIPPED: no bundle test: the default model is not in the cache; make test gets it'
  exit 77
fi
cd "$source"
tools/setup/bundle.sh "$build" "$work/dist"
tar -C "$work" -xzf "$work"/dist/nibble-*.tar.gz
cd "$work"/nibble-*

# Every library but the C library's comes from the bundle.
libraries=$(env -i ldd bin/nibble | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' |
  grep -v -E '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv))\.so')
outside=$(printf '%s\n' "$libraries" | grep -v "^$(pwd -P)/" || true)
if [ -n "$outside" ] || [ -z "$libraries" ]; then
  echo "libraries from outside the bundle: $outside (all: $libraries)"
  exit 1
fi

# A network namespace of its own has no interface; where the kernel refuses one, the trace test holds.
alone=
if unshare -rn true 2>/dev/null; then alone='unshare -rn'; fi
answer=$(echo 'What is the tallest mountain on Earth?' |
  $alone env -i HOME="$work/home" PATH=/usr/bin:/bin ./chat --temp 0 -n 24)
echo "${alone:-without a namespace}: $answer"
case $answer in
  *Everest*) ;;
  *) echo 'expected an answer that names Everest'; exit 1 ;;
esac

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

# A program of somebody else's, compiled against the unpacked folder, finds the library there.
PKG_CONFIG_PATH=lib/pkgconfig
export PKG_CONFIG_PATH
cp "$source/tests/package/consumer.c" .
# shellcheck disable=SC2046  # a list of flags
cc -std=c99 consumer.c $(pkg-config --cflags --libs nibble) -o consumer
env -i LD_LIBRARY_PATH=lib ./consumer
outside=$(env -i LD_LIBRARY_PATH=lib ldd consumer | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' |
  grep -v -E '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv))\.so' | grep -v "^$(pwd -P)/" || true)
[ -z "$outside" ] || { echo "the program uses libraries from outside: $outside"; exit 1; }
# No binary asks for a newer C library than README.txt says.
floor=$(sed -n 's/.*(glibc \([0-9.]*\)).*/\1/p' README.txt)
newest=$(objdump -T bin/nibble lib/*.so* | grep -o 'GLIBC_2\.[0-9]*' | sed 's/GLIBC_//' |
  sort -t. -k2 -n | tail -n 1)
[ "$(printf '%s\n%s\n' "$newest" "$floor" | sort -t. -k2 -n | tail -n 1)" = "$floor" ] ||
  { echo "README.txt says glibc $floor, but $newest is needed"; exit 1; }

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

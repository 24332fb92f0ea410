#!/bin/sh
# What `make chat` does once the build is configured. Standard input and output belong to the chat.
set -eu
here=$(dirname "$0")

# The first build shows its progress; a later one speaks only when it fails.
if [ ! -x build/release/tools/nibble ]; then
  ninja -C build/release nibble </dev/null >&2
else
  said=$(ninja --quiet -C build/release nibble </dev/null 2>&1) || {
    printf '%s\n' "$said" >&2
    exit 1
  }
fi

# make chat ARGS='-m other.gguf' talks to another model and needs no default.
case " $* " in
  *' -m '* | *' --model'*) ;;
  *)
    model=$("$here/get_model.sh" smollm2)
    set -- -m "$model" "$@"
    ;;
esac
set -- build/release/tools/nibble chat "$@"
if [ -t 0 ]; then
  exec python3 "$here/foreground.py" "$@"
fi
exec "$@"

#!/bin/sh
# What `make chat` does after the build. Standard input and output belong to the chat alone.
set -eu
here=$(dirname "$0")

model=$("$here/get_model.sh" smollm2)
set -- build/release/tools/nibble chat -m "$model" "$@"
if [ -t 0 ]; then
  exec python3 "$here/foreground.py" "$@"
fi
exec "$@"

#!/bin/sh
# What `make chat` does after the build. Standard input and output belong to the chat alone.
set -eu
here=$(dirname "$0")

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

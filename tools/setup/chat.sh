#!/bin/sh
# What `make chat` does after the build. Standard input and output belong to the chat alone.
#
# At a terminal the chat runs as a job of its own: make would otherwise get its Ctrl-C too and, at
# the second one, die and leave the chat without a terminal.
set -eu
here=$(dirname "$0")
. "$here/common.sh"

model=$("$here/get_model.sh" smollm2)
set -- build/release/tools/nibble chat -m "$model" "$@"

if [ ! -t 0 ]; then exec "$@"; fi
set -m
code=0
"$@" || code=$?
# 148 is 128 + SIGTSTP: Ctrl-Z stopped the chat, so stop make as well, and go on with it.
while [ "$code" = 148 ]; do
  kill -STOP 0
  code=0
  fg %1 >/dev/null || code=$?
done
exit "$code"

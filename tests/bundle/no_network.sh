#!/bin/sh
# Traces the command in everything a user does with it offline and finds no socket opened.
# usage: no_network.sh SOURCE NIBBLE      exit code 77: cannot trace here
set -eu
source=$1
nibble=$2
. "$source/tools/setup/common.sh"
model=$(models_folder)/SmolLM2-135M-Instruct.Q4_1.gguf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
  echo "SKIPPED: no network trace: $1"
  exit 77
}
command -v strace >/dev/null || skip 'strace is not installed'
strace -f -o "$work/probe" true 2>/dev/null || skip 'this machine forbids ptrace'
[ -f "$model" ] || skip 'the default model is not in the cache; make test gets it'

# traced NAME COMMAND...: runs it with stdin, fails if it failed or opened a socket.
traced() {
  name=$1
  shift
  if ! strace -f -e trace=network -o "$work/trace" "$@" >"$work/out" 2>"$work/err"; then
    echo "$name: failed: $(tail -n 2 "$work/err")"
    exit 1
  fi
  if grep -E '^[0-9]+ +[a-z]+\(' "$work/trace"; then
    echo "$name: used the network, see above"
    exit 1
  fi
  echo "$name: no socket; $(wc -c <"$work/out") bytes on stdout"
}

# A trace that cannot see a socket would pass anything.
printf 'import socket\nsocket.socket()\n' >"$work/probe.py"
strace -f -e trace=network -o "$work/trace" python3 "$work/probe.py"
grep -q 'socket(' "$work/trace" || { echo 'self-test: a socket was not seen'; exit 1; }

XDG_CACHE_HOME=$work/cache XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config
export XDG_CACHE_HOME XDG_STATE_HOME XDG_CONFIG_HOME
traced run "$nibble" run "$model" -n 8 'Hello' </dev/null
echo 'Why is the sky blue?' | traced chat "$nibble" chat -m "$model" -n 8
traced quantize "$nibble" quantize --allow-requantize --no-card "$model" "$work/out.gguf" Q8_0 </dev/null
traced convert "$nibble" convert "$work/out.gguf" "$work/out.safetensors" </dev/null

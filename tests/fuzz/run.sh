#!/bin/sh
# Runs the fuzz targets of runs.tsv for their documented number of inputs, from the seeds in
# tests/fixtures/fuzz/<target>. A crash, leak, hang or more than 1 GiB fails, and the input is kept.
# Without libFuzzer's entropic schedule, which costs small targets half of their speed.
# usage: run.sh BUILD [TARGET [INPUTS]]
set -eu
build=$1
only=${2:-}
here=$(dirname "$0")
kept=$build/fuzz-found
mkdir -p "$kept"
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT

ran=0
while IFS='	' read -r target inputs longest; do
  case $target in '#'*) continue ;; esac
  [ -z "$only" ] || [ "$only" = "$target" ] || continue
  inputs=${3:-$inputs}
  seeds=$here/../fixtures/fuzz/$target
  [ -d "$seeds" ] || seeds=
  mkdir -p "$corpus/$target"
  echo "fuzz: $target: $inputs inputs of at most $longest bytes"
  # shellcheck disable=SC2086  # no seeds is no argument
  if ! "$build/tests/fuzz/${target}_fuzz" -runs="$inputs" -max_len="$longest" -timeout=10 \
    -entropic=0 -rss_limit_mb=1024 -artifact_prefix="$kept/$target-" -print_final_stats=1 -verbosity=0 \
    "$corpus/$target" $seeds >"$corpus/log" 2>&1; then
    tail -n 60 "$corpus/log"
    echo "fuzz: $target failed; its input is in $kept"
    exit 1
  fi
  grep -E 'number_of_executed_units|peak_rss' "$corpus/log" || true
  ran=$((ran + 1))
done <"$here/runs.tsv"
if [ "$ran" = 0 ]; then
  echo "fuzz: no target named '$only' in tests/fuzz/runs.tsv"
  exit 1
fi

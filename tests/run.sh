#!/bin/sh
# Runs ctest in a build folder and repeats at the end what the tests said they skipped: a passing
# test's output is not shown otherwise. usage: run.sh BUILD [ctest options]
set -u
build=$1
shift
ctest --test-dir "$build" --output-on-failure --no-tests=error "$@"
code=$?
log=$build/Testing/Temporary/LastTest.log
if skipped=$(grep -o 'SKIPPED: [^"<]*$' "$log" 2>/dev/null | sort | uniq -c); then
  printf 'Skipped, and why:\n%s\n' "$skipped"
fi
exit $code

#!/bin/sh
# Shows that isa_symbols.sh can fail: objects as an ISA file must not be, and one as it must.
# usage: isa_self_test.sh CXX
set -eu
cxx=$1
check=$(cd "$(dirname "$0")" && pwd)/isa_symbols.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

good='namespace nibble { extern const int kernels_x; const int kernels_x = 1; }'
# verdict CODE: the exit code of the check on a library of that one object.
verdict() {
  printf '%s\n' "$1" >isa_x.cpp
  "$cxx" -std=c++20 -O2 -c isa_x.cpp -o isa_x.cpp.o
  rm -f lib.a
  ar rc lib.a isa_x.cpp.o
  "$check" "$work/lib.a" >out 2>&1 && echo 0 || echo 1
}

wrong=0
expect() {
  got=$(verdict "$2")
  if [ "$got" != "$1" ]; then
    echo "expected $1, got $got: $2"
    wrong=1
  fi
}
expect 0 "$good"
expect 0 "$good static int helper(int n) { return n + 1; }"
expect 1 "$good int helper(int n) { return n + 1; }"
expect 1 "$good inline int helper(int n) { return n + 1; } int (*take())(int) { return helper; }"
expect 1 "$good
template <typename T> __attribute__((noinline)) T twice(T n) { return n + n; }
template int twice<int>(int);"
expect 1 "$good
int now(); static int started = now();"
expect 1 "int kernels_y = 1;"
echo "7 objects, $wrong wrong"
exit $wrong

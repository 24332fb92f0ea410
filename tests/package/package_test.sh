#!/bin/sh
# Installs the library into an empty prefix, moves it, and builds a program outside the tree against
# it in every way that is promised; looks at what the libraries show; looks into the Debian package.
# usage: package_test.sh SOURCE BUILD CC CXX
set -eu
source=$1
build=$2
cc=$3
cxx=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "$*"
  exit 1
}

# ---- install, and move ----
cmake --install "$build" --prefix "$work/first" --strip >"$work/log" || fail "$(cat "$work/log")"
mv "$work/first" "$work/moved"
lib=$(dirname "$(find "$work/moved" -name libnibble.a)")
so=$(find "$lib" -name 'libnibble.so.*.*')

# ---- what they show ----
soname=$(objdump -p "$so" | sed -n 's/ *SONAME *//p')
abi=$(sed -n 's/^#define NIBBLE_ABI \([0-9]*\)u$/\1/p' "$work/moved/include/nibble.h")
[ "$soname" = "libnibble.so.$abi" ] || fail "SONAME $soname, but NIBBLE_ABI is $abi"
shown=$(nm -D --defined-only "$so" | awk '{print $3}')
others=$(printf '%s\n' "$shown" | grep -v -E "^(nibble_[a-z0-9_]+@@)?NIBBLE_$abi\$" || true)
[ -z "$others" ] || fail "libnibble.so shows besides nibble_*: $others"
globals=$(nm -g --defined-only "$lib/libnibble.a" 2>/dev/null | awk 'NF == 3 {print $3}')
others=$(printf '%s\n' "$globals" | grep -v '^nibble_' || true)
[ -z "$others" ] || fail "libnibble.a shows besides nibble_*: $others"
# Every function of the header is there, and no other.
declared=$(grep -oE '\bnibble_[a-z0-9_]+\(' "$work/moved/include/nibble.h" | tr -d '(' | sort -u)
missing=$(for f in $declared; do
  printf '%s\n' "$shown" | grep -q "^$f@@" || echo "$f"
  printf '%s\n' "$globals" | grep -qx "$f" || echo "$f (static)"
done)
[ -z "$missing" ] || fail "declared, but not there: $missing"
count=$(printf '%s\n' "$shown" | grep -c '^nibble_')
[ "$count" -eq "$(printf '%s\n' "$declared" | wc -l)" ] || fail "$count shown, declared: $declared"
! strings -a "$so" | grep -F "$source" || fail 'libnibble.so has paths of the source tree'
# What a library must not do, it cannot call: end the process, print, read the environment, change
# the locale, set other handlers than sigaction's of the file guard.
banned='abort|exit|_exit|_Exit|quick_exit|__assert_fail|getenv|secure_getenv|setenv|putenv|setlocale|uselocale'
banned="$banned|v?f?printf|__v?f?printf_chk|puts|fputs|putchar|fputc|fwrite|perror|stdout|stderr|_ZSt4c(out|err|log).*"
banned="$banned|signal|system|popen|fork|execv.*|atexit|pthread_atfork|__register_atfork|omp_set_.*"
called=$(nm -D --undefined-only "$so" | awk '{print $2}' | sed 's/@.*//' | grep -xE "$banned" || true)
[ -z "$called" ] || fail "libnibble.so calls $called"

# ---- programs outside the tree ----
cd "$work"
cp "$source/tests/package/consumer.c" "$source/tests/package/consumer.cpp" .
export PKG_CONFIG_PATH="$lib/pkgconfig"
strict='-pedantic -Wall -Wextra -Wshadow -Wconversion -Werror'
flags="-std=c99 $strict"
# shellcheck disable=SC2046,SC2086  # lists of flags
{
  $cc $flags consumer.c $(pkg-config --cflags --libs nibble) -o pc_shared
  $cc $flags consumer.c -static-libgcc $(pkg-config --cflags --libs --static nibble |
    sed 's/-lnibble\b/-l:libnibble.a/') -o pc_static
  $cc $flags -D_DEFAULT_SOURCE -DUSE_DLOPEN -Wno-pedantic $(pkg-config --cflags nibble) consumer.c -ldl -o dl
  for standard in c++17 c++20; do
    $cxx -std=$standard $strict consumer.cpp $(pkg-config --cflags --libs nibble) -o $standard
    LD_LIBRARY_PATH=$lib ./$standard
  done
}
"$build/tools/nibble" convert "$source/tests/fixtures/convert/llama_bias" toy.gguf 2>log || fail "$(cat log)"
cp "$source/tests/package/contract.c" .
# shellcheck disable=SC2046,SC2086
$cc $flags -Wno-pedantic $(pkg-config --cflags nibble) contract.c -ldl -o contract
cp "$so" copy.so
./contract "$so" "$work/copy.so" "$work/toy.gguf" >said 2>&1 || fail "$(cat said)"
[ ! -s said ] || fail "the library said: $(cat said)"
LD_LIBRARY_PATH=$lib ./pc_shared
./pc_static
./dl "$so"
mkdir project
cp consumer.c project
cp "$source/tests/package/consumer.cmake" project/CMakeLists.txt
cmake -S project -B project/build -G Ninja -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_C_COMPILER="$cc" \
  >log 2>&1 && cmake --build project/build >>log 2>&1 || fail "$(cat log)"
project/build/with_shared
project/build/with_static

# ---- the Debian package ----
if ! command -v dpkg-shlibdeps >/dev/null || ! command -v file >/dev/null; then
  echo 'SKIPPED: no Debian package made: dpkg-dev or file is not installed'
  exit 0
fi
cpack -G DEB --config "$build/CPackConfig.cmake" -B "$work/deb" >log 2>&1 || fail "$(cat log)"
deb=$(find "$work/deb" -maxdepth 1 -name 'nibble_*.deb')
dpkg-deb -c "$deb" >contents
for file in usr/bin/nibble usr/include/nibble.h usr/include/nibble.hpp "libnibble.so.$abi" libnibble.a pkgconfig/nibble.pc \
  cmake/nibble/nibble-config.cmake doc/nibble/copyright; do
  grep -q "$file" contents || fail "the Debian package lacks $file"
done
dpkg-deb -f "$deb" Depends | grep -q 'libc6 (>= ' || fail 'the Debian package does not say its libc'
dpkg-deb -f "$deb" Package Version Depends

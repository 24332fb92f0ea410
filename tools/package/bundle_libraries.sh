#!/bin/sh
# Puts a library and the shared libraries that it needs into one folder, with their licences, for the
# packages of other languages. What every Linux desktop or server has stays out: the C and C++
# libraries, whose versions must not be lower than here.
# usage: bundle_libraries.sh LIBRARY OUT SOURCE
set -eu
library=$1
out=$2
source=$3
rm -rf "$out"
mkdir -p "$out/licences"
strip -o "$out/$(objdump -p "$library" | sed -n 's/ *SONAME *//p')" "$library"

# The Debian copyright file of the package that a file belongs to. dpkg may know it by its path from
# before /usr was merged.
licence_of() {
  package=$(dpkg-query -S "$1" 2>/dev/null || dpkg-query -S "${1#/usr}" 2>/dev/null) || return 0
  package=${package%%:*}
  cp "/usr/share/doc/$package/copyright" "$out/licences/$package.txt"
}

ldd "$library" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' |
  grep -v -E '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s))\.so' |
  while read -r needed; do
    cp -L "$needed" "$out/"
    licence_of "$(readlink -f "$needed")"
  done
for header in nlohmann/json.hpp xsimd/xsimd.hpp; do licence_of "/usr/include/$header"; done
cp "$source/LICENSE" "$out/licences/nibble.txt"

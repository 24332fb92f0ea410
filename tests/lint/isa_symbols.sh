#!/bin/sh
# Checks what each ISA object defines: isa_symbols.sh LIBRARY [NM], a static library with
# isa_<name> objects. An object may export kernels_<name> and nothing else. An inline or template
# function with weak linkage could become the whole program's only copy and crash CPUs that lack the
# instructions; a constructor would run them at startup. For Release builds: without optimization,
# xsimd's functions are not inlined.
set -eu

library=$1
nm=${2:-nm}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$library" "$folder/library.a"
cd "$folder"
ar x library.a
status=0
found=0
for object in isa_*.o; do
  [ -e "$object" ] || break
  found=$((found + 1))
  name=${object#isa_}
  name=${name%%.*}
  # Lower-case letters are local symbols, U is undefined; u, v and w are weak ones in lower case.
  defined=$("$nm" -C "$object" | awk '{ kind = $(NF > 2 && length($1) > 1 ? 2 : 1) }
    kind ~ /^[A-TV-Zuvw]$/ { print }' | grep -v " D nibble::kernels_$name\$" |
    grep -v " R nibble::kernels_$name\$" | grep -v '^ *w ' || true)
  constructors=$("$nm" -C "$object" | grep -E '_GLOBAL__sub_I_|global constructors' || true)
  if [ -n "$defined$constructors" ]; then
    echo "error: $object: expected nibble::kernels_$name alone, got"
    printf '%s\n%s\n' "$defined" "$constructors" | sed '/^$/d; s/^/  /'
    status=1
  fi
  if ! "$nm" -C "$object" | grep -q " [DR] nibble::kernels_$name\$"; then
    echo "error: $object: expected nibble::kernels_$name, got no such symbol"
    status=1
  fi
done
if [ "$found" -eq 0 ]; then
  echo "error: $library: expected isa_<name> objects, got none"
  status=1
fi
[ "$status" -eq 0 ] && echo "$found ISA objects export one symbol each"
exit "$status"

#!/bin/sh
# Makes one archive of several: a single object in which everything but nibble_* is local, since a
# host may have functions, or a copy of a library, of the same names.
# usage: archive.sh OUT LD OBJCOPY NM AR PART.a...
set -eu
out=$1
ld=$2
objcopy=$3
nm=$4
ar=$5
shift 5
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
object=$work/nibble.o
"$ld" -r --force-group-allocation -o "$object" --whole-archive "$@"
# objcopy makes global and weak symbols local, not the unique ones.
"$nm" --defined-only "$object" | awk '$2 == "u" {print $3}' >"$work/unique"
"$objcopy" --weaken-symbols="$work/unique" "$object"
"$objcopy" --wildcard --keep-global-symbol='nibble_*' "$object"
rm -f "$out"
"$ar" qcs "$out" "$object"

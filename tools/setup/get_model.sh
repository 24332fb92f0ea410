#!/bin/sh
# Prints the paths of the named models, one a line, after fetching those that the cache lacks.
# A file of the right size is taken as it is: its hash was checked before it got its name.
# usage: get_model.sh NAME...    names: the first column of models.tsv
set -eu
here=$(dirname "$0")
. "$here/common.sh"
folder=$(models_folder)

for name in "$@"; do
  row=$(grep "^$name	" "$here/models.tsv") ||
    die "get_model.sh: unknown model $name" "known: $(grep -v '^#' "$here/models.tsv" | cut -f1 | tr '\n' ' ')"
  path=$folder/$(printf '%s\n' "$row" | cut -f2)
  bytes=$(printf '%s\n' "$row" | cut -f3)
  if [ "$(stat -L -c %s "$path" 2>/dev/null)" != "$bytes" ]; then
    "$here/packages.sh" model
    python3 "$here/fetch_model.py" "$name" "$folder" >&2 </dev/null
  fi
  printf '%s\n' "$path"
done

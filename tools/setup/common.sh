# Sourced by the set-up scripts. Everything they say goes to stderr: stdout belongs to the model.

say() { printf 'setup: %s\n' "$*" >&2; }

# die MESSAGE HINT: one error line, one hint line, exit code 1.
die() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

# As tools/paths.cpp: a relative XDG_CACHE_HOME is ignored. NIBBLE_MODELS is for tests.
models_folder() {
  cache=${XDG_CACHE_HOME:-}
  if [ -n "${NIBBLE_MODELS:-}" ]; then
    printf '%s\n' "$NIBBLE_MODELS"
  elif [ "${cache#/}" != "$cache" ]; then
    printf '%s\n' "$cache/nibble/models"
  elif [ -n "${HOME:-}" ]; then
    printf '%s\n' "$HOME/.cache/nibble/models"
  else
    die 'no folder for models: HOME is not set' 'set HOME, XDG_CACHE_HOME or NIBBLE_MODELS'
  fi
}

#!/bin/sh
# Writes OUT/nibble-VERSION-linux-ARCH.tar.gz: the command, the library for other programs, the shared
# libraries that both need apart from the C library, the default model and the licences. Unpacked
# anywhere it runs without a network; the binaries look for their libraries in lib/ first. gzip, because tar on a bare system reads no zstd.
# usage: bundle.sh BUILD OUT [MODEL...]    models: names of models.tsv, smollm2 if none is given
set -eu
here=$(dirname "$0")
. "$here/common.sh"
build=$1
out=$2
shift 2
[ $# -gt 0 ] || set -- smollm2

version=$(sed -n 's/^project(nibble VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
name=nibble-$version-linux-$(uname -m)
mkdir -p "$out"
work=$(mktemp -d "$out/.bundle-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
top=$work/$name
mkdir -p "$top/bin" "$top/lib" "$top/models" "$top/licences"

# Strips too; the file is the same otherwise.
strip -o "$top/bin/nibble" "$build/tools/nibble"

# The library and what compilers need of it; its own libraries lie beside it.
cmake --install "$build" --prefix "$work/installed" --strip >/dev/null
so=$build/bundled/libnibble.so.1
cp "$so" "$top/lib/"
ln -s libnibble.so.1 "$top/lib/libnibble.so"
cp -R "$work/installed/include" "$top/include"
mkdir "$top/lib/pkgconfig"
sed 's|^prefix=.*|prefix=${pcfiledir}/../..|; s|^libdir=.*|libdir=${prefix}/lib|' \
  "$(find "$work/installed" -name nibble.pc)" >"$top/lib/pkgconfig/nibble.pc"

# licence_of FILE: the Debian copyright file of the package that FILE belongs to. dpkg may know a
# file by its path from before /usr was merged.
licence_of() {
  package=$(dpkg-query -S "$1" 2>/dev/null || dpkg-query -S "${1#/usr}" 2>/dev/null) ||
    die "no package owns $1" 'the bundle needs the licence of everything in it'
  package=${package%%:*}
  cp "/usr/share/doc/$package/copyright" "$top/licences/$package.txt"
}

# Everything that the loader resolves but the C library itself, which must match the machine's.
ldd "$build/tools/nibble" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' |
  grep -v -E '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv))\.so' |
  while read -r library; do
    cp -L "$library" "$top/lib/"
    licence_of "$(readlink -f "$library")"
  done
# Headers compiled into the command.
for header in CLI/CLI.hpp nlohmann/json.hpp xsimd/xsimd.hpp; do licence_of "/usr/include/$header"; done
cp LICENSE "$top/licences/nibble.txt"
cp /usr/share/common-licenses/Apache-2.0 /usr/share/common-licenses/GPL-3 \
  /usr/share/common-licenses/GPL-2 /usr/share/common-licenses/LGPL-2.1 "$top/licences/" 2>/dev/null || true

for model in "$@"; do
  path=$("$here/get_model.sh" "$model")
  cp "$path" "$top/models/"
  default=${default:-$(basename "$path")}
done

cat >"$top/chat" <<END
#!/bin/sh
# Starts the chat with the model of this folder.
here=\$(dirname "\$(readlink -f "\$0")")
exec "\$here/bin/nibble" chat -m "\$here/models/$default" "\$@"
END
chmod +x "$top/chat"

cat >"$top/README.txt" <<END
nibble $version for Linux on $(uname -m). Needs the C library of Debian 12 (glibc 2.36) or newer.
Nothing is installed and no network is used.

  ./chat                    talks to the model in models/
  bin/nibble --help         everything else, for example one answer:
  bin/nibble run models/$default "Why is the sky blue?"

models/     SmolLM2-135M-Instruct: Apache-2.0, see licences/Apache-2.0
include/    nibble.h for C, nibble.hpp for C++: the library for programs of your own,
lib/        with lib/pkgconfig/nibble.pc; beside it the libraries it needs, as Debian built them
licences/   of nibble (MIT), of each library, of the model
END

stamp=$(git log -1 --format=%ct 2>/dev/null || date +%s)
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-$stamp}" \
  -cf "$work/$name.tar" "$name"
gzip -n -1 "$work/$name.tar"
mv "$work/$name.tar.gz" "$out/$name.tar.gz"
say "$out/$name.tar.gz: $(du -h "$out/$name.tar.gz" | cut -f1)"

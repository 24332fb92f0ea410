"""Compares the binary interface of nibble.h with the one that programs were compiled against.

    python3 tests/package/abi_test.py CC [--update]

A shared library is made of the header's declarations, each with an empty body; libabigail's abidw
describes it and abidiff compares that with nibble.abi: functions, their arguments, structs and
where their members are, numbers of enumerations. package_test.sh shows that libnibble.so has the
same functions. A function more is no difference. A member more at a struct's end is one that the header
allows: `--update` writes nibble.abi anew. All else breaks programs and needs a new NIBBLE_ABI too.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
HEADER = HERE.parent.parent / "runtime/api/nibble.h"
DUMP = HERE / "nibble.abi"
DECLARATION = re.compile(r"^NIBBLE_API ([\w* ]+?\*?)\s*\b(nibble_\w+)\(([^;]*)\);", re.M)


def stubs(header):
    out = ['#include "nibble.h"\n']
    for result, name, arguments in DECLARATION.findall(header):
        body = "" if result.strip() == "void" else " return 0; "
        out.append(f"{result} {name}({arguments}) {{{body}}}\n")
    return "".join(out), len(out) - 1


def describe(cc, folder, to):
    source, count = stubs(HEADER.read_text())
    assert count == len(re.findall(r"^NIBBLE_API ", HEADER.read_text(), re.M)), "a declaration was missed"
    (folder / "stubs.c").write_text(source)
    library = folder / "libnibble.so.1"
    subprocess.run([cc, "-std=c99", "-g", "-O0", "-shared", "-fPIC", "-fno-eliminate-unused-debug-types",
                    "-Wl,-soname,libnibble.so.1",
                    f"-I{HEADER.parent}", "stubs.c", "-o", str(library)], cwd=folder, check=True)
    subprocess.run(["abidw", "--no-comp-dir-path", "--no-corpus-path", "--no-show-locs",
                    "--load-all-types", "--out-file", str(to), str(library)], check=True)
    return count


def main():
    cc = sys.argv[1]
    if shutil.which("abidw") is None:
        print("SKIPPED: abidw of libabigail is not installed (Debian: abigail-tools)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        now = folder / "now.abi"
        count = describe(cc, folder, DUMP if "--update" in sys.argv else now)
        if "--update" in sys.argv:
            return
        difference = subprocess.run(["abidiff", "--no-added-syms", str(DUMP), str(now)],
                                    capture_output=True, text=True, check=False)
        if difference.returncode != 0:
            print(difference.stdout + difference.stderr)
            print("the binary interface is not the one of tests/package/nibble.abi")
            sys.exit(1)
        print(f"{count} functions, the same interface")


main()

"""The rules of form, one function each; RULES at the end is the table of them.

A rule takes the Tree and yields Finding(path, line, message). self_test.py holds, for each, trees
that must fail and trees that must pass.
"""
import re
from collections import namedtuple

Finding = namedtuple("Finding", "path line message")

LIBRARY = ("quant", "formats", "runtime")

# What a folder may include. The longest matching prefix counts; ARCHITECTURE.md prints this table.
LAYERS = {
    "quant": ["quant"],
    "formats": ["quant", "formats"],
    "runtime/threads": ["runtime/threads"],
    "runtime/text": ["formats", "runtime/threads", "runtime/text"],
    "runtime/model": ["quant", "formats", "runtime/threads", "runtime/model"],
    "runtime/convert": ["quant", "formats", "runtime/threads", "runtime/text", "runtime/model",
                        "runtime/convert"],
    "runtime/engine": ["quant", "formats", "runtime/threads", "runtime/text", "runtime/model",
                       "runtime/engine"],
    "runtime": ["quant", "formats", "runtime"],
    "tools": ["quant", "formats", "runtime", "tools"],
    "examples": ["runtime/api"],
    "bindings": ["runtime/api"],
    "tests": ["quant", "formats", "runtime", "tools", "examples", "tests"],
}

# What is used outside the tree includes what lies beside it, without a folder.
BESIDE = ("examples", "bindings", "runtime/api/nibble.hpp")


def under(path, folder):
    return path == folder or path.startswith(folder + "/")


def layers(tree):
    for source in tree.cpp():
        home = max((f for f in LAYERS if under(source.path, f)), key=len, default=None)
        if home is None:
            yield Finding(source.path, 1, "no layer: a top-level folder that ARCHITECTURE.md lacks")
            continue
        beside = any(under(source.path, place) for place in BESIDE)
        for line, path, kind in source.includes:
            if kind != '"' or (beside and "/" not in path):
                continue
            if not any(under(path, allowed) for allowed in LAYERS[home]):
                yield Finding(source.path, line,
                              f'{home} may not include "{path}" (paths start at the root, arrows '
                              f'point down: {", ".join(LAYERS[home])})')


# The library never prints, ends the process, asserts, reads the environment or changes the locale,
# and never reads numbers with functions that throw or clamp. symbols.py asks the object files the
# same, and more: names that are also good names of methods (fork, system) are left to it.
FORBIDDEN_CALLS = """
    abort exit _exit _Exit quick_exit at_quick_exit atexit assert terminate set_terminate
    printf fprintf vprintf vfprintf puts fputs putchar putc fputc perror dprintf
    getenv secure_getenv setenv putenv unsetenv setlocale localeconv
    popen execv execve execvp posix_spawn sigaction
    stoi stol stoll stoul stoull stof stod stold atoi atol atoll atof
    strtol strtoll strtoul strtoull strtof strtod strtold sscanf scanf fscanf
    rand srand strerror asctime ctime gmtime localtime
""".split()
FORBIDDEN_NAMES = ["std::cout", "std::cerr", "std::clog", "std::regex", "std::locale",
                   "dynamic_cast", "stdout", "stderr", "thread_local"]
FORBIDDEN_HEADERS = ["iostream", "regex", "cassert", "assert.h", "clocale", "locale.h", "csignal",
                     "signal.h"]
_CALL = re.compile(r"(?<![\w.>:])(?:std::|::)?(" + "|".join(FORBIDDEN_CALLS) + r")\s*\(")
_NAME = re.compile(r"(?<![\w.>])(" + "|".join(map(re.escape, FORBIDDEN_NAMES)) + r")\b")
# (path, name): why it is right there and only there.
_GUARD = "the one signal handler: docs/decisions/0047"
ALLOWED_CALLS = {
    ("formats/io/file_guard.cpp", "sigaction"): _GUARD,
    ("formats/io/file_guard.cpp", "csignal"): _GUARD,
    ("runtime/threads/fault_signal.h", "csignal"): _GUARD,
}


def forbidden_calls(tree):
    for source in tree.cpp(*LIBRARY):
        for number, line in enumerate(source.code, 1):
            for match in [*_CALL.finditer(line), *_NAME.finditer(line)]:
                if (source.path, match.group(1)) not in ALLOWED_CALLS:
                    yield Finding(source.path, number, f"the library may not use {match.group(1)}")
        for number, path, kind in source.includes:
            if (kind == "<" and path in FORBIDDEN_HEADERS
                    and (source.path, path) not in ALLOWED_CALLS):
                yield Finding(source.path, number, f"the library may not include <{path}>")


_INTRINSICS = re.compile(r"(\w*intrin|arm_neon|arm_sve|arm_acle|altivec)\.h$|xsimd/")


def intrinsics(tree):
    for source in tree.cpp():
        if under(source.path, "quant/kernels"):
            continue
        for number, path, _ in source.includes:
            if _INTRINSICS.match(path):
                yield Finding(source.path, number, f"<{path}> belongs under quant/kernels only")


def openmp(tree):
    for source in tree.cpp():
        if under(source.path, "runtime/threads"):
            continue
        for number, line in enumerate(source.code, 1):
            if re.match(r"\s*#\s*(pragma\s+omp\b|include\s*<omp\.h>)", line):
                yield Finding(source.path, number, "OpenMP belongs under runtime/threads only")


# Files of a kind, the table where each must have a row, and what the row looks like.
# quant/block also holds helpers: a type's file is one that says kType.
TABLES = [
    (r"quant/block/(\w+)\.h", "quant/all_types.h", r'"quant/block/{0}\.h"'),
    (r"quant/kernels/isa_(\w+)\.cpp", "quant/kernels/isa.cmake", r"nibble_isa\({0}\b"),
    (r"quant/kernels/isa_(\w+)\.cpp", "quant/kernels/dispatch.cpp", r"&kernels_{0}\b"),
    (r"runtime/model/arch/(\w+)\.cpp", "runtime/model/archs.cpp", r"&arch_{0}\b"),
    (r"tools/cmd_(\w+)\.cpp", "tools/main.cpp", r"&cmd_{0}\b"),
    (r"tools/cmd_(\w+)\.cpp", "README.md", r"\bnibble {0}\b"),
    (r"tests/fuzz/(\w+)_fuzz\.cpp", "tests/fuzz/runs.tsv", r"(?m)^{0}\t"),
]


def table_rows(tree):
    for pattern, table, row in TABLES:
        for source in list(tree.files.values()):
            match = re.fullmatch(pattern, source.path)
            if source.path.startswith("quant/block/") and "kType" not in source.text:
                continue
            if match and not re.search(row.format(re.escape(match.group(1))), tree.text(table)):
                yield Finding(source.path, 1, f"has no row in {table}")


def marks(tree):
    for source in tree.cpp():
        for number, line in enumerate(source.lines, 1):
            match = re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line)
            if match and not under(source.path, "tests/lint"):
                yield Finding(source.path, number, f"{match.group(1)}: do it or file an issue")


PUBLIC_HEADER = "runtime/api/nibble.h"  # also for compilers that know only the C standard


def headers(tree):
    for source in tree.cpp():
        guard = "#ifndef NIBBLE_H" if source.path == PUBLIC_HEADER else "#pragma once"
        if source.path.endswith((".h", ".hpp")) and guard not in source.text:
            yield Finding(source.path, 1, "a header starts with #pragma once")


def type_names(tree):
    """Two types of one name in one namespace: the linker keeps the functions of one of them.

    kernels are left out: theirs have internal linkage, each table's its own.
    """
    seen = {}
    for source in tree.cpp():
        if not source.path.endswith((".h", ".hpp")) or under(source.path, "quant/kernels"):
            continue
        space = ""
        for number, line in enumerate(source.code, 1):
            opened = re.match(r"(inline )?namespace ([\w:]+) \{", line)
            if opened:
                space = f"{space}::{opened.group(2)}" if opened.group(1) else opened.group(2)
            match = re.match(r"(?:struct|class|union) (\w+)(?: final)?\s*[:{]", line)
            if not match:
                continue
            name = f"{space}::{match.group(1)}"
            if seen.setdefault(name, source.path) != source.path:
                yield Finding(source.path, number, f"{name} is a type in {seen[name]} too")


FILE_LINES = 600
DOCUMENT_LINES = {"README.md": 150, "ARCHITECTURE.md": 200, "CONTRIBUTING.md": 120}


def file_lengths(tree):
    for source in [*tree.cpp(), *(tree.files[d] for d in DOCUMENT_LINES if d in tree.files)]:
        limit = DOCUMENT_LINES.get(source.path, FILE_LINES)
        if len(source.lines) > limit and not source.path.endswith(("_data.cpp", "_data.h")):
            yield Finding(source.path, limit, f"{len(source.lines)} lines, at most {limit}")


# Hosts of package registries, in pieces so that this file passes its own rule. Packages are named,
# never where they come from: that is the user's configuration.
HOSTS = ["pypi" + ".org", "python" + "hosted", "deb" + ".debian.org", "crates" + ".io",
         "registry.npm" + "js", "conda" + ".anaconda.org"]


def registry_hosts(tree):
    for source in tree.files.values():
        if under(source.path, "tests/fixtures"):
            continue
        for number, line in enumerate(source.lines, 1):
            for host in HOSTS:
                if host in line:
                    yield Finding(source.path, number, f"names the registry host {host}")


# Goals rather than rules: `lint.py --goals` lists them, nothing fails.
HEADER_LINES = 200
FUNCTION_LINES = 80


def lengths_to_mend(tree):
    for source in tree.cpp():
        if source.path.endswith((".h", ".hpp")) and len(source.lines) > HEADER_LINES:
            yield Finding(source.path, HEADER_LINES, f"header of {len(source.lines)} lines")
        start = None
        for number, line in enumerate(source.code, 1):
            opens = re.match(r"(\s{0,2})\S.*[)\w]\s*\{$", line)
            if start is None and opens and not re.match(
                    r"\s*(namespace|class|struct|enum|union|extern|TEST_CASE)\b", line):
                start, indent = number, opens.group(1)
            elif start is not None and re.match(re.escape(indent) + r"\}", line):
                if number - start > FUNCTION_LINES:
                    yield Finding(source.path, start, f"function of {number - start} lines")
                start = None


# (name, rule, what it keeps true)
RULES = [
    ("layers", layers, "includes point down: quant <- formats <- runtime <- tools"),
    ("forbidden-calls", forbidden_calls, "the library never prints, exits, asserts, reads the environment"),
    ("intrinsics", intrinsics, "instruction sets are named under quant/kernels only"),
    ("openmp", openmp, "threads are made under runtime/threads only"),
    ("table-rows", table_rows, "every file of a kind has a row in its table"),
    ("marks", marks, "nothing is left to do in the code"),
    ("headers", headers, "headers may be included twice"),
    ("type-names", type_names, "a type's name is its own"),
    ("file-lengths", file_lengths, "files and documents stay short enough to read"),
    ("registry-hosts", registry_hosts, "no registry host is named"),
]

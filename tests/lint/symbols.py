#!/usr/bin/env python3
"""Asks the object files what the library calls: `symbols.py CXX LIBRARY.a...`.

A static library that refers to abort, exit, getenv, stdout... can end, read or write to its host;
nm shows it whatever the source looks like, macros and headers of others included. Before it looks
at the libraries it compiles one object per forbidden group and checks that it would be found.
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# group -> (C and C++ symbols as nm prints them, demangled up to the bracket; a probe that uses one)
FORBIDDEN = {
    "ends the process": (
        "abort exit _exit _Exit quick_exit at_quick_exit atexit __assert_fail __assert_perror_fail "
        "std::__glibcxx_assert_fail raise kill",
        "#include <cassert>\nvoid probe(int n) { assert(n > 0); }"),
    "writes to the host's streams": (
        "stdout stderr stdin printf vprintf puts putchar perror __printf_chk __vprintf_chk "
        "std::cout std::cerr std::clog std::ios_base::Init::Init",
        "#include <cstdio>\nvoid probe() { std::fputs(\"x\", stderr); }"),
    "reads or changes the environment or locale": (
        "getenv secure_getenv setenv putenv unsetenv environ setlocale localeconv "
        "std::locale::global",
        "#include <cstdlib>\nconst char* probe() { return std::getenv(\"HOME\"); }"),
    "starts processes or changes signals": (
        "system popen fork vfork execv execve execvp execl execlp posix_spawn posix_spawnp signal "
        "sigaction __sysv_signal",
        "#include <cstdlib>\nint probe() { return std::system(\"true\"); }"),
    "opens sockets": (
        "socket connect bind listen accept getaddrinfo gethostbyname",
        "#include <sys/socket.h>\nint probe() { return socket(1, 1, 0); }"),
    "reads numbers with functions that throw or clamp": (
        "strtol strtoll strtoul strtoull strtof strtod strtold __isoc23_strtol __isoc23_strtoull "
        "atoi atol atoll atof sscanf __isoc99_sscanf",
        "#include <string>\nint probe(const std::string& s) { return std::stoi(s); }"),
}

# (object, symbol): why it is right.
_JSON = "nlohmann-json's number reader: asks for the locale's decimal point and checks what it read"
_GUARD = "the one signal handler, which a host may decline: docs/decisions/0047"
ALLOWED = {
    ("file_guard.cpp.o", "sigaction"): _GUARD,
    ("file_guard.cpp.o", "raise"): _GUARD,
    ("json.cpp.o", "localeconv"): _JSON,
    ("json.cpp.o", "strtod"): _JSON,
    ("json.cpp.o", "strtoll"): _JSON,
    ("json.cpp.o", "strtoull"): _JSON,
}


def references(path, nm="nm"):
    """(object, symbol) of every undefined symbol, demangled and without its parameters."""
    out = subprocess.run([nm, "--undefined-only", "--demangle", "--print-file-name", str(path)],
                         check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        match = re.match(r"(.*?):\s+[Uvw] (.*)", line)
        if match:
            yield match.group(1).rsplit(":", 1)[-1], re.sub(r"[(@].*", "", match.group(2))


def findings(path):
    library = Path(path).name
    for member, symbol in references(path):
        for group, (symbols, _) in FORBIDDEN.items():
            if symbol in symbols.split() and (member, symbol) not in ALLOWED:
                yield f"{library}: {member}: {symbol}: {group}"


def probe(cxx, folder, group, code):
    """Compiles the group's probe; says whether findings() sees it."""
    source, built = Path(folder, "probe.cpp"), Path(folder, "probe.o")
    source.write_text(code, encoding="utf-8")
    subprocess.run([cxx, "-std=c++20", "-O2", "-c", source, "-o", built], check=True)
    return any(line.endswith(group) for line in findings(built))


def main():
    cxx, *libraries = sys.argv[1:]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for group, (_, code) in FORBIDDEN.items():
            if not probe(cxx, folder, group, code):
                wrong.append(f"self-test: the probe of '{group}' was not found")
    count = 0
    for library in libraries:
        wrong += findings(library)
        count += len(set(references(library)))
    for line in sorted(set(wrong)):
        print(line)
    print(f"{len(FORBIDDEN)} probes found, {len(libraries)} libraries, {count} references, "
          f"{len(set(wrong))} wrong")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())

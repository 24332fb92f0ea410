# The front door. Every target is a short way of saying something to CMake, CTest or a script under
# tools/setup and tests; the presets are in CMakePresets.json. On a bare Debian 12 `make chat` and
# `make test` need nothing but make, git and a network. Only the model's text goes to stdout.
.DEFAULT_GOAL := build
SHELL := /bin/sh
SETUP := tools/setup
JOBS ?= $(shell nproc)
# ARGS goes to the nibble command: make chat ARGS='--temp 0'. CMAKE_ARGS to the configure step.
ARGS ?=
CMAKE_ARGS ?=
# Inputs of one fuzz target; `make fuzz T=gguf N=1000` is a short run of a single one.
T ?=
N ?=

# A preset is configured once; Ninja runs CMake again by itself when a CMakeLists.txt changes.
build/%/build.ninja: CMakePresets.json $(SETUP)/packages.sh
	@$(SETUP)/packages.sh build $(filter fuzz aarch64,$*)
	@cmake --preset $* $(CMAKE_ARGS) >&2
	@touch $@

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: build/release/build.ninja ## build the command: build/release/tools/nibble
	@ninja -C build/release -j $(JOBS) nibble >&2

.PHONY: debug
debug: build/debug/build.ninja ## build everything without optimisation, warnings are errors
	@ninja -C build/debug -j $(JOBS) >&2

.PHONY: chat
chat: build/release/build.ninja ## install what is missing, build, get the default model, start the chat
	@$(SETUP)/chat.sh $(ARGS)

.PHONY: test
test: build/release/build.ninja ## install, build and run every quick test, under 10 minutes
	@$(SETUP)/packages.sh build test
	@$(SETUP)/get_model.sh smollm2 gemma3 >&2
	@ninja -C build/release -j $(JOBS) all lint_headers >&2
	@tests/run.sh build/release -LE slow -j $(JOBS)

.PHONY: test-all
test-all: test slow asan tsan portable neon fuzz ## sanitizers, slow tests, portable build, Arm, fuzzing; hours

.PHONY: slow
slow: build/release/build.ninja ## the tests that take minutes
	@ninja -C build/release -j $(JOBS) >&2
	@tests/run.sh build/release -L slow -j $(JOBS)

.PHONY: asan
asan: build/asan-ubsan/build.ninja ## the whole suite under AddressSanitizer and UBSan
	@ninja -C build/asan-ubsan -j $(JOBS) >&2
	@tests/run.sh build/asan-ubsan -LE 'slow|lint|bundle' -j $(JOBS)

# ThreadSanitizer of g++ 12 wants addresses less random than newer kernels make them.
.PHONY: tsan
tsan: build/tsan/build.ninja ## the tests of threads and runtime under ThreadSanitizer, ten minutes of stress
	@ninja -C build/tsan -j $(JOBS) unit_runtime api_stress >&2
	@if setarch -R true 2>/dev/null; then set -- setarch -R; else set --; fi; \
	  "$$@" tests/run.sh build/tsan -R '^unit_runtime$$' && \
	  "$$@" build/tsan/tests/stress/api_stress 600

# The second option leaves the tests' own operator new in place, which makes allocations fail.
.PHONY: valgrind
valgrind: build/release/build.ninja ## the C API without memory, every allocation, under valgrind
	@ninja -C build/release -j $(JOBS) fault_runtime >&2
	@valgrind -q --soname-synonyms=somalloc=nouserintercepts --leak-check=full \
	  --errors-for-leak-kinds=definite,indirect --error-exitcode=9 \
	  build/release/tests/fault/fault_runtime '[api]'

.PHONY: portable
portable: build/portable/build.ninja ## the unit tests on plain C++ kernels without OpenMP
	@ninja -C build/portable -j $(JOBS) >&2
	@tests/run.sh build/portable -L unit -j $(JOBS)

.PHONY: neon
neon: build/aarch64/build.ninja ## the kernels of 64-bit Arm, cross-compiled, under qemu-user
	@ninja -C build/aarch64 -j $(JOBS) >&2
	@tests/run.sh build/aarch64 -j $(JOBS)

.PHONY: fuzz
fuzz: build/fuzz/build.ninja ## every fuzz target for its documented length; one: T=gguf N=1000
	@ninja -C build/fuzz -j $(JOBS) fuzzers >&2
	@tests/fuzz/run.sh build/fuzz '$(T)' '$(N)'

.PHONY: bench
bench: build ## speed of the default model on this machine
	@m=$$($(SETUP)/get_model.sh smollm2) && build/release/tools/nibble bench -m "$$m" $(ARGS)

.PHONY: bundle
bundle: build ## dist/nibble-VERSION-linux-x86_64.tar.gz: binary, libraries, model; needs no network
	@$(SETUP)/bundle.sh build/release dist

.PHONY: lint
lint: build/release/build.ninja ## the checks of form: layers, forbidden calls, symbols, tables, format
	@$(SETUP)/packages.sh build test
	@ninja -C build/release -j $(JOBS) all lint_headers >&2
	@tests/run.sh build/release -L lint -j $(JOBS)

.PHONY: format
format: ## rewrite every source with clang-format 14
	@$(SETUP)/packages.sh test
	@git ls-files '*.h' '*.hpp' '*.cpp' '*.inl' '*.c' | xargs clang-format-14 -i

.PHONY: clean
clean: ## delete what was built; models in the cache stay
	@rm -rf build dist

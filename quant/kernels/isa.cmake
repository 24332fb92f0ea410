# One row an ISA: nibble_isa(name FLAGS ...). The file isa_<name>.cpp exports exactly one symbol,
# kernels_<name>; tests/lint checks that with nm, because an inline function that leaks out of an
# ISA object may become the program's only copy and crash older CPUs.
function(nibble_isa name)
  cmake_parse_arguments(ISA "" "" "FLAGS" ${ARGN})
  target_sources(nibble_quant PRIVATE ${PROJECT_SOURCE_DIR}/quant/kernels/isa_${name}.cpp)
  string(TOUPPER ${name} upper)
  target_compile_definitions(nibble_quant PRIVATE NIBBLE_ISA_${upper}=1)  # its row in dispatch.cpp
  # No exceptions: the unwinder's weak reference would be a second exported symbol.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND ISA_FLAGS -Wno-maybe-uninitialized)  # g++ 12's AVX-512 header warns of itself
  endif()
  set_source_files_properties(${PROJECT_SOURCE_DIR}/quant/kernels/isa_${name}.cpp
    TARGET_DIRECTORY nibble_quant PROPERTIES COMPILE_OPTIONS "${ISA_FLAGS};-fno-exceptions;-fno-math-errno")
endfunction()

# baseline: the same algorithms over plain C++, for whatever CPU the rest is compiled for.
nibble_isa(baseline FLAGS -O3 -Wno-psabi)
# Which of the others have run on such a CPU is in tests/bench/results/isa_paths.md.
if(NIBBLE_ISA AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  nibble_isa(sse FLAGS -mssse3 -msse4.1 -O3)
  nibble_isa(avx2 FLAGS -mavx2 -mfma -mf16c -O3)
  nibble_isa(avxvnni FLAGS -mavx2 -mfma -mf16c -mavxvnni -O3)
  nibble_isa(avx512 FLAGS -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -O3)
  # AMX's instructions are written as assembly.
  nibble_isa(amx FLAGS -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -O3)
elseif(NIBBLE_ISA AND CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  nibble_isa(neon FLAGS -O3)
  nibble_isa(dotprod FLAGS -march=armv8.2-a+dotprod -O3)
  nibble_isa(i8mm FLAGS -march=armv8.2-a+dotprod+i8mm -O3)
endif()

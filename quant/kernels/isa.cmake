# One row an ISA: nibble_isa(name FLAGS ...). The file isa_<name>.cpp exports exactly one symbol,
# kernels_<name>; tests/lint checks that with nm, because an inline function that leaks out of an
# ISA object may become the program's only copy and crash older CPUs.
function(nibble_isa name)
  cmake_parse_arguments(ISA "" "" "FLAGS" ${ARGN})
  target_sources(nibble_quant PRIVATE ${PROJECT_SOURCE_DIR}/quant/kernels/isa_${name}.cpp)
  string(TOUPPER ${name} upper)
  target_compile_definitions(nibble_quant PRIVATE NIBBLE_ISA_${upper}=1)  # its row in dispatch.cpp
  # No exceptions: the unwinder's weak reference would be a second exported symbol.
  set_source_files_properties(${PROJECT_SOURCE_DIR}/quant/kernels/isa_${name}.cpp
    TARGET_DIRECTORY nibble_quant PROPERTIES COMPILE_OPTIONS "${ISA_FLAGS};-fno-exceptions;-fno-math-errno")
endfunction()

# baseline: the same algorithms over plain C++, for whatever CPU the rest is compiled for.
nibble_isa(baseline FLAGS -O3 -Wno-psabi)
if(NIBBLE_ISA AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  nibble_isa(avx2 FLAGS -mavx2 -mfma -mf16c -O3)
endif()

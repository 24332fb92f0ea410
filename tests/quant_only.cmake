# The tests of the kernels alone: what a cross build without libraries can compile and, under an
# emulator, run. Catch2's headers are the host's; only that folder of them is put in the way.
find_path(NIBBLE_CATCH2 catch2/catch.hpp PATHS /usr/include REQUIRED NO_CMAKE_FIND_ROOT_PATH)
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/include)
file(CREATE_LINK ${NIBBLE_CATCH2}/catch2 ${CMAKE_CURRENT_BINARY_DIR}/include/catch2 SYMBOLIC)

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/unit/quant/kernels_*_test.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/unit/quant/packed_test.cpp)
set_source_files_properties(unit/quant/kernels_tiles_test.cpp PROPERTIES COMPILE_OPTIONS -Wno-psabi)
add_executable(unit_kernels support/main.cpp ${sources})
target_include_directories(unit_kernels SYSTEM PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/include)
target_include_directories(unit_kernels PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(unit_kernels PRIVATE nibble_quant)
target_compile_options(unit_kernels PRIVATE $<$<CONFIG:Release>:-O1>)
add_test(NAME unit_kernels COMMAND unit_kernels)
set_tests_properties(unit_kernels PROPERTIES LABELS "unit" TIMEOUT 3600)

add_executable(isa_paths bench/isa_paths.cpp)
target_link_libraries(isa_paths PRIVATE nibble_quant)

# CPUs that lack the newer products: what they are given instead, and that it runs there.
function(nibble_test_cpu cpu best)
  add_test(NAME isa_paths_${cpu} COMMAND qemu-aarch64 -cpu ${cpu} -L /usr/aarch64-linux-gnu
    $<TARGET_FILE:isa_paths>)
  set_tests_properties(isa_paths_${cpu} PROPERTIES LABELS "unit" PASS_REGULAR_EXPRESSION
    "${best} [^\n]*chosen")
  add_test(NAME unit_kernels_${cpu} COMMAND qemu-aarch64 -cpu ${cpu} -L /usr/aarch64-linux-gnu
    $<TARGET_FILE:unit_kernels> "tables*,extreme codes*")
  set_tests_properties(unit_kernels_${cpu} PROPERTIES LABELS "unit" TIMEOUT 3600)
endfunction()
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64" AND CMAKE_CROSSCOMPILING)
  nibble_test_cpu(max i8mm)
  nibble_test_cpu(neoverse-n1 dotprod)
  nibble_test_cpu(cortex-a72 neon)
endif()

add_test(NAME lint_isa_symbols COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/lint/isa_symbols.sh
  $<TARGET_FILE:nibble_quant> ${CMAKE_NM})
set_tests_properties(lint_isa_symbols PROPERTIES LABELS "lint")

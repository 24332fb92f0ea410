# The library as other programs get it: libnibble.so and libnibble.a, each showing nibble_* only, the
# header, and what pkg-config and find_package(nibble) need. `cmake --install` puts them in place,
# `cpack -G DEB` makes a Debian package. Every path that is installed is relative to the prefix, so
# that a tree can be moved.
file(GLOB api_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/runtime/api/*.cpp)
if(NOT api_sources)
  return()
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(NIBBLE_SOVERSION 1)  # NIBBLE_ABI of nibble.h; exports.map has it too

set(exports ${PROJECT_SOURCE_DIR}/tools/package/exports.map)
function(nibble_shared_library name)
  add_library(${name} SHARED $<TARGET_OBJECTS:nibble_runtime>)
  target_link_libraries(${name} PRIVATE nibble_runtime)
  target_link_options(${name} PRIVATE LINKER:--version-script=${exports} LINKER:-z,defs)
  set_target_properties(${name} PROPERTIES OUTPUT_NAME nibble LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION} SOVERSION ${NIBBLE_SOVERSION} LINK_DEPENDS ${exports})
endfunction()
nibble_shared_library(nibble_shared)

# The same for the packages of other languages, in bundled/: it looks for what it needs beside itself.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT NIBBLE_SANITIZE)
  nibble_shared_library(nibble_bundled)
  set_target_properties(nibble_bundled PROPERTIES BUILD_RPATH "$ORIGIN" SKIP_BUILD_RPATH OFF
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/beside)
  add_custom_command(TARGET nibble_bundled POST_BUILD COMMAND
    ${PROJECT_SOURCE_DIR}/tools/package/bundle_libraries.sh $<TARGET_FILE:nibble_bundled>
    ${PROJECT_BINARY_DIR}/bundled ${PROJECT_SOURCE_DIR} VERBATIM)
endif()

set(parts nibble_runtime nibble_text nibble_formats nibble_quant)
set(archive ${CMAKE_CURRENT_BINARY_DIR}/libnibble.a)
set(archiver ${PROJECT_SOURCE_DIR}/tools/package/archive.sh)
add_custom_command(OUTPUT ${archive}
  COMMAND ${archiver} ${archive} ${CMAKE_LINKER} ${CMAKE_OBJCOPY} ${CMAKE_NM} ${CMAKE_AR}
    $<TARGET_FILE:nibble_runtime> $<TARGET_FILE:nibble_text> $<TARGET_FILE:nibble_formats>
    $<TARGET_FILE:nibble_quant>
  DEPENDS ${parts} ${archiver} VERBATIM)
add_custom_target(nibble_static ALL DEPENDS ${archive})

# What libnibble.a needs besides: packages for pkg-config, libraries for the linker.
set(NIBBLE_PRIVATE_PACKAGES "fmt libzstd libpcre2-8 libutf8proc libxxhash")
set(NIBBLE_PRIVATE_LIBRARIES "-lstdc++ -lm -pthread")
if(NIBBLE_OPENMP)
  string(PREPEND NIBBLE_PRIVATE_LIBRARIES "-lgomp ")
endif()
set(NIBBLE_LIBDIR ${CMAKE_INSTALL_LIBDIR})
set(NIBBLE_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
file(RELATIVE_PATH NIBBLE_PREFIX_FROM_PC /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(${PROJECT_SOURCE_DIR}/tools/package/nibble.pc.in nibble.pc @ONLY)
configure_package_config_file(${PROJECT_SOURCE_DIR}/tools/package/nibble-config.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/nibble-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/nibble PATH_VARS NIBBLE_LIBDIR NIBBLE_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/nibble-config-version.cmake
  COMPATIBILITY SameMinorVersion)

install(TARGETS nibble_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
file(GLOB api_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/runtime/api/nibble.h
  ${PROJECT_SOURCE_DIR}/runtime/api/nibble.hpp)
install(FILES ${api_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nibble.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nibble-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/nibble-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/nibble)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/nibble
  RENAME copyright)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME nibble)
set(CPACK_PACKAGE_VENDOR nibble)
set(CPACK_PACKAGE_CONTACT "the nibble developers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Runs quantized language models on the CPU: command and C library")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # the exact packages of the libraries, asked of dpkg
set(CPACK_DEBIAN_PACKAGE_SUGGESTS
  "libfmt-dev, libpcre2-dev, libutf8proc-dev, libxxhash-dev, libzstd-dev")  # of libnibble.a
include(CPack)

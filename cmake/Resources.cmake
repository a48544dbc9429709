# Embeds every file below resources/ in the binary; see src/base/resource.hh for how to read one.
file(GLOB_RECURSE resource_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/resources/*)
set(resource_source ${PROJECT_BINARY_DIR}/resources.cc)
add_custom_command(
  OUTPUT ${resource_source}
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR}/resources -DOUTPUT=${resource_source}
          -P ${PROJECT_SOURCE_DIR}/cmake/EmbedResources.cmake
  DEPENDS ${resource_files} ${PROJECT_SOURCE_DIR}/cmake/EmbedResources.cmake
  COMMENT "Embedding resources")
add_library(insomnia_resources STATIC ${resource_source})
target_include_directories(insomnia_resources PUBLIC ${PROJECT_SOURCE_DIR}/src)

# Writes OUTPUT, a C++ table of all files below ROOT; the assembler copies the bytes in.
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/*)
list(SORT files)
set(blobs "")
set(rows "")
set(number 0)
foreach(file ${files})
  set(symbol insomnia_resource_${number})
  string(APPEND blobs "asm(\".section .rodata\\n${symbol}: .incbin \\\"${ROOT}/${file}\\\"\\n${symbol}_end: .byte 0\\n.previous\");\n"
                      "extern \"C\" char const ${symbol}[], ${symbol}_end[];\n")
  string(APPEND rows "      {\"${file}\", {${symbol}, static_cast<size_t>(${symbol}_end - ${symbol})}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"base/resource.hh\"\n\n${blobs}\nnamespace insomnia::base {\nstd::span<Resource const> resources() {\n"
                     "  static Resource const kAll[] = {\n${rows}      {\"\", \"\"}};\n  return {kAll, std::size(kAll) - 1};\n}\n}  // namespace insomnia::base\n")

#include "llm/scheme/openai_responses.hh"

#include "decoder_fuzz.hh"

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) { return fuzz_decoder<insomnia::llm::ResponsesDecoder>(data, size); }

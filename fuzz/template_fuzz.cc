// Templates of prompts: whatever the text is, it renders or is an error, within its limits. It can include itself and a template with a variable.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "prompt/template.hh"

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  using namespace insomnia;
  std::string_view text(reinterpret_cast<char const*>(data), size);
  auto parsed = prompt::Template::parse(text, "main", "$user");
  if (!parsed) return 0;
  auto rendered = parsed->render({{"a", "value"}, {"b", ""}, {"name", "{{ a }}"}}, [&](std::string const& reference, std::string const&) -> Result<prompt::Template> {
    if (reference == "main") return prompt::Template::parse(text, "main", "$user");
    if (reference == "part") return prompt::Template::parse("[{{ a }}]\n", "part");
    return fail(Code::NotFound, "there is no " + reference);
  });
  if (rendered && rendered->size() > (1u << 20)) panic("a rendered template is over its limit");
  return 0;
}

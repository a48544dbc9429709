-- What the three have in common.
local insomnia = require("insomnia")

return {
  worker = { max_turns = 40 },
  compaction = insomnia.compact.ratio { threshold = 0.7, request_threshold = 0.8 },
}

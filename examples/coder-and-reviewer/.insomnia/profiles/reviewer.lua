local insomnia = require("insomnia")
local common = require("common")

return profile {
  slug = "reviewer",
  description = "Reads code, and says what is wrong with it",
  scope = insomnia.scope.workspace_read(),
  worker = common.worker,
  compaction = common.compaction,
  tools = { deny = { "Write", "Edit", "SpawnPod" } },
}

local common = require("common")

return profile {
  slug = "coder",
  description = "Writes code, and tests it",
  worker = common.worker,
  compaction = common.compaction,
  -- It does the work itself.
  tools = { deny = { "SpawnPod" } },
}

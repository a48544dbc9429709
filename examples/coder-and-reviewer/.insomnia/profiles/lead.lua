local common = require("common")

return profile {
  slug = "lead",
  description = "Plans, and lets others work",
  worker = common.worker,
  compaction = common.compaction,
}

local insomnia = require("insomnia")

return profile {
  slug = "planner",
  description = "Reads, and lets others write",
  scope = insomnia.scope.workspace_read(),
  delegation_scope = insomnia.scope.workspace_write(),
  worker = { max_turns = 30 },
}

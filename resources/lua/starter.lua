-- A profile: how a Pod works, without its name and its paths. `insomnia profile check FILE` says what is wrong with it, `insomnia profile show NAME` what it
-- comes to. All keys: doc/manifest.md and doc/profiles.md of insomnia.
local insomnia = require("insomnia")

return profile {
  slug = "@NAME@",
  description = "Say in one line what it is for: models choose by this",

  -- Without a model, a Pod takes its spawner's, or at the top that of the key which is there.
  -- model = insomnia.models.catalog("anthropic/claude-sonnet-4-6"),

  -- The workspace, for writing or for reading only. A Pod that is spawned gets the scope that its spawner names.
  scope = insomnia.scope.workspace_write(),

  worker = {
    -- A prompt: $insomnia, $user (config/prompts) or $workspace (.insomnia/prompts of the project).
    instruction = "$insomnia/default",
    -- Model calls in one run.
    max_turns = 100,
    -- reasoning = "high",
  },

  -- When the conversation is compacted, as parts of the model's window.
  compaction = insomnia.compact.ratio { threshold = 0.7, request_threshold = 0.8 },

  -- Fewer tools. None of its children can have more.
  -- tools = { deny = { "Bash" } },

  -- What is not to run, by tool and pattern.
  -- permissions = {
  --   default_action = "allow",
  --   rule = { { tool = "Bash", pattern = "git push*", action = "deny" } },
  -- },
}

-- What the rehearsal model says for each of the three Pods.
local function here(c) return c.system:match("Working directory: ([^\n]+)") end

local lead = rehearse {
  function(c)
    return {
      say("I let a coder change it; it gets `src` and nothing else to write in."),
      call("SpawnPod", {
        name = "coder",
        profile = "project:coder",
        task = "Let src/greet.sh greet the name that it is given as its first argument, `you` without one. src/test.sh must pass.",
        scope = list { { target = here(c), permission = "read" }, { target = here(c) .. "/src", permission = "write" } },
        end_when_done = true,
      }),
    }
  end,
  function(c)
    if not c:notified("coder") then return stay("The coder works.") end
    return {
      say("It is written. Now somebody reads it who can't change it."),
      call("SpawnPod", {
        name = "reviewer",
        profile = "project:reviewer",
        task = "Review src/greet.sh: does it do what src/test.sh wants?",
        scope = list { { target = here(c), permission = "read" } },
        end_when_done = true,
      }),
    }
  end,
  function(c)
    if not c:notified("reviewer") then return stay("The reviewer reads.") end
    return "Written and reviewed: src/greet.sh greets the name that it is given."
  end,
}

local coder = rehearse {
  function(c) return call("Read", { file_path = here(c) .. "/src/greet.sh" }) end,
  function(c)
    return call("Edit", { file_path = here(c) .. "/src/greet.sh", old_string = 'echo "Hello, you"', new_string = 'echo "Hello, ${1:-you}"' })
  end,
  function(c) return call("Bash", { command = "sh src/test.sh" }) end,
  function(c)
    if not c.last_results[1].content:find("all tests passed", 1, true) then return "The tests do not pass:\n" .. c.last_results[1].content end
    return "src/greet.sh takes a name now; the tests pass."
  end,
}

local reviewer = rehearse {
  function(c)
    local found = { say("I have no tool that writes" .. ((c.tools.Write or c.tools.Edit) and ", or so I thought" or "") .. ".") }
    found[#found + 1] = call("Read", { file_path = here(c) .. "/src/greet.sh" })
    found[#found + 1] = call("Bash", { command = "echo spoilt > src/greet.sh" })
    return found
  end,
  function(c)
    local kept = c.last_results[2].content:find("Read%-only file system") ~= nil or c.last_results[2].is_error
    return "It does what it should. Changing it was " .. (kept and "refused by the kernel, as it has to be." or "possible, which it must not be.")
  end,
}

return { ["lead*"] = lead, coder = coder, reviewer = reviewer, default = lead }

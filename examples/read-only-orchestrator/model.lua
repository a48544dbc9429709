-- What the rehearsal model says for the planner and for the Pod that it starts.
local function here(c) return c.system:match("Working directory: ([^\n]+)") end

local planner = rehearse {
  function(c) return call("Read", { file_path = here(c) .. "/TODO.md" }) end,
  function(c)
    return {
      say("I try it myself, to see that I can't."),
      call("Write", { file_path = here(c) .. "/lib/version.txt", content = "1.1\n" }),
      call("Bash", { command = "echo 1.1 > lib/version.txt" }),
    }
  end,
  function(c)
    local refused = c.last_results[1].is_error and c.last_results[2].content:find("Read%-only file system")
    return {
      say(refused and "Both were refused. A Pod with `lib` does it." or "I could write, which I must not."),
      call("SpawnPod", {
        name = "writer",
        profile = "default",
        task = "Write 1.1 to lib/version.txt.",
        scope = list { { target = here(c) .. "/lib", permission = "write" } },
        end_when_done = true,
      }),
    }
  end,
  function(c)
    if c.last_results[1] and c.last_results[1].is_error then return "The Pod could not be started: " .. c.last_results[1].summary end
    if not c:notified("writer") then return stay("The writer works.") end
    return call("Read", { file_path = here(c) .. "/lib/version.txt" })
  end,
  function(c) return "lib/version.txt says " .. c.last_results[1].content:match("%d+%.%d+") .. "; I have not written a byte." end,
}

local function file(c) return (here(c):gsub("/lib$", "")) .. "/lib/version.txt" end

local writer = rehearse {
  function(c) return call("Read", { file_path = file(c) }) end,
  function(c) return call("Write", { file_path = file(c), content = "1.1\n" }) end,
  function(c) return c.last_results[1].is_error and "It can't be written: " .. c.last_results[1].summary or "Written." end,
}

return { ["planner*"] = planner, writer = writer, default = planner }

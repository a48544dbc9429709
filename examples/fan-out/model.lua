-- What the rehearsal model says for the editor and for each of its Pods.
local function here(c) return c.system:match("Working directory: ([^\n]+)") end

-- The folders with notes, in order.
local function folders(text)
  local found = {}
  for path in text:gmatch("[^\n]+") do
    local folder = path:match("([^/]+)/notes%.txt$")
    if folder then found[#found + 1] = folder end
  end
  table.sort(found)
  return found
end

-- The text of a file as Read showed it, without the line numbers.
local function text_of(result)
  return ((result.content:gsub("\n$", "") .. "\n"):gsub("([^\n]*)\n", function(line) return line:gsub("^%s*%d+\t", "") .. "\n" end))
end

local editor = rehearse {
  function(c) return call("Glob", { pattern = "*/notes.txt" }) end,
  function(c)
    local replies = { say("A Pod for each folder.") }
    for _, folder in ipairs(folders(c.last_results[1].content)) do
      replies[#replies + 1] = call("SpawnPod", {
        name = "notes-" .. folder,
        profile = "project:summariser",
        task = "Summarise " .. folder .. "/notes.txt in " .. folder .. "/SUMMARY.md, in one line.",
        scope = list { { target = here(c) .. "/" .. folder, permission = "write" } },
        end_when_done = true,
      })
    end
    return replies
  end,
  function(c) return call("WaitForPods", {}) end,
  function(c)
    local replies = {}
    for _, folder in ipairs(folders(c:result("Glob").content)) do replies[#replies + 1] = call("Read", { file_path = here(c) .. "/" .. folder .. "/SUMMARY.md" }) end
    return replies
  end,
  function(c)
    local lines = { "# Notes", "" }
    for _, result in ipairs(c.last_results) do lines[#lines + 1] = "- " .. (text_of(result):gsub("\n", "")) end
    return call("Write", { file_path = here(c) .. "/INDEX.md", content = table.concat(lines, "\n") .. "\n" })
  end,
  function(c) return "INDEX.md has a line for each folder." end,
  over = "INDEX.md has a line for each folder.",
}

local function folder_of(c) return c.task:match("Summarise ([^/]+)/") end
local function place(c) return here(c):match("/" .. folder_of(c) .. "$") and here(c) or here(c) .. "/" .. folder_of(c) end

local summariser = rehearse {
  function(c) return call("Read", { file_path = place(c) .. "/notes.txt" }) end,
  function(c)
    local text = text_of(c.last_results[1])
    local _, lines = text:gsub("\n", "")
    return call("Write", { file_path = place(c) .. "/SUMMARY.md", content = folder_of(c) .. ": " .. text:match("[^\n]+") .. " (" .. lines .. " lines)\n" })
  end,
  function(c) return "The summary of " .. folder_of(c) .. " is written." end,
}

return { ["editor*"] = editor, ["notes-*"] = summariser, default = editor }

-- The model of `insomnia demo`. It plays a parent that finds out which folders of a project fail their tests and
-- starts one Pod for each, and these Pods, which repair one folder each. It knows the two defects, but goes by what
-- the tools return.

local repairs = {
  parser = {
    file = "csv.cc",
    wrong = "  if (!field.empty()) fields.push_back(field);\n",
    right = "  fields.push_back(field);\n",
    cause = "the last field of a line was dropped when it was empty",
  },
  stats = {
    file = "stats.cc",
    wrong = "  return values[middle];\n",
    right = "  if (values.size() % 2 == 0) return (values[middle - 1] + values[middle]) / 2;\n" ..
        "  return values[middle];\n",
    cause = "the median of an even count took one of the two middle values in place of their mean",
    trespass = "parser", -- whose file it tries to write as well
  },
}
local parts = { "parser", "stats" }

local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

local function run_tests(folder) return call("Bash", { command = "make -C " .. quoted(folder) .. " test" }) end

local function passed(result)
  return not result.is_error and not result.summary:find("%(exit ") and not result.summary:find("%(t[ei][rm]") and
             result.content:find("all tests passed", 1, true) ~= nil
end

-- The text of a file as Read showed it, without the line numbers.
local function text_of(result)
  local whole = result.content:gsub("\n$", "") .. "\n"
  return (whole:gsub("([^\n]*)\n", function(line) return line:gsub("^%s*%d+\t", "") .. "\n" end))
end

local function find_plain(text, wanted) return text:find(wanted, 1, true) end

local function one_line(text) return (text:gsub("%s+", " ")) end

local function first_sentence(text) return one_line(text):match("^(.-)%. ") or one_line(text) end

-- The first result since the last turn that is an error.
local function first_error(c)
  for _, result in ipairs(c.last_results) do
    if result.is_error then return result end
  end
  return nil
end

local function join(names)
  local marked = {}
  for i, name in ipairs(names) do marked[i] = "`" .. name .. "`" end
  return table.concat(marked, " and ")
end

-- A Pod that repairs one folder.

local function repairer(task)
  local folder, root = task:match("Repair the folder `(/[^`]+)` of the project `(/[^`]+)`")
  local part = folder:match("([^/]+)$")
  local repair = repairs[part] or {}
  local source = folder .. "/" .. (repair.file or "")

  return rehearse {
    function()
      if not repair.file then
        return finish("Report: I know nothing about a folder `" .. part .. "`; I changed nothing.")
      end
      return { say("I read the source and its test."), calls {
        { "Read", { file_path = source } },
        { "Read", { file_path = folder .. "/" .. repair.file:gsub("%.cc$", "_test.cc") } },
      } }
    end,

    function(c)
      local problem = first_error(c)
      if problem then
        return finish("Report: I could not read " .. problem.arguments.file_path .. ": " .. problem.text)
      end
      return { say("Now I see the test fail."), run_tests(folder) }
    end,

    function(c)
      local run = c.last_results[1]
      if passed(run) then return finish("Report: the tests of " .. part .. " pass already; I changed nothing.") end
      local complaint = run.content:match("[^\n]*FAIL[^\n]*")
      if not complaint then return finish("Report: the tests of " .. part .. " do not run: " .. run.text) end
      for _, item in ipairs(c.items) do
        if item.name == "Read" and item.kind == "tool_result" and item.arguments.file_path == source and
            not find_plain(text_of(item), repair.wrong) then
          return finish("Report: " .. complaint .. ". I do not find the cause in " .. source .. "; I changed nothing.")
        end
      end
      return {
        think(complaint .. ": " .. repair.cause .. "."),
        say("The cause: " .. repair.cause .. "."),
        call("Edit", { file_path = source, old_string = repair.wrong, new_string = repair.right }),
      }
    end,

    function(c)
      local edit = c.last_results[1]
      if edit.is_error then return finish("Report: I could not change " .. source .. ": " .. edit.text) end
      return { say("Once more with the change."), run_tests(folder) }
    end,

    function(c)
      local run = c.last_results[1]
      if not passed(run) then return finish("Report: the tests of " .. part .. " still fail: " .. run.text) end
      if not repair.trespass then return nil end
      local other = root .. "/" .. repair.trespass .. "/" .. repairs[repair.trespass].file
      return {
        say("My folder is repaired. The other one has a defect, too: let me see."),
        call("Read", { file_path = other }),
      }
    end,

    function(c)
      local seen = c.last_results[1]
      if not repair.trespass or seen.is_error then return nil end
      local other = repairs[repair.trespass]
      local text = text_of(seen)
      local from, to = find_plain(text, other.wrong)
      if from then text = text:sub(1, from - 1) .. other.right .. text:sub(to + 1) end
      return {
        say("I correct it on the way."),
        call("Write", { file_path = seen.arguments.file_path, content = text }),
      }
    end,

    function(c)
      local report = "Report: " .. repair.cause .. "; I changed " .. source .. " and the tests of " .. part .. " pass."
      local trespass = c:result("Write")
      if trespass and trespass.is_error then
        report = report .. " I also tried to write " .. trespass.arguments.file_path .. ", which was refused (" ..
                     first_sentence(trespass.text) .. "): that folder is not mine, I left it as it is."
      elseif trespass then
        report = report .. " I also wrote " .. trespass.arguments.file_path .. ", although that folder is not mine."
      end
      return finish(report)
    end,

    over = "My folder is done.",
  }
end

-- The parent.

local function pod_for(part) return "fix-" .. part end

local function spawn(root, part)
  local folder = root .. "/" .. part
  return call("SpawnPod", {
    name = pod_for(part),
    profile = "inherit",
    task = "Repair the folder `" .. folder .. "` of the project `" .. root .. "`: its tests fail, see `make -C " ..
        quoted(folder) .. " test`. Change nothing outside of your folder. Report what was wrong and what you changed.",
    scope = { { target = root, permission = "read" }, { target = folder, permission = "write" } },
  })
end

-- The Pods that were started, and those of them that have not ended.
local function children(c)
  local started, working = {}, {}
  for _, item in ipairs(c.items) do
    if item.kind == "tool_result" and item.name == "SpawnPod" and not item.is_error then
      local name = item.arguments.name
      started[#started + 1] = name
      if not c:notified(name) then working[#working + 1] = name end
    end
  end
  return started, working
end

local function each_child(c, tool)
  local wanted = {}
  for i, name in ipairs((children(c))) do wanted[i] = { tool, { name = name } } end
  return calls(wanted)
end

local function parent(task)
  local root = task:match("`(/[^`]+)`")
  if not root then
    return function()
      return "I need a task that names the project's directory in `…`, like the one of `insomnia demo`."
    end
  end

  return rehearse {
    function()
      return { say("I look at the project first."), calls {
        { "Glob", { pattern = "**/*", path = root } },
        { "Read", { file_path = root .. "/README.md" } },
      } }
    end,

    function(c)
      local problem = first_error(c)
      if problem then return finish("I cannot look at the project: " .. problem.text) end
      return { say("Two parts, each with its own tests. I run them all."), run_tests(root) }
    end,

    function(c)
      local run = c.last_results[1]
      local broken, spawns = {}, {}
      for _, part in ipairs(parts) do
        if find_plain(run.content, part .. ": FAIL") then
          broken[#broken + 1] = part
          spawns[#spawns + 1] = spawn(root, part)
        end
      end
      if #broken == 0 and passed(run) then return finish("All tests pass already; there is nothing to do.") end
      if #broken == 0 then return finish("The tests do not run: " .. run.text) end
      if not c.tools.SpawnPod then return finish("Tests fail in " .. join(broken) .. ", but I may not start Pods.") end
      return {
        think("The failures in " .. join(broken) .. " have nothing to do with each other: they can be repaired at once."),
        say("Tests fail in " .. join(broken) .. ". Each folder gets a Pod that may write there and nowhere else."),
        spawns,
      }
    end,

    function(c)
      local started, working = children(c)
      local problem = first_error(c)
      local news = problem and "A Pod could not be started: " .. problem.text .. " " or ""
      if #started == 0 then return finish(news .. "So nothing was repaired.") end
      if #working == 0 then return nil end
      return stay(news .. join(working) .. (#working == 1 and " is" or " are") .. " still at work. I wait.")
    end,

    function(c)
      return { say("All Pods have ended their work. I read their reports."), each_child(c, "ReadPodOutput") }
    end,

    function(c)
      return { say("I stop them, so that their folders come back to me."), each_child(c, "StopPod") }
    end,

    function() return { say("Now all the tests again."), run_tests(root) } end,

    function(c)
      local run = c.last_results[1]
      local good = passed(run) and not find_plain(run.content, "FAIL")
      local lines = { good and "All tests pass." or "The tests still fail: " .. run.text }
      for _, item in ipairs(c.items) do
        if item.kind == "tool_result" and item.name == "ReadPodOutput" then
          local report = item.text:match(".*Report: (.*)$") or item.text
          lines[#lines + 1] = "- `" .. item.arguments.name .. "`: " .. one_line(report)
        end
      end
      return finish(table.concat(lines, "\n"))
    end,

    over = "The project is done.",
  }
end

return function(c)
  local role = c.task:find("Repair the folder `", 1, true) and repairer or parent
  return role(c.task)(c)
end

-- What every rehearsal script finds: the parts of a reply, the conversation, and rehearse(). See doc/rehearsal.md.

function say(text) return { text = tostring(text) } end
function think(text) return { thinking = tostring(text) } end
function call(name, arguments) return { tool = name, arguments = arguments or {} } end
function pace(settings) return { pace = settings } end
function cut() return { cut = true } end
function stop(reason) return { stop = reason } end

function calls(wanted)
  local parts = list {}
  for i, one in ipairs(wanted) do parts[i] = call(one[1], one[2]) end
  return parts
end

function fail(how)
  if type(how) ~= "table" then how = { message = how and tostring(how) } end
  return { error = how }
end

-- The conversation. Fields are made when they are first asked for; `known_` is the whole of it, `size_` how many
-- items a script gets to see.

local fields, methods = {}, {}

local Conversation = {
  __index = function(self, key)
    local make = fields[key]
    if not make then return methods[key] end
    local value = make(self)
    rawset(self, key, value)
    return value
  end,
}

local function view(known, size)
  return setmetatable({ known_ = known, size_ = size }, Conversation)
end

local function is_assistants(item)
  return item.kind == "tool_call" or item.kind == "reasoning" or (item.kind == "message" and item.role == "assistant")
end

-- The index before which each assistant turn starts, for turns that something follows.
local function turn_starts(known)
  if known.starts_ then return known.starts_ end
  local starts, inside = {}, nil
  for i, item in ipairs(known.items) do
    if is_assistants(item) then
      inside = inside or i
    elseif inside then
      starts[#starts + 1] = inside
      inside = nil
    end
  end
  known.starts_ = starts
  return starts
end

for _, name in ipairs { "system", "model", "call_index", "attempt" } do
  fields[name] = function(self) return self.known_[name] end
end

function fields.items(self)
  local known = self.known_.items
  if self.size_ == #known then return known end
  return table.move(known, 1, self.size_, 1, list {})
end

function fields.turn(self)
  local count = 0
  for _, start in ipairs(turn_starts(self.known_)) do
    if start <= self.size_ then count = count + 1 end
  end
  return count
end

function fields.tools(self)
  local set = {}
  for _, name in ipairs(self.known_.tools) do set[name] = true end
  return set
end

-- As the system prompt begins: "You are `name`", "You are the Pod `name`", "Pod name: name".
function fields.pod(self)
  return self.system:match("^%s*You are [%a ]*`([%w][%w._-]*)`") or
             self.system:match("[Pp]od name: *`?([%w][%w._-]*)") or ""
end

function fields.task(self)
  for i = 1, self.size_ do
    local item = self.known_.items[i]
    if item.role == "user" then return item.text end
  end
  return ""
end

function fields.last_user(self)
  for i = self.size_, 1, -1 do
    local item = self.known_.items[i]
    if item.role == "user" then return item.text end
  end
  return ""
end

-- Items of one sort since the assistant last spoke.
local function since_last_turn(self, wanted)
  local found = list {}
  local first = self.size_
  while first > 0 and not is_assistants(self.known_.items[first]) do first = first - 1 end
  for i = first + 1, self.size_ do
    local item = self.known_.items[i]
    if wanted(item) then found[#found + 1] = item end
  end
  return found
end

function fields.last_results(self)
  return since_last_turn(self, function(item) return item.kind == "tool_result" end)
end

function fields.last_notices(self)
  return since_last_turn(self, function(item) return item.role == "system" end)
end

-- The captures of the newest item whose text matches.
function methods.find(self, pattern)
  for i = self.size_, 1, -1 do
    local text = self.known_.items[i].text
    if text:find(pattern) then return text:match(pattern) end
  end
  return nil
end

-- The newest result of a tool.
function methods.result(self, tool)
  for i = self.size_, 1, -1 do
    local item = self.known_.items[i]
    if item.kind == "tool_result" and item.name == tool then return item end
  end
  return nil
end

-- The newest notification about a Pod: its first line names it. What the Pod itself said comes after that line and may
-- name others.
function methods.notified(self, pod)
  for i = self.size_, 1, -1 do
    local item = self.known_.items[i]
    local headline = item.role == "system" and item.text:match("^%[Notification%]%s*([^\n]*)")
    if headline and headline:find("`" .. pod .. "`", 1, true) then return item.text end
  end
  return nil
end

-- A sequence of steps. Nothing is remembered between calls: where the sequence stands is found by playing the
-- conversation from its start, so steps must depend on the conversation alone.

function stay(reply) return { stay = reply } end
function finish(reply) return { finish = reply } end

local function next_reply(steps, at, seen)
  while steps[at] do
    local reply = steps[at](seen)
    if type(reply) == "table" and reply.stay then return reply.stay, at end
    if type(reply) == "table" and reply.finish then return reply.finish, #steps + 1 end
    at = at + 1
    if reply ~= nil then return reply, at end
  end
  return say(steps.over or "The rehearsal is over."), at
end

function rehearse(steps)
  for i, step in ipairs(steps) do
    if type(step) ~= "function" then
      error("rehearse: step " .. i .. " is a " .. type(step) .. ", not a function", 2)
    end
  end
  return function(conversation)
    local starts = turn_starts(conversation.known_)
    local at, reply = 1, nil
    for turn = 1, conversation.turn + 1 do
      local past = turn <= conversation.turn
      local seen = past and view(conversation.known_, starts[turn] - 1) or conversation
      reply, at = next_reply(steps, at, seen)
    end
    return reply
  end
end

-- A table of roles: the Pod's name, a name ending in `*`, or `default`.
local function role_of(roles, pod)
  local longest, found = -1, nil
  for key, role in pairs(roles) do
    local stem = tostring(key):match("^(.*)%*$")
    if stem and #stem > longest and pod:sub(1, #stem) == stem then longest, found = #stem, role end
  end
  local role = roles[pod] or found or roles.default
  if not role then error("the script has no role for the Pod `" .. pod .. "` and no `default`", 0) end
  return role
end

return function(script, known)
  local conversation = view(known, #known.items)
  if type(script) == "table" then script = role_of(script, conversation.pod) end
  if type(script) ~= "function" then
    error("the script must return a function, rehearse { … } or a table of these by role, not a " .. type(script) ..
              " value", 0)
  end
  return script(conversation)
end

-- What a profile finds in its environment (doc/profiles.md). Called once with: loader(name), the chunk of a local module; note(text), for `profile check`.
local loader, note = ...
-- What a profile does to these later concerns itself alone.
local error, pairs, pcall, select, tostring, type = error, pairs, pcall, select, tostring, type
local match, concat = string.match, table.concat

local function join(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  return concat(words, "\t")
end

function print(...) note(join(...)) end

function warn(...) note("warning: " .. join(...)) end

local function identity(value)
  if type(value) ~= "table" then error("profile { ... } takes a table, not a " .. type(value), 2) end
  return value
end

local function mark(kind)
  return function(value)
    if type(value) ~= "table" then error("compact." .. kind .. " { ... } takes a table, not a " .. type(value), 2) end
    value.kind = kind
    return value
  end
end

local modules = {
  profile = function() return identity end,
  models = function()
    return {
      catalog = function(ref)
        if type(ref) ~= "string" then error('models.catalog takes "provider/model", not a ' .. type(ref), 2) end
        return { ref = ref }
      end,
    }
  end,
  compact = function() return { ratio = mark("ratio"), tokens = mark("tokens") } end,
  scope = function()
    return {
      workspace_write = function() return { intent = "workspace_write" } end,
      workspace_read = function() return { intent = "workspace_read" } end,
    }
  end,
}

local loading, loaded = {}, {}

function require(name)
  if type(name) ~= "string" then error("require takes the name of a module, not a " .. type(name), 2) end
  if name == "insomnia" then
    local all = {}
    for key, make in pairs(modules) do all[key] = make() end
    return all
  end
  local host = match(name, "^insomnia%.(.*)$")
  if host then
    if not modules[host] then error("unknown host module `" .. name .. "`; there are insomnia, insomnia.profile, insomnia.models, insomnia.compact and insomnia.scope", 2) end
    return modules[host]()
  end
  if loaded[name] then return loaded[name].value end
  if loading[name] then error("cyclic local require `" .. name .. "`", 2) end
  local chunk, why = loader(name)
  if not chunk then error(why, 2) end
  loading[name] = true
  -- Whether it fails or not, it is not being loaded any more.
  local fine, value = pcall(chunk)
  loading[name] = nil
  if not fine then error(value, 0) end
  loaded[name] = { value = value }
  return value
end

profile = identity
list = nil

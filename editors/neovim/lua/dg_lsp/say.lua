--- What the user is told.
local M = {}

local told = {} ---@type table<string, true?>

---@param message string
---@param level? integer WARN unless given.
function M.say(message, level)
  vim.notify('dg-lsp: ' .. message, level or vim.log.levels.WARN)
end

--- Says the same thing once in a session and no more.
---@param message string
---@param level? integer
function M.once(message, level)
  if not told[message] then
    told[message] = true
    M.say(message, level)
  end
end

return M

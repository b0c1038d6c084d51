--- Shows messages to the user.
local M = {}

local told = {} ---@type table<string, true?>

---@param message string
---@param level? integer WARN unless given.
function M.say(message, level)
  vim.notify('dg-lsp: ' .. message, level or vim.log.levels.WARN)
end

--- Show a message only once in a session.
---@param message string
---@param level? integer
function M.once(message, level)
  if not told[message] then
    told[message] = true
    M.say(message, level)
  end
end

return M

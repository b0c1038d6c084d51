--- Records recent events for `:DgLsp trace` in a ring of lines, and triggers `User` events for
--- other plugins. The lines contain sizes and times, but never the user's text.
local M = {}

local KEPT = 200
local lines = {} ---@type string[]
local first = 1

--- Record an event.
---@param what string
---@param ... any For `what`, as in string.format.
function M.note(what, ...)
  local seconds, microseconds = vim.uv.gettimeofday()
  local stamp = ('%s.%03d'):format(os.date('%H:%M:%S', seconds), microseconds / 1000)
  lines[#lines + 1] = ('%s  %s'):format(stamp, what:format(...))
  if #lines - first >= KEPT then
    lines[first], first = nil, first + 1
  end
end

--- Trigger the autocommands of `User DgLsp{name}`.
---@param name string
---@param data table
function M.tell(name, data)
  vim.api.nvim_exec_autocmds('User', {
    pattern = 'DgLsp' .. name,
    modeline = false,
    data = data,
  })
end

--- The lines, the oldest first.
---@return string[]
function M.lines()
  local kept = {}
  for index = first, first + KEPT do
    kept[#kept + 1] = lines[index]
  end
  return kept
end

--- The lines as a section of a page.
---@return string
function M.markdown()
  local kept = M.lines()
  local shown = { '## What happened in this Neovim', '', '```text' }
  vim.list_extend(shown, #kept > 0 and kept or { 'nothing yet' })
  shown[#shown + 1] = '```'
  return table.concat(shown, '\n')
end

return M

--- What happened lately, for `:DgLsp trace` and for other plugins: a line in a ring of lines, and
--- a `User` event. Lines hold sizes and times and no text of the user's.
local M = {}

local KEPT = 200
local lines = {} ---@type string[]
local first = 1

--- Note what happened.
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

--- Tell the autocommands of `User DgLsp{name}`.
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

--- The lines in a window of their own, and what the server traced of its last request.
---@param server table?
function M.show(server)
  local buffer = vim.api.nvim_create_buf(false, true)
  local kept = M.lines()
  if server then
    vim.list_extend(kept, { '', 'the last request, as the server saw it:' })
    vim.list_extend(kept, vim.split(vim.inspect(server), '\n'))
  end
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, #kept > 0 and kept or { 'nothing yet' })
  vim.bo[buffer].modifiable = false
  vim.bo[buffer].bufhidden = 'wipe'
  vim.cmd.split()
  vim.api.nvim_win_set_buf(0, buffer)
  vim.cmd.normal({ 'G', bang = true })
end

return M

--- The keys of a buffer while a rewrite is shown in it.
local config = require('dg_lsp.config')
local keys = require('dg_lsp.keys')

local M = {}

--- The keys of an action; none if the user maps none.
---@param action string
---@return string[]
local function keys_of(action)
  local given = config.now.rewrite_keys[action] or {}
  return type(given) == 'string' and { given } or given --[[@as string[] ]]
end

--- How the user can do something: its first key, or else the command.
---@param action string
---@return string
local function way_to(action)
  return keys_of(action)[1] or (':DgLsp ' .. action)
end

--- What the user can do with a rewrite, in a line.
---@param percent string? Its strength, if it has one.
---@param step string? Which step is shown, if there are several.
---@return string
function M.hint(percent, step)
  local parts = {}
  for _, action in ipairs({ 'accept', 'discard', 'retry' }) do
    parts[#parts + 1] = way_to(action) .. ' ' .. action
  end
  if percent then
    parts[#parts + 1] = ('%s %s %s'):format(way_to('closer'), percent, way_to('freer'))
  end
  if step then
    parts[#parts + 1] = ('%s %s %s'):format(way_to('earlier'), step, way_to('later'))
  end
  return table.concat(parts, ', ')
end

--- Map the keys. They act while `is_here` says so; elsewhere they do what they did before.
---@param bufnr integer
---@param is_here fun(): boolean
---@param run fun(action: string)
---@return table[] mapped What the keys did before.
function M.map(bufnr, is_here, run)
  local mapped = {}
  for action in pairs(config.now.rewrite_keys) do
    for _, lhs in ipairs(keys_of(action)) do
      local before = vim.api.nvim_buf_call(bufnr, function()
        return vim.fn.maparg(lhs, 'n', false, true)
      end)
      table.insert(mapped, { lhs = lhs, before = before.buffer == 1 and before or nil })
      vim.keymap.set('n', lhs, function()
        if is_here() then
          run(action)
        else
          keys.run(before, lhs)
        end
      end, { buffer = bufnr, desc = 'dg-lsp: ' .. action .. ' the rewrite' })
    end
  end
  return mapped
end

--- Give the keys back.
---@param bufnr integer
---@param mapped table[]
function M.unmap(bufnr, mapped)
  for _, key in ipairs(mapped) do
    pcall(vim.keymap.del, 'n', key.lhs, { buffer = bufnr })
    if key.before then
      vim.api.nvim_buf_call(bufnr, function()
        vim.fn.mapset('n', false, key.before)
      end)
    end
  end
end

return M

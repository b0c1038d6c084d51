--- What the server says of itself, kept for the statusline and for `:DgLsp status`.
local config = require('dg_lsp.config')
local trace = require('dg_lsp.trace')

local M = {}

---@class dg_lsp.Status
---@field busy boolean
---@field kind 'Normal'|'Warning'|'Error'|'Inactive'
---@field message string
---@field model string
---@field device string
---@field memoryBytes integer

local last ---@type dg_lsp.Status?
M.paused = false

---@param message string
---@return dg_lsp.Status
local function failure(message)
  return {
    busy = false,
    kind = 'Error',
    message = message,
    model = '',
    device = '',
    memoryBytes = 0,
  }
end

--- `dgLsp/status` of the server.
---@param said dg_lsp.Status
function M.take(said)
  last = said
  trace.note('status: %s%s %s', said.kind, said.busy and ', busy' or '', said.message)
  trace.tell('Status', said)
  vim.cmd.redrawstatus()
end

--- The server is not there, and why.
---@param message string
function M.fail(message)
  M.take(failure(message))
end

--- The server has ended or is about to start.
function M.forget()
  last = nil
  vim.cmd.redrawstatus()
end

--- The last thing that the server said; nil before the first.
---@return dg_lsp.Status?
function M.now()
  return last
end

--- One short text for a statusline; empty where no server runs in this buffer.
---@return string
function M.statusline()
  if M.paused then
    return 'dg-lsp: paused'
  end
  if last == nil then
    return ''
  end
  local model = last.model ~= '' and last.model or 'no model'
  if last.kind == 'Error' then
    return 'dg-lsp: error'
  elseif last.busy then
    return ('dg-lsp: %s ...'):format(model)
  elseif last.kind == 'Warning' then
    return ('dg-lsp: %s !'):format(model)
  elseif last.kind == 'Inactive' then
    return 'dg-lsp: off here'
  end
  return 'dg-lsp: ' .. model
end

--- A few lines for `:DgLsp status`.
---@return string[]
function M.describe()
  if M.paused then
    return { 'dg-lsp is paused; :DgLsp resume goes on' }
  end
  if last == nil then
    return { ('dg-lsp: no server runs (%s)'):format(table.concat(config.now.cmd, ' ')) }
  end
  local lines = { ('dg-lsp: %s%s'):format(last.kind, last.busy and ', busy' or '') }
  if last.message ~= '' then
    lines[#lines + 1] = last.message
  end
  if last.model ~= '' then
    lines[#lines + 1] = ('model %s on %s, %d MB'):format(
      last.model,
      last.device,
      math.floor(last.memoryBytes / 1e6)
    )
  end
  return lines
end

return M

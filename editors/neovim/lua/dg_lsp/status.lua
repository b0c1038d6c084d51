--- Keeps the server's status for the statusline and for `:DgLsp status`.
local models = require('dg_lsp.models')
local once = require('dg_lsp.say').once
local server = require('dg_lsp.server')
local trace = require('dg_lsp.trace')

local M = {}

---@class dg_lsp.Status
---@field busy boolean
---@field kind 'Normal'|'Warning'|'Error'|'Inactive'
---@field message string
---@field model string
---@field device string
---@field memoryBytes integer
---@field percent? integer Of the model's loading.
---@field followsInstructions? boolean Nil where that is not known.

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

--- Handle the server's `dgLsp/status`.
---@param said dg_lsp.Status
function M.take(said)
  for name, value in pairs(said) do
    if value == vim.NIL then
      said[name] = nil
    end
  end
  last = said
  trace.note('status: %s%s %s', said.kind, said.busy and ', busy' or '', said.message)
  trace.tell('Status', said)
  vim.cmd.redrawstatus()
end

--- Show an error or the hint about better models as a message: statuslines may not show them.
function M.announce()
  if last == nil then
    return
  elseif last.kind == 'Error' and last.message ~= '' then
    once(last.message, vim.log.levels.ERROR)
  elseif last.model == models.BUNDLED and not last.busy then
    models.hint()
  end
end

--- Why nothing is suggested at the moment.
---@return string
function M.reason()
  if last and last.kind ~= 'Normal' and last.message ~= '' then
    return last.message
  end
  return 'there is nothing to suggest here'
end

--- Record why there is no server.
---@param message string
function M.fail(message)
  M.take(failure(message))
end

--- Forget the status, because the server has exited or is about to start.
function M.forget()
  last = nil
  vim.cmd.redrawstatus()
end

--- The server's last status; nil before the first one.
---@return dg_lsp.Status?
function M.now()
  return last
end

--- A short text for a statusline; empty if no server runs in this buffer.
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

local KINDS = {
  Normal = 'ready',
  Warning = 'the last request failed',
  Error = 'there is no engine',
  Inactive = 'nothing is suggested here',
}

--- A line for `:DgLsp status`.
---@return string
function M.describe()
  if M.paused then
    return 'paused; :DgLsp resume starts the server again'
  end
  if last == nil then
    return server.missing() or 'no server runs; it starts with the first file'
  end
  local parts = { last.busy and 'busy' or KINDS[last.kind] or last.kind }
  if last.model ~= '' then
    -- 0 if unknown, as on a CPU.
    local memory = last.memoryBytes > 0 and (', %d MB'):format(last.memoryBytes / 1e6) or ''
    parts[#parts + 1] = ('model %s on %s%s'):format(last.model, last.device, memory)
  end
  if last.message ~= '' then
    local percent = last.percent and (' (%d %%)'):format(last.percent) or ''
    parts[#parts + 1] = last.message .. percent
  end
  return table.concat(parts, '; ')
end

return M

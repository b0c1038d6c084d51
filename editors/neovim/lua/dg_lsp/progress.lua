--- Reports the progress of a rewrite as if it came from the server, so that `LspProgress`,
--- `vim.lsp.status()` and plugins such as fidget.nvim show it like the loading of the model.
local M = {}

--- A rewrite that ends sooner shows no progress.
local PATIENCE_MS = 500

---@class dg_lsp.Progress
---@field client_id integer
---@field token string
---@field state 'waiting'|'begun'|'ended'

---@param progress dg_lsp.Progress
---@param value table
local function tell(progress, value)
  local ctx = { client_id = progress.client_id, method = '$/progress' }
  vim.lsp.handlers['$/progress'](nil, { token = progress.token, value = value }, ctx)
end

---@param client_id integer
---@param token string
---@param title string
---@return dg_lsp.Progress
function M.begin(client_id, token, title)
  local progress = { client_id = client_id, token = token, state = 'waiting' }
  vim.defer_fn(function()
    if progress.state == 'waiting' then
      progress.state = 'begun'
      tell(progress, { kind = 'begin', title = title, cancellable = false })
    end
  end, PATIENCE_MS)
  return progress
end

--- The progress of a rewrite in words; also reported as progress if it takes long.
---@param progress dg_lsp.Progress
---@param draft table `dgLsp/draft`
---@return string
function M.report(progress, draft)
  local message = ('step %d of at most %d'):format(draft.step, draft.stepsAllowed)
  if draft.blocks > 1 then
    message = ('block %d of %d, %s'):format(draft.block, draft.blocks, message)
  end
  if progress.state == 'begun' then
    local in_block = draft.step / math.max(draft.step, draft.stepsAllowed)
    local percentage = math.floor(100 * (draft.block - 1 + in_block) / draft.blocks)
    tell(progress, { kind = 'report', message = message, percentage = percentage })
  end
  return message
end

---@param progress dg_lsp.Progress
function M.done(progress)
  if progress.state == 'begun' then
    tell(progress, { kind = 'end' })
  end
  progress.state = 'ended'
end

return M

--- Does what a key did before it was mapped.
local M = {}

--- Do what the earlier mapping did, or what the key does if there was none.
---@param before table As `maparg()` has it; empty where nothing was mapped.
---@param lhs string
function M.run(before, lhs)
  local typed, is_remapped = lhs, false
  if before.callback then
    local returned = before.callback()
    if before.expr ~= 1 then
      return
    end
    typed = returned or ''
  elseif before.rhs then
    typed = before.expr == 1 and vim.api.nvim_eval(before.rhs) or before.rhs
    typed = typed:gsub('<SID>', ('<SNR>%d_'):format(before.sid))
    -- A mapping that begins with its own key does not call itself.
    is_remapped = before.noremap == 0 and not vim.startswith(typed:lower(), lhs:lower())
  end
  local count = vim.v.count > 0 and tostring(vim.v.count) or ''
  vim.api.nvim_feedkeys(count .. vim.keycode(typed), is_remapped and 'mi' or 'ni', false)
end

return M

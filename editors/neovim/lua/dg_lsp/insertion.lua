--- Puts accepted text into the current buffer as if it had been typed: `.` repeats it.
local api = vim.api
local M = {}

--- Insert a text at a place.
---@param place dg_lsp.Place
---@param accepted string
---@param typed string What has been typed at the place meanwhile; it stays behind the text.
---@param replaced integer How many bytes behind the place the text replaces.
function M.insert(place, accepted, typed, replaced)
  local row, col = place.row, #place.head
  local kept = 0
  if replaced > 0 and vim.endswith(accepted, place.tail:sub(1, replaced)) then
    -- Text that would be replaced by itself is kept, so that `.` does not insert it again.
    accepted, kept = accepted:sub(1, -replaced - 1), replaced
  end
  -- A separate undo step.
  vim.cmd('let &undolevels = &undolevels')
  if kept < replaced then
    local from = col + #typed
    api.nvim_buf_set_text(0, row, from, row, from + replaced, {})
  end
  if accepted ~= '' then
    api.nvim_win_set_cursor(0, { row + 1, col })
    -- The only way for a script to insert text that `.` repeats.
    api.nvim_paste(accepted, false, -1)
  end
  local now = api.nvim_win_get_cursor(0)
  api.nvim_win_set_cursor(0, { now[1], now[2] + #typed + kept })
  vim.cmd('let &undolevels = &undolevels')
end

return M

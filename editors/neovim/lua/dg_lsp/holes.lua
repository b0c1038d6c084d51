--- Finds the holes that are filled together: the marks in a part of a buffer.
local config = require('dg_lsp.config')

local api = vim.api
local M = {}

--- What stands for a hole, as the server's setting says.
---@return string
function M.mark()
  local mark = config.now.settings.holeMark
  return type(mark) == 'string' and mark ~= '' and mark or '…'
end

--- From the first mark to the last one in a part of the current buffer; nil if there is none.
---@param part dg_lsp.Selection
---@return dg_lsp.Selection?
function M.find(part)
  local mark = M.mark()
  local found ---@type dg_lsp.Selection?
  local lines = api.nvim_buf_get_lines(0, part.row, part.end_row + 1, false)
  for index, line in ipairs(lines) do
    local row = part.row + index - 1
    local at = row == part.row and part.col + 1 or 1
    local last = row == part.end_row and part.end_col or #line
    while true do
      local from, to = line:find(mark, at, true)
      if not from or to > last then
        break
      end
      found = found or { row = row, col = from - 1 }
      found.end_row, found.end_col = row, to
      at = to + 1
    end
  end
  return found
end

return M

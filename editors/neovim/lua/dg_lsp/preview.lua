--- Draws a rewrite: marks the selection and shows its replacement below the last line. Keeps only
--- the marks of the selection.
local api = vim.api
local M = {}

local namespace = api.nvim_create_namespace('dg_lsp.rewrite')

---@class dg_lsp.Selection From 0, its end exclusive.
---@field row integer
---@field col integer
---@field end_row integer
---@field end_col integer

---@class dg_lsp.Preview
---@field bufnr integer
---@field mark integer Follows the selection.
---@field below integer? Carries the lines below it.
---@field parts integer[]? Mark what is replaced, if only parts of the selection are.

---@param bufnr integer
---@param selection dg_lsp.Selection
---@return dg_lsp.Preview
function M.open(bufnr, selection)
  local mark = api.nvim_buf_set_extmark(bufnr, namespace, selection.row, selection.col, {
    end_row = selection.end_row,
    end_col = selection.end_col,
    hl_group = 'DgLspReplaced',
  })
  -- Virtual lines are not drawn in a closed fold.
  vim.cmd(('silent! %d,%dfoldopen!'):format(selection.row + 1, selection.end_row + 1))
  return { bufnr = bufnr, mark = mark }
end

--- Mark only these parts of the selection as replaced.
---@param preview dg_lsp.Preview
---@param parts dg_lsp.Selection[]
function M.mark(preview, parts)
  local bufnr = preview.bufnr
  local row, col, end_row, end_col = M.region(preview)
  api.nvim_buf_set_extmark(bufnr, namespace, row, col, {
    id = preview.mark,
    end_row = end_row,
    end_col = end_col,
  })
  for _, mark in ipairs(preview.parts or {}) do
    api.nvim_buf_del_extmark(bufnr, namespace, mark)
  end
  preview.parts = vim.tbl_map(function(part)
    return api.nvim_buf_set_extmark(bufnr, namespace, part.row, part.col, {
      end_row = part.end_row,
      end_col = part.end_col,
      hl_group = 'DgLspReplaced',
    })
  end, parts)
end

--- Where the selection is now.
---@param preview dg_lsp.Preview
---@return integer, integer, integer, integer
function M.region(preview)
  local mark =
    api.nvim_buf_get_extmark_by_id(preview.bufnr, namespace, preview.mark, { details = true })
  return mark[1], mark[2], mark[3].end_row, mark[3].end_col
end

--- The text that is in the selection now.
---@param preview dg_lsp.Preview
---@return string[]
function M.selected(preview)
  local row, col, end_row, end_col = M.region(preview)
  return api.nvim_buf_get_text(preview.bufnr, row, col, end_row, end_col, {})
end

--- Whether the cursor of the current window is in the lines of the selection.
---@param preview dg_lsp.Preview
---@return boolean
function M.has_cursor(preview)
  local row, _, end_row = M.region(preview)
  local line = api.nvim_win_get_cursor(0)[1] - 1
  return row <= line and line <= end_row
end

--- Scroll until the lines drawn below the selection are visible, as far as they fit. A cursor that
--- would be scrolled out of the window moves to the last line of the selection.
---@param last integer The last line of the selection, from 0.
---@param num_lines integer Lines below it.
local function reveal(last, num_lines)
  local view = vim.fn.winsaveview()
  local top = view.topline - 1
  local function height()
    return api.nvim_win_text_height(0, { start_row = top, end_row = last }).all
  end
  while top < last and height() + num_lines > api.nvim_win_get_height(0) do
    top = top + 1
  end
  if top + 1 == view.topline then
    return
  end
  view.topline = top + 1
  if view.lnum < view.topline then
    view.lnum, view.col = last + 1, 0
  end
  vim.fn.winrestview(view)
end

--- Draw these lines and, below them, the notes.
---@param preview dg_lsp.Preview
---@param lines dg_lsp.Chunk[][] In place of the selection; what stands around it is added.
---@param notes dg_lsp.Chunk[][]
function M.draw(preview, lines, notes)
  local bufnr = preview.bufnr
  local row, col, end_row, end_col = M.region(preview)
  local head = api.nvim_buf_get_text(bufnr, row, 0, row, col, {})[1]
  local tail = api.nvim_buf_get_text(bufnr, end_row, end_col, end_row, -1, {})[1]
  local below = {}
  for index, line in ipairs(lines) do
    local chunks = vim.list_slice(line)
    if index == 1 and head ~= '' then
      table.insert(chunks, 1, { head, 'DgLspRest' })
    end
    if index == #lines and tail ~= '' then
      table.insert(chunks, { tail, 'DgLspRest' })
    end
    below[#below + 1] = #chunks > 0 and chunks or { { ' ', 'DgLspRest' } }
  end
  vim.list_extend(below, notes)
  preview.below = api.nvim_buf_set_extmark(bufnr, namespace, end_row, end_col, {
    id = preview.below,
    virt_lines = below,
  })
  if api.nvim_get_current_buf() == bufnr and M.has_cursor(preview) then
    reveal(end_row, #below)
  end
  -- Neovim does not redraw them if the line after them is below the window.
  api.nvim__redraw({ buf = bufnr, valid = false })
end

---@param preview dg_lsp.Preview
function M.close(preview)
  if api.nvim_buf_is_valid(preview.bufnr) then
    api.nvim_buf_clear_namespace(preview.bufnr, namespace, 0, -1)
  end
end

return M

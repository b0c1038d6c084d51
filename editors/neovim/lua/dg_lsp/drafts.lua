--- Draws drafts at the cursor; the caller decides which draft is still current.
local shading = require('dg_lsp.shading')

local M = {}

local namespace = vim.api.nvim_create_namespace('dg_lsp.draft')
local is_drawn = {} ---@type table<integer, true?>

---@param bufnr integer
---@param place dg_lsp.Place
---@param lines dg_lsp.Chunk[][]
function M.show(bufnr, place, lines)
  local layout = shading.layout(lines, place.tail, vim.fn.strdisplaywidth)
  is_drawn[bufnr] = true
  vim.api.nvim_buf_set_extmark(bufnr, namespace, place.row, #place.head, {
    id = 1,
    virt_text = #layout.first > 0 and layout.first or nil,
    virt_text_pos = layout.position,
    virt_lines = #layout.below > 0 and layout.below or nil,
    hl_mode = 'combine',
  })
end

---@param bufnr integer
function M.clear(bufnr)
  if is_drawn[bufnr] then
    is_drawn[bufnr] = nil
    if vim.api.nvim_buf_is_valid(bufnr) then
      vim.api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
    end
  end
end

return M

--- Reads the text of a rewrite from the server's edit, which is as small as possible.
local preview = require('dg_lsp.preview')
local text = require('dg_lsp.text')

local api = vim.api
local M = {}

--- The selection with the edit applied; nil if the edit is for another text.
---@param client vim.lsp.Client
---@param shown dg_lsp.Preview
---@param original string[]
---@param edit lsp.WorkspaceEdit
---@return string[]?
function M.lines(client, shown, original, edit)
  local bufnr = shown.bufnr
  local change = edit.documentChanges and edit.documentChanges[1]
  local edits = change and change.edits or (edit.changes or {})[vim.uri_from_bufnr(bufnr)]
  if change and change.textDocument.version ~= vim.lsp.util.buf_versions[bufnr] then
    return nil
  end
  local one = edits and edits[1]
  if not one then
    return original
  end
  local row, col, end_row, end_col = preview.region(shown)
  local function byte(position)
    local line = api.nvim_buf_get_lines(bufnr, position.line, position.line + 1, false)[1]
    return vim.str_byteindex(line or '', client.offset_encoding, position.character, false)
  end
  local from, to = one.range.start, one.range['end']
  local before = api.nvim_buf_get_text(bufnr, row, col, from.line, byte(from), {})
  local after = api.nvim_buf_get_text(bufnr, to.line, byte(to), end_row, end_col, {})
  return text.lines(table.concat(before, '\n') .. one.newText .. table.concat(after, '\n'))
end

return M

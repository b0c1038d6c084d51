--- Marks only what changes, if holes are filled or a kept word gets other text around it.
local holes = require('dg_lsp.holes')
local inserted = require('dg_lsp.inserted')
local preview = require('dg_lsp.preview')
local shading = require('dg_lsp.shading')
local text = require('dg_lsp.text')

local M = {}

--- What is certain to stay: the pinned parts, or all but the marks of holes.
---@param old string
---@param pinned [integer, integer][]?
---@return string
local function staying(old, pinned)
  if not pinned then
    return (old:gsub(vim.pesc(holes.mark()), ''))
  end
  return table.concat(vim.tbl_map(function(part)
    return old:sub(part[1] + 1, part[2])
  end, pinned))
end

--- Mark what is replaced in the selection; returns the lines, of which only what is written is
--- shaded.
---@param shown dg_lsp.Preview
---@param original string[] The selection.
---@param pinned [integer, integer][]? If holes are filled, there are none.
---@param lines dg_lsp.Chunk[][] None before the first draft.
---@return dg_lsp.Chunk[][]
function M.mark(shown, original, pinned, lines)
  local old = table.concat(original, '\n')
  local new = vim.tbl_map(function(line)
    return table.concat(vim.tbl_map(function(chunk)
      return chunk[1]
    end, line))
  end, lines)
  local now = #new > 0 and table.concat(new, '\n') or staying(old, pinned)
  local gone, written = text.differing(old, now)
  local row, col = preview.region(shown)
  local replaced = vim.tbl_map(function(part)
    local from_row, from_col = inserted.place(row, col, old, part[1])
    local to_row, to_col = inserted.place(row, col, old, part[2])
    return { row = from_row, col = from_col, end_row = to_row, end_col = to_col }
  end, gone)
  preview.mark(shown, replaced)
  return shading.only(lines, written)
end

return M

--- Adapts the items of an answer while the user types or accepts them piece by piece. Pure
--- functions without buffers or windows.
local doubt = require('dg_lsp.doubt')
local text = require('dg_lsp.text')

local M = {}

---@class dg_lsp.Answer What the server offered at a place.
---@field place dg_lsp.Place
---@field items lsp.InlineCompletionItem[]
---@field index integer Of the selected one.

--- An item without the part that has been typed.
---@param item lsp.InlineCompletionItem
---@param typed string
---@param encoding string
---@return lsp.InlineCompletionItem
local function behind(item, typed, encoding)
  local by = vim.str_utfindex(typed, encoding)
  local from, to = item.range.start, item.range['end']
  return vim.tbl_extend('force', item, {
    insertText = item.insertText:sub(#typed + 1),
    confidence = doubt.behind(item.confidence, by),
    range = {
      start = { line = from.line, character = from.character + by },
      ['end'] = { line = to.line, character = to.character + by },
    },
  })
end

--- The items left of an answer at a place, the selected one first; may be empty.
---@param answer dg_lsp.Answer
---@param place dg_lsp.Place
---@param encoding string
---@return lsp.InlineCompletionItem[]
function M.left(answer, place, encoding)
  local typed = text.typed(answer.place, place)
  local left = {}
  for offset = 0, #answer.items - 1 do
    local item = answer.items[(answer.index - 1 + offset) % #answer.items + 1]
    if typed and #item.insertText > #typed and vim.startswith(item.insertText, typed) then
      left[#left + 1] = behind(item, typed, encoding)
    end
  end
  return left
end

--- How sure the model is of each part of an item.
---@param answer dg_lsp.Answer
---@param whole string The text of the item.
---@return dg_lsp.Runs?
function M.confidence(answer, whole)
  for _, one in ipairs(answer.items) do
    if one.insertText == whole then
      return one.confidence
    end
  end
end

--- How many bytes after the cursor an accepted item replaces.
---@param answer dg_lsp.Answer
---@param whole string The text of the item.
---@param encoding string
---@return integer
function M.replaced(answer, whole, encoding)
  for _, one in ipairs(answer.items) do
    if one.insertText == whole then
      local units = one.range['end'].character - one.range.start.character
      return vim.str_byteindex(answer.place.tail, encoding, units, false)
    end
  end
  return 0
end

--- An item that inserts a text at a place, before the rest of the line or instead of it.
---@param insert_text string
---@param place dg_lsp.Place
---@param tail string What it replaces of what follows: nothing or all of it.
---@param encoding string
---@param confidence dg_lsp.Runs?
---@return lsp.InlineCompletionItem
function M.at(insert_text, place, tail, encoding, confidence)
  local from = vim.str_utfindex(place.head, encoding)
  local to = from + vim.str_utfindex(tail, encoding)
  return {
    insertText = insert_text,
    confidence = confidence,
    range = {
      start = { line = place.row, character = from },
      ['end'] = { line = place.row, character = to },
    },
  }
end

return M

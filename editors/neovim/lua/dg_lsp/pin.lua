--- Keeps a part of the text that was accepted last, and has the rest of it rewritten around it.
local inserted = require('dg_lsp.inserted')
local rewrite = require('dg_lsp.rewrite')
local say = require('dg_lsp.say').say
local text = require('dg_lsp.text')

local api = vim.api
local M = {}

--- The byte offset of a place in a text that begins at another one; nil if it is outside.
---@param region dg_lsp.Region
---@param row integer
---@param col integer
---@return integer?
local function offset(region, row, col)
  local lines = text.lines(region.text)
  local index = row - region.selection.row + 1
  local in_line = index == 1 and col - region.selection.col or col
  if index < 1 or index > #lines or in_line < 0 or in_line > #lines[index] then
    return nil
  end
  for before = 1, index - 1 do
    in_line = in_line + #lines[before] + 1
  end
  return in_line
end

--- The words that the user has changed since the text was accepted; nil if none was.
---@param accepted string
---@param now string
---@return [integer, integer]?
function M.edited(accepted, now)
  if accepted == now then
    return nil
  end
  local most = math.min(#accepted, #now)
  local from = 0
  while from < most and accepted:byte(from + 1) == now:byte(from + 1) do
    from = from + 1
  end
  local past = 0
  while past < most - from and accepted:byte(#accepted - past) == now:byte(#now - past) do
    past = past + 1
  end
  local to = #now - past
  -- Whole words and whole characters: an edit within a word is for the word.
  local before, after = now:sub(1, from), now:sub(to + 1)
  from = from - #before:match('[%w_\128-\255]*$')
  to = to + #after:match('^[%w_\128-\255]*')
  return now:sub(from + 1, to):find('%S') and { from, to } or nil
end

--- The word at an offset of a text.
---@param now string
---@param at integer
---@return [integer, integer]?
function M.word(now, at)
  local before = now:sub(1, at):match('[%w_\128-\255]*$')
  local after = now:sub(at + 1):match('^[%w_\128-\255]*')
  if #before + #after > 0 then
    return { at - #before, at + #after }
  end
end

--- Keep a selection, or else what was edited, or else the word at the cursor.
---@param client vim.lsp.Client
---@param selection dg_lsp.Selection?
function M.keep(client, selection)
  local bufnr = api.nvim_get_current_buf()
  local region = inserted.region(bufnr)
  if not region then
    say('accept a suggestion first; then a word of it can be kept')
    return
  end
  local kept
  if selection then
    local from = offset(region, selection.row, selection.col)
    local to = offset(region, selection.end_row, selection.end_col)
    kept = from and to and { from, to }
  else
    local row, col = unpack(api.nvim_win_get_cursor(0))
    local at = offset(region, row - 1, col)
    kept = M.edited(region.accepted, region.text) or (at and M.word(region.text, at))
  end
  if not kept then
    say('only a part of the text that was accepted last can stay')
    return
  end
  rewrite.start(client, region.selection, nil, nil, { kept })
end

return M

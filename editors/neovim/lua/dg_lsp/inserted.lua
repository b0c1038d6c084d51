--- Remembers the text that was accepted last in each buffer, and underlines its unsure parts.
local config = require('dg_lsp.config')
local doubt = require('dg_lsp.doubt')
local trace = require('dg_lsp.trace')

local api = vim.api
local M = {}

local regions = api.nvim_create_namespace('dg_lsp.inserted')
local unsure = api.nvim_create_namespace('dg_lsp.unsure')

--- How long parts stay underlined.
local SHOWN_MS = 60000

---@class dg_lsp.Inserted
---@field mark integer
---@field text string As it was accepted.

---@class dg_lsp.Region From 0, its end exclusive.
---@field selection dg_lsp.Selection
---@field text string What it holds now.
---@field accepted string What it held when it was accepted.

local last = {} ---@type table<integer, dg_lsp.Inserted?>
local shown = {} ---@type table<integer, integer?> Which insertion the underlines are of.
local num_shown = 0

--- Where an offset in a text is, if the text begins at a place.
---@param row integer
---@param col integer
---@param text string
---@param offset integer Bytes.
---@return integer row, integer col
function M.place(row, col, text, offset)
  local before = text:sub(1, offset)
  local _, breaks = before:gsub('\n', '')
  if breaks == 0 then
    return row, col + offset
  end
  return row + breaks, #before:match('[^\n]*$')
end

---@param bufnr integer
---@param namespace integer
---@param mark integer
---@return dg_lsp.Selection?, string?
local function held(bufnr, namespace, mark)
  local found = api.nvim_buf_get_extmark_by_id(bufnr, namespace, mark, { details = true })
  if not found[1] then
    return nil
  end
  local selection = {
    row = found[1],
    col = found[2],
    end_row = found[3].end_row,
    end_col = found[3].end_col,
  }
  local is_there, lines = pcall(
    api.nvim_buf_get_text,
    bufnr,
    selection.row,
    selection.col,
    selection.end_row,
    selection.end_col,
    {}
  )
  return is_there and selection or nil, is_there and table.concat(lines, '\n') or nil
end

--- Remove the underlines.
---@param bufnr integer
function M.clear(bufnr)
  shown[bufnr] = nil
  if api.nvim_buf_is_valid(bufnr) then
    api.nvim_buf_clear_namespace(bufnr, unsure, 0, -1)
  end
end

--- Remove the underlines of parts that have been edited.
---@param bufnr integer
---@param texts table<integer, string> By the mark.
local function follow(bufnr, texts)
  for mark, text in pairs(texts) do
    local _, now = held(bufnr, unsure, mark)
    if now ~= text then
      api.nvim_buf_del_extmark(bufnr, unsure, mark)
      texts[mark] = nil
    end
  end
end

---@param bufnr integer
---@param row integer
---@param col integer
---@param text string
---@param parts [integer, integer][]
local function underline(bufnr, row, col, text, parts)
  M.clear(bufnr)
  num_shown = num_shown + 1
  local number = num_shown
  shown[bufnr] = number
  local texts = {}
  for _, part in ipairs(parts) do
    local from_row, from_col = M.place(row, col, text, part[1])
    local to_row, to_col = M.place(row, col, text, part[2])
    local mark = api.nvim_buf_set_extmark(bufnr, unsure, from_row, from_col, {
      end_row = to_row,
      end_col = to_col,
      hl_group = 'DgLspUnsure',
    })
    texts[mark] = text:sub(part[1] + 1, part[2])
  end
  local group = api.nvim_create_augroup('dg_lsp.unsure.' .. bufnr, { clear = true })
  api.nvim_create_autocmd({ 'TextChanged', 'TextChangedI', 'TextChangedP' }, {
    group = group,
    buffer = bufnr,
    callback = function()
      follow(bufnr, texts)
      return next(texts) == nil
    end,
  })
  vim.defer_fn(function()
    if shown[bufnr] == number then
      M.clear(bufnr)
    end
  end, SHOWN_MS)
  trace.tell('Unsure', { buf = bufnr, parts = #parts })
end

--- Note that a text was accepted at a place; if it continues the last one, both are one.
---@param bufnr integer
---@param row integer
---@param col integer
---@param text string
---@param confidence dg_lsp.Runs?
---@param encoding string
function M.note(bufnr, row, col, text, confidence, encoding)
  local end_row, end_col = M.place(row, col, text, #text)
  local start_row, start_col, whole = row, col, text
  local before = last[bufnr]
  if before then
    local region, now = held(bufnr, regions, before.mark)
    if region and now ~= '' and region.end_row == row and region.end_col == col then
      start_row, start_col, whole = region.row, region.col, before.text .. text
    end
    api.nvim_buf_del_extmark(bufnr, regions, before.mark)
  end
  local mark = api.nvim_buf_set_extmark(bufnr, regions, start_row, start_col, {
    end_row = end_row,
    end_col = end_col,
    -- What replaces the first word is still a part of the text.
    right_gravity = false,
  })
  last[bufnr] = { mark = mark, text = whole }
  local parts = config.now.doubt and doubt.parts(text, confidence, encoding) or {}
  if #parts > 0 then
    underline(bufnr, row, col, text, parts)
  end
end

--- The text that was accepted last and is still there; nil if there is none.
---@param bufnr integer
---@return dg_lsp.Region?
function M.region(bufnr)
  local one = last[bufnr]
  local selection, now = nil, nil
  if one then
    selection, now = held(bufnr, regions, one.mark)
  end
  if one and selection and now and now:find('%S') then
    return { selection = selection, text = now, accepted = one.text }
  end
end

--- Forget a buffer.
---@param bufnr integer
function M.release(bufnr)
  last[bufnr] = nil
  M.clear(bufnr)
end

return M

--- Finds the unsure parts of a text. Pure functions without buffers or windows.
local M = {}

--- A part of which the model is less sure than this is unsure.
local LEAST = 0.5

---@alias dg_lsp.Runs [number, integer][] Probability and length of each run of characters.

--- The runs without the first units of the text.
---@param confidence dg_lsp.Runs?
---@param units integer
---@return dg_lsp.Runs?
function M.behind(confidence, units)
  if not confidence then
    return nil
  end
  local left = {}
  for _, run in ipairs(confidence) do
    local past = math.min(units, run[2])
    units = units - past
    if past < run[2] then
      left[#left + 1] = { run[1], run[2] - past }
    end
  end
  return left
end

--- The unsure parts as byte offsets, from 0, the end exclusive, without the blanks at their ends.
---@param text string
---@param confidence dg_lsp.Runs?
---@param encoding string The units of the lengths: 'utf-8', 'utf-16' or 'utf-32'.
---@return [integer, integer][]
function M.parts(text, confidence, encoding)
  local found = {} ---@type [integer, integer][]
  local most = vim.str_utfindex(text, encoding)
  local units = 0
  for _, run in ipairs(confidence or {}) do
    local from = vim.str_byteindex(text, encoding, math.min(units, most), false)
    units = units + run[2]
    local to = vim.str_byteindex(text, encoding, math.min(units, most), false)
    if run[1] < LEAST then
      local last = found[#found]
      if last and last[2] == from then
        last[2] = to
      else
        found[#found + 1] = { from, to }
      end
    end
  end
  -- A part does not reach over a line end: what is underlined are words.
  local parts = {}
  for _, one in ipairs(found) do
    local at = one[1]
    for line, ending in text:sub(one[1] + 1, one[2]):gmatch('([^\n]*)(\n?)') do
      local blanks, word = line:match('^(%s*)(.-)%s*$')
      if word ~= '' then
        parts[#parts + 1] = { at + #blanks, at + #blanks + #word }
      end
      at = at + #line + #ending
    end
  end
  return parts
end

return M

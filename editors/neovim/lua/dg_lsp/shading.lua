--- Turns a draft into chunks of virtual text, shaded by how sure the model is, and lays them out
--- around the text of the line. Pure functions.
local M = {}

---@alias dg_lsp.Chunk [string, string] Text and its highlight group.

--- The highlight group for a probability. Below the first limit, the text is almost noise.
---@param probability number
---@return string
function M.group(probability)
  if probability < 0.3 then
    return 'DgLspDraft1'
  elseif probability < 0.6 then
    return 'DgLspDraft2'
  elseif probability < 0.9 then
    return 'DgLspDraft3'
  end
  return 'DgLspDraft4'
end

--- A text with its confidences, line by line.
---@param text string
---@param confidence [number, integer][] Runs: the probability and the length in units.
---@param encoding string The units of the lengths: 'utf-8', 'utf-16' or 'utf-32'.
---@return dg_lsp.Chunk[][]
function M.lines(text, confidence, encoding)
  local lines = { {} } ---@type dg_lsp.Chunk[][]
  local units, from = 0, 0
  for index, run in ipairs(confidence) do
    units = units + run[2]
    local to = #text
    if index < #confidence then
      to = vim.str_byteindex(text, encoding, units, false)
    end
    local group = M.group(run[1])
    local piece = text:sub(from + 1, to):gsub('\r', '')
    for number, part in ipairs(vim.split(piece, '\n', { plain = true })) do
      if number > 1 then
        lines[#lines + 1] = {}
      end
      if part ~= '' then
        table.insert(lines[#lines], { part, group })
      end
    end
    from = to
  end
  return lines
end

---@class dg_lsp.Layout
---@field first dg_lsp.Chunk[] At the cursor.
---@field position 'inline'|'overlay'
---@field below dg_lsp.Chunk[][]

--- Where the lines go, so that the screen shows the result of accepting: several lines in the
--- middle of a line push the rest of that line after the last one.
---@param lines dg_lsp.Chunk[][]
---@param tail string The line after the cursor.
---@param width fun(text: string): integer Cells on the screen.
---@return dg_lsp.Layout
function M.layout(lines, tail, width)
  local first, below = lines[1], vim.list_slice(lines, 2)
  if #below == 0 or tail == '' then
    return { first = first, position = 'inline', below = below }
  end
  local missing = width(tail)
  for _, chunk in ipairs(first) do
    missing = missing - width(chunk[1])
  end
  first = vim.list_slice(first)
  if missing > 0 then
    table.insert(first, { (' '):rep(missing), 'DgLspRest' })
  end
  below[#below] = vim.list_slice(below[#below])
  table.insert(below[#below], { tail, 'DgLspRest' })
  return { first = first, position = 'overlay', below = below }
end

return M

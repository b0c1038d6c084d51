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

--- A draft as it is drawn, line by line: dots stand for tokens that are not decided. The text
--- that is inserted comes with the answer and has none.
---@param draft { text: string, confidence: [number, integer][], masked: [integer, integer][]? }
---@param encoding string The units of the lengths: 'utf-8', 'utf-16' or 'utf-32'.
---@return dg_lsp.Chunk[][]
function M.draft(draft, encoding)
  local drawn, from, units = { {} }, 0, 0
  local left = vim.deepcopy(draft.confidence)
  --- The runs of the next units.
  local function take(count)
    local runs = {}
    while count > 0 and left[1] do
      local size = math.min(count, left[1][2])
      runs[#runs + 1] = { left[1][1], size }
      left[1][2] = left[1][2] - size
      count = count - size
      if left[1][2] == 0 then
        table.remove(left, 1)
      end
    end
    return runs
  end
  local function append(lines)
    vim.list_extend(drawn[#drawn], lines[1])
    vim.list_extend(drawn, lines, 2)
  end
  for _, place in ipairs(draft.masked or {}) do
    local to = vim.str_byteindex(draft.text, encoding, place[1], false)
    append(M.lines(draft.text:sub(from + 1, to), take(place[1] - units), encoding))
    table.insert(drawn[#drawn], { ('·'):rep(place[2]), 'DgLspMasked' })
    from, units = to, place[1]
  end
  append(M.lines(draft.text:sub(from + 1), left, encoding))
  return drawn
end

--- The same lines, but what is not written is not shaded.
---@param lines dg_lsp.Chunk[][]
---@param written [integer, integer][] Byte offsets in the text of the lines, in order.
---@return dg_lsp.Chunk[][]
function M.only(lines, written)
  local drawn, at, next_part = {}, 0, 1
  for index, line in ipairs(lines) do
    drawn[index] = {}
    for _, chunk in ipairs(line) do
      local last = at + #chunk[1]
      while at < last do
        local part = written[next_part] or { last, last }
        local is_written = part[1] <= at
        local to = math.min(last, is_written and part[2] or part[1])
        if to > at then
          local piece = chunk[1]:sub(#chunk[1] - (last - at) + 1, #chunk[1] - (last - to))
          table.insert(drawn[index], { piece, is_written and chunk[2] or 'DgLspRest' })
        end
        at = to
        if is_written and to == part[2] then
          next_part = next_part + 1
        end
      end
    end
    -- The end of the line, which may be written too.
    at = at + 1
    while written[next_part] and written[next_part][2] <= at do
      next_part = next_part + 1
    end
  end
  return drawn
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

--- Takes texts apart and compares places, as pure functions without buffers or windows.
local M = {}

---@class dg_lsp.Place The position of a cursor and the text around it.
---@field row integer From 0.
---@field head string The line before the cursor.
---@field tail string The line after the cursor.
---@field count integer Lines of the buffer.

--- The lines of a text with any kind of line ends.
---@param text string
---@return string[]
function M.lines(text)
  return vim.split((text:gsub('\r\n?', '\n')), '\n', { plain = true })
end

--- The next word with the blanks before it: letters and digits, or a run of other characters.
---@param text string
---@return string
function M.first_word(text)
  local blanks = text:match('^%s*')
  local rest = text:sub(#blanks + 1)
  -- Bytes from 128 on are parts of non-ASCII characters, which all count as letters.
  local word = rest:match('^[%w_\128-\255]+') or rest:match('^[^%w%s_\128-\255]+') or ''
  return blanks .. word
end

--- The text up to the end of its line; a line end at the very start belongs to the next line.
---@param text string
---@return string
function M.first_line(text)
  local at = text:find('\n', 2, true)
  return at and text:sub(1, at - 1) or text
end

--- The whole text.
---@param text string
---@return string
function M.all(text)
  return text
end

--- A text as words and single other characters, one a line.
---@param text string
---@return string[] tokens, string joined
local function tokens(text)
  local found, at = {}, 1
  while at <= #text do
    local token = text:match('^[%w_]+', at) or text:match('^[\192-\255][\128-\191]*', at)
    token = token or text:sub(at, at)
    found[#found + 1] = token
    at = at + #token
  end
  return found, (table.concat(found, '\0'):gsub('\n', '\1'):gsub('%z', '\n')) .. '\n'
end

--- The parts of two texts, as byte offsets, that only one of them has: whole words, and other
--- characters.
---@param old string
---@param new string
---@return [integer, integer][] gone, [integer, integer][] written
function M.differing(old, new)
  local olds, old_lines = tokens(old)
  local news, new_lines = tokens(new)
  --- Where a token begins, by its number from 1.
  local function offsets(all)
    local ends = { 0 }
    for index, token in ipairs(all) do
      ends[index + 1] = ends[index] + #token
    end
    return ends
  end
  local old_at, new_at = offsets(olds), offsets(news)
  local gone, written = {}, {}
  local function note(parts, at, start, count)
    if count > 0 then
      parts[#parts + 1] = { at[start], at[start + count] }
    end
  end
  -- An empty text has no line.
  old_lines, new_lines = old == '' and '' or old_lines, new == '' and '' or new_lines
  -- Neovim before 0.12 has the other name.
  local diff = vim.text.diff or vim.diff
  for _, hunk in ipairs(diff(old_lines, new_lines, { result_type = 'indices' })) do
    note(gone, old_at, hunk[1], hunk[2])
    note(written, new_at, hunk[3], hunk[4])
  end
  return gone, written
end

--- The text typed between two places; nil if anything else has changed.
---@param before dg_lsp.Place
---@param now dg_lsp.Place
---@return string?
function M.typed(before, now)
  if
    now.row == before.row
    and now.count == before.count
    and now.tail == before.tail
    and vim.startswith(now.head, before.head)
  then
    return now.head:sub(#before.head + 1)
  end
end

return M

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

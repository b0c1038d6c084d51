--- Asks what else may stand in place of the word at the cursor, and replaces it.
local say = require('dg_lsp.say').say
local trace = require('dg_lsp.trace')

local api = vim.api
local M = {}

---@class dg_lsp.Alternative
---@field text string
---@field probability number

---@param one dg_lsp.Alternative
---@return string
local function label(one)
  return ('%3.0f%%  %s'):format(100 * one.probability, one.text)
end

--- Replace the word, as one undo step.
---@param client vim.lsp.Client
---@param bufnr integer
---@param answer { range: lsp.Range, version: integer }
---@param new string
local function replace(client, bufnr, answer, new)
  if vim.lsp.util.buf_versions[bufnr] ~= answer.version then
    say('the text has changed in the meantime; nothing was replaced')
    return
  end
  local range, row = answer.range, answer.range.start.line
  local line = api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1]
  local from = vim.str_byteindex(line, client.offset_encoding, range.start.character, false)
  local to = vim.str_byteindex(line, client.offset_encoding, range['end'].character, false)
  vim.cmd('let &undolevels = &undolevels')
  api.nvim_buf_set_text(bufnr, row, from, row, to, { new })
  trace.tell('Alternative', { buf = bufnr, text = new })
end

--- Let the user choose among the alternatives of the word at the cursor.
---@param client vim.lsp.Client
function M.choose(client)
  local bufnr = api.nvim_get_current_buf()
  if not vim.bo[bufnr].modifiable then
    say('this buffer cannot be changed (modifiable is off)')
    return
  end
  client:request('workspace/executeCommand', {
    command = 'dg-lsp.alternatives',
    arguments = {
      {
        uri = vim.uri_from_bufnr(bufnr),
        version = vim.lsp.util.buf_versions[bufnr],
        position = vim.lsp.util.make_position_params(0, client.offset_encoding).position,
      },
    },
  }, function(err, answer)
    if err or type(answer) ~= 'table' then
      say(err and err.message or 'the server does not know alternatives')
      return
    elseif #answer.alternatives == 0 or type(answer.range) ~= 'table' then
      say(answer.reason or 'there is no alternative', vim.log.levels.INFO)
      return
    end
    local own = type(answer.probability) == 'number'
        and (', itself %.0f%%'):format(100 * answer.probability)
      or ''
    vim.ui.select(answer.alternatives, {
      prompt = ('Instead of %s%s:'):format(answer.word, own),
      format_item = label,
      kind = 'dg_lsp.alternatives',
    }, function(chosen)
      if chosen and api.nvim_buf_is_valid(bufnr) then
        replace(client, bufnr, answer, chosen.text)
      end
    end)
  end, bufnr)
end

return M

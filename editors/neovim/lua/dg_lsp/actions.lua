--- Carries out the server's code actions: previews each one before anything changes.
local rewrite = require('dg_lsp.rewrite')
local say = require('dg_lsp.say').say
local status = require('dg_lsp.status')

local api = vim.api
local M = {}

--- The range of an action in bytes; nil if the text is not that of the current buffer.
---@param client vim.lsp.Client
---@param target table The argument of the command, see docs/lsp-extensions.md.
---@return dg_lsp.Selection?
local function selection(client, target)
  local is_here = target.uri == vim.uri_from_bufnr(0)
  if not is_here or target.version ~= vim.lsp.util.buf_versions[api.nvim_get_current_buf()] then
    say('the text has changed since the menu was opened; open it again')
    return
  end
  local function byte(position)
    local line = api.nvim_buf_get_lines(0, position.line, position.line + 1, false)[1] or ''
    return vim.str_byteindex(line, client.offset_encoding, position.character, false)
  end
  local from, to = target.range.start, target.range['end']
  local last = { row = to.line, col = byte(to) }
  if last.col == 0 and to.line > from.line then
    -- A selection of whole lines ends at the next line; its last line end is not rewritten.
    local line = api.nvim_buf_get_lines(0, to.line - 1, to.line, false)[1]
    last = { row = to.line - 1, col = #line }
  end
  return { row = from.line, col = byte(from), end_row = last.row, end_col = last.col }
end

--- Ask for an instruction and rewrite; without an instruction, the model varies the selection.
---@param client vim.lsp.Client
---@param selected dg_lsp.Selection
function M.ask(client, selected)
  local now = status.now()
  local is_deaf = now ~= nil and now.followsInstructions == false
  local prompt = 'How should it be rewritten? '
  if is_deaf then
    prompt = ('%s follows no instructions; leave this empty: '):format(now.model)
  end
  vim.ui.input({ prompt = prompt }, function(instruction)
    if instruction then
      rewrite.start(client, selected, instruction:find('%S') and instruction or nil)
    end
  end)
end

local watched = setmetatable({}, { __mode = 'k' }) ---@type table<vim.lsp.Client, true?>

--- Have the menu of code actions tell the server of every problem at its lines. Neovim tells a
--- server of its own diagnostics only, and ours has none.
---@param client vim.lsp.Client
function M.watch(client)
  if watched[client] then
    return
  end
  watched[client] = true
  local request = client.request
  ---@diagnostic disable-next-line: duplicate-set-field
  client.request = function(self, method, params, handler, bufnr)
    if method == 'textDocument/codeAction' and vim.tbl_isempty(params.context.diagnostics) then
      local first, last = params.range.start.line, params.range['end'].line
      local here = vim.tbl_filter(function(diagnostic)
        return diagnostic.lnum <= last and (diagnostic.end_lnum or diagnostic.lnum) >= first
      end, vim.diagnostic.get(bufnr or 0))
      params.context.diagnostics = vim.lsp.diagnostic.from(here)
    end
    return request(self, method, params, handler, bufnr)
  end
end

--- The commands that the server's code actions carry, in place of the server's own.
---@param here fun(): vim.lsp.Client? The client of the current buffer.
---@return table<string, fun(command: lsp.Command)>
function M.commands(here)
  local function on_selection(act)
    return function(command)
      local client, target = here(), command.arguments[1]
      local selected = client and selection(client, target)
      if selected then
        act(client, selected, target.instruction, target.holes)
      end
    end
  end
  return {
    ['dgLsp.askInstruction'] = on_selection(M.ask),
    ['dg-lsp.rewrite'] = on_selection(rewrite.start),
    ['dg-lsp.infill'] = on_selection(rewrite.start),
  }
end

return M

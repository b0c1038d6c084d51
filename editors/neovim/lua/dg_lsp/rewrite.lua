--- A rewrite of a selection: shown in place while it is written, then accepted, discarded or
--- tried again. The buffer changes on accepting and at no other time.
local config = require('dg_lsp.config')
local shading = require('dg_lsp.shading')
local text = require('dg_lsp.text')
local trace = require('dg_lsp.trace')

local api = vim.api
local M = {}

local namespace = api.nvim_create_namespace('dg_lsp.rewrite')

---@class dg_lsp.Rewrite
---@field bufnr integer
---@field client vim.lsp.Client
---@field mark integer The extmark that follows the selection.
---@field original string[]
---@field instruction string?
---@field seed integer
---@field token string
---@field request integer? While it is under way.
---@field written string[]? When it is done.
---@field keys table[] What the keys did before.

local active = {} ---@type table<integer, dg_lsp.Rewrite?>
local num_started = 0

---@param message string
---@param level? integer
local function say(message, level)
  vim.notify('dg-lsp: ' .. message, level or vim.log.levels.WARN)
end

--- Where the selection is by now, from 0, its end exclusive.
---@param rewrite dg_lsp.Rewrite
---@return integer, integer, integer, integer
local function region(rewrite)
  local mark =
    api.nvim_buf_get_extmark_by_id(rewrite.bufnr, namespace, rewrite.mark, { details = true })
  return mark[1], mark[2], mark[3].end_row, mark[3].end_col
end

---@param rewrite dg_lsp.Rewrite
---@return boolean
local function is_untouched(rewrite)
  local row, col, end_row, end_col = region(rewrite)
  local now = api.nvim_buf_get_text(rewrite.bufnr, row, col, end_row, end_col, {})
  return vim.deep_equal(now, rewrite.original)
end

---@param rewrite dg_lsp.Rewrite
---@param hint string
local function draw(rewrite, lines, hint)
  local row, col, end_row, end_col = region(rewrite)
  local head = api.nvim_buf_get_text(rewrite.bufnr, row, 0, row, col, {})[1]
  local tail = api.nvim_buf_get_text(rewrite.bufnr, end_row, end_col, end_row, -1, {})[1]
  local below = {}
  for index, line in ipairs(lines) do
    local chunks = vim.list_slice(line)
    if index == 1 and head ~= '' then
      table.insert(chunks, 1, { head, 'DgLspRest' })
    end
    if index == #lines and tail ~= '' then
      table.insert(chunks, { tail, 'DgLspRest' })
    end
    below[#below + 1] = #chunks > 0 and chunks or { { ' ', 'DgLspRest' } }
  end
  below[#below + 1] = { { hint, 'DgLspHint' } }
  api.nvim_buf_set_extmark(rewrite.bufnr, namespace, row, col, {
    id = rewrite.mark,
    end_row = end_row,
    end_col = end_col,
    hl_group = 'DgLspReplaced',
    virt_lines = below,
  })
end

---@param rewrite dg_lsp.Rewrite
local function finish(rewrite)
  active[rewrite.bufnr] = nil
  if rewrite.request then
    rewrite.client:cancel_request(rewrite.request)
  end
  if not api.nvim_buf_is_valid(rewrite.bufnr) then
    return
  end
  api.nvim_buf_clear_namespace(rewrite.bufnr, namespace, 0, -1)
  for _, key in ipairs(rewrite.keys) do
    pcall(vim.keymap.del, 'n', key.lhs, { buffer = rewrite.bufnr })
    if key.before then
      api.nvim_buf_call(rewrite.bufnr, function()
        vim.fn.mapset('n', false, key.before)
      end)
    end
  end
end

---@param rewrite dg_lsp.Rewrite
local function map_keys(rewrite)
  for action, lhs in pairs(config.now.rewrite_keys) do
    if lhs then
      local before = api.nvim_buf_call(rewrite.bufnr, function()
        return vim.fn.maparg(lhs, 'n', false, true)
      end)
      before = before.buffer == 1 and before or nil
      table.insert(rewrite.keys, { lhs = lhs, before = before })
      vim.keymap.set('n', lhs, function()
        M[action](rewrite.bufnr)
      end, { buffer = rewrite.bufnr, desc = 'dg-lsp: ' .. action .. ' the rewrite' })
    end
  end
end

---@return string
local function hint()
  local parts = {}
  for _, action in ipairs({ 'accept', 'discard', 'retry' }) do
    local lhs = config.now.rewrite_keys[action]
    parts[#parts + 1] = (lhs or (':DgLsp ' .. action)) .. ' ' .. action
  end
  return table.concat(parts, ', ')
end

--- The selection with the edit of the answer in it; nil where the edit is for another text.
---@param rewrite dg_lsp.Rewrite
---@param edit lsp.WorkspaceEdit
---@return string[]?
local function written(rewrite, edit)
  local change = edit.documentChanges and edit.documentChanges[1]
  local edits = change and change.edits or (edit.changes or {})[vim.uri_from_bufnr(rewrite.bufnr)]
  if change and change.textDocument.version ~= vim.lsp.util.buf_versions[rewrite.bufnr] then
    return nil
  end
  local one = edits and edits[1]
  if not one then
    return rewrite.original
  end
  local row, col, end_row, end_col = region(rewrite)
  local function byte(position)
    local line = api.nvim_buf_get_lines(rewrite.bufnr, position.line, position.line + 1, false)[1]
    return vim.str_byteindex(line or '', rewrite.client.offset_encoding, position.character, false)
  end
  local from, to = one.range.start, one.range['end']
  local before = api.nvim_buf_get_text(rewrite.bufnr, row, col, from.line, byte(from), {})
  local after = api.nvim_buf_get_text(rewrite.bufnr, to.line, byte(to), end_row, end_col, {})
  return text.lines(table.concat(before, '\n') .. one.newText .. table.concat(after, '\n'))
end

---@param rewrite dg_lsp.Rewrite
---@param err lsp.ResponseError?
---@param action lsp.CodeAction?
local function answered(rewrite, err, action)
  rewrite.request = nil
  if active[rewrite.bufnr] ~= rewrite then
    return
  end
  if err or not action or not action.edit then
    finish(rewrite)
    say(err and err.message or 'the server wrote nothing')
    trace.tell('Rewrite', { buf = rewrite.bufnr, state = 'failed' })
    return
  end
  rewrite.written = is_untouched(rewrite) and written(rewrite, action.edit) or nil
  if not rewrite.written then
    finish(rewrite)
    say('the selection has changed in the meantime; nothing was rewritten')
    trace.tell('Rewrite', { buf = rewrite.bufnr, state = 'failed' })
    return
  end
  local lines = {}
  for index, line in ipairs(rewrite.written) do
    lines[index] = line ~= '' and { { line, 'DgLspDraft4' } } or {}
  end
  draw(rewrite, lines, hint())
  trace.note('%s: written', rewrite.token)
  trace.tell('Rewrite', { buf = rewrite.bufnr, state = 'written' })
end

---@param rewrite dg_lsp.Rewrite
local function ask(rewrite)
  num_started = num_started + 1
  rewrite.token = 'rewrite-' .. num_started
  rewrite.written = nil
  local row, col, end_row, end_col = region(rewrite)
  local function position(at_row, at_col)
    local line = api.nvim_buf_get_lines(rewrite.bufnr, at_row, at_row + 1, false)[1]
    local units = vim.str_utfindex(line, rewrite.client.offset_encoding, at_col)
    return { line = at_row, character = units }
  end
  local target = {
    uri = vim.uri_from_bufnr(rewrite.bufnr),
    version = vim.lsp.util.buf_versions[rewrite.bufnr],
    range = { start = position(row, col), ['end'] = position(end_row, end_col) },
    instruction = rewrite.instruction,
    seed = rewrite.seed,
    token = rewrite.token,
  }
  draw(rewrite, {}, 'writing, ' .. hint())
  local _, request = rewrite.client:request('codeAction/resolve', {
    title = 'Rewrite selection',
    kind = 'refactor.rewrite',
    data = target,
  }, function(err, action)
    if rewrite.token == target.token then
      answered(rewrite, err, action)
    end
  end, rewrite.bufnr)
  rewrite.request = request
  trace.note('%s: asked', rewrite.token)
end

---@class dg_lsp.Selection From 0, its end exclusive.
---@field row integer
---@field col integer
---@field end_row integer
---@field end_col integer

--- Begin to rewrite a selection of the current buffer; without words it is written anew.
---@param client vim.lsp.Client
---@param selection dg_lsp.Selection
---@param instruction string?
function M.start(client, selection, instruction)
  local bufnr = api.nvim_get_current_buf()
  if not vim.bo[bufnr].modifiable then
    say('this buffer cannot be changed (modifiable is off)')
    return
  end
  M.discard(bufnr)
  local original = api.nvim_buf_get_text(
    bufnr,
    selection.row,
    selection.col,
    selection.end_row,
    selection.end_col,
    {}
  )
  if not table.concat(original):find('%S') then
    say('the selection holds nothing but blanks')
    return
  end
  -- Virtual lines are not drawn in a closed fold.
  vim.cmd(('silent! %d,%dfoldopen!'):format(selection.row + 1, selection.end_row + 1))
  local rewrite = {
    bufnr = bufnr,
    client = client,
    mark = api.nvim_buf_set_extmark(bufnr, namespace, selection.row, selection.col, {
      end_row = selection.end_row,
      end_col = selection.end_col,
    }),
    original = original,
    instruction = instruction,
    seed = 0,
    keys = {},
  }
  active[bufnr] = rewrite
  map_keys(rewrite)
  ask(rewrite)
  trace.tell('Rewrite', { buf = bufnr, state = 'started' })
end

--- A draft for a rewrite; whether it was one.
---@param params table `dgLsp/draft`
---@return boolean
function M.take_draft(params)
  for _, rewrite in pairs(active) do
    if rewrite.token == params.token then
      if not rewrite.written and is_untouched(rewrite) then
        local encoding = rewrite.client.offset_encoding
        local lines = shading.lines(params.text, params.confidence, encoding)
        draw(rewrite, lines, ('step %d, %s'):format(params.step, hint()))
        trace.tell('Draft', {
          buf = rewrite.bufnr,
          step = params.step,
          steps = params.stepsAllowed,
        })
      end
      return true
    end
  end
  return false
end

--- Put what was written in place of the selection, as one step of undo.
---@param bufnr? integer
function M.accept(bufnr)
  local rewrite = active[bufnr or api.nvim_get_current_buf()]
  if not rewrite then
    say('nothing is being rewritten here')
  elseif not rewrite.written then
    say('it is still being written', vim.log.levels.INFO)
  elseif not is_untouched(rewrite) then
    finish(rewrite)
    say('the selection has changed in the meantime; nothing was rewritten')
  else
    local row, col, end_row, end_col = region(rewrite)
    finish(rewrite)
    vim.cmd('let &undolevels = &undolevels')
    api.nvim_buf_set_text(rewrite.bufnr, row, col, end_row, end_col, rewrite.written)
    trace.tell('Rewrite', { buf = rewrite.bufnr, state = 'accepted' })
  end
end

--- Leave the selection as it is; false where nothing was being rewritten.
---@param bufnr? integer
---@return boolean
function M.discard(bufnr)
  local rewrite = active[bufnr or api.nvim_get_current_buf()]
  if not rewrite then
    return false
  end
  finish(rewrite)
  trace.tell('Rewrite', { buf = rewrite.bufnr, state = 'discarded' })
  return true
end

--- Have it written once more, otherwise.
---@param bufnr? integer
function M.retry(bufnr)
  local rewrite = active[bufnr or api.nvim_get_current_buf()]
  if not rewrite then
    say('nothing is being rewritten here')
  elseif not is_untouched(rewrite) then
    finish(rewrite)
    say('the selection has changed in the meantime; nothing was rewritten')
  else
    if rewrite.request then
      rewrite.client:cancel_request(rewrite.request)
    end
    rewrite.seed = rewrite.seed + 1
    ask(rewrite)
  end
end

return M

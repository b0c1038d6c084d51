--- Rewrites a selection: shows the text in place while it is written, until the user accepts it,
--- discards it or tries again. The buffer changes only when the user accepts.
local config = require('dg_lsp.config')
local keys = require('dg_lsp.keys')
local preview = require('dg_lsp.preview')
local progress = require('dg_lsp.progress')
local say = require('dg_lsp.say').say
local shading = require('dg_lsp.shading')
local text = require('dg_lsp.text')
local trace = require('dg_lsp.trace')

local api = vim.api
local M = {}

---@class dg_lsp.Attempt
---@field lines string[]
---@field warning string? What is wrong with them.

---@class dg_lsp.Rewrite
---@field bufnr integer
---@field client vim.lsp.Client
---@field preview dg_lsp.Preview
---@field original string[]
---@field instruction string?
---@field seed integer
---@field attempts dg_lsp.Attempt[] Those so far that have written something.
---@field token string
---@field request integer? While it is under way.
---@field progress dg_lsp.Progress?
---@field written string[]? When it is done.
---@field warning string? What is wrong with it.
---@field keys table[] What the keys did before.

local active = {} ---@type table<integer, dg_lsp.Rewrite?>
local num_started = 0

---@param rewrite dg_lsp.Rewrite
---@return boolean
local function is_untouched(rewrite)
  return vim.deep_equal(preview.selected(rewrite.preview), rewrite.original)
end

--- The keys for the rewrite that is shown.
---@return string
local function hint()
  local parts = {}
  for _, action in ipairs({ 'accept', 'discard', 'retry' }) do
    local lhs = config.now.rewrite_keys[action]
    parts[#parts + 1] = (lhs or (':DgLsp ' .. action)) .. ' ' .. action
  end
  return table.concat(parts, ', ')
end

---@param rewrite dg_lsp.Rewrite
---@param lines dg_lsp.Chunk[][]
---@param note? string Stands before the keys.
local function draw(rewrite, lines, note)
  local notes = { { { (note and note .. ', ' or '') .. hint(), 'DgLspHint' } } }
  if rewrite.warning then
    table.insert(notes, 1, { { 'Warning: ' .. rewrite.warning, 'DgLspWarning' } })
  end
  preview.draw(rewrite.preview, lines, notes)
end

--- Clean up after a request that has ended or whose result is no longer needed.
---@param rewrite dg_lsp.Rewrite
local function rest(rewrite)
  if rewrite.request then
    rewrite.client:cancel_request(rewrite.request)
    rewrite.request = nil
  end
  progress.done(rewrite.progress)
end

---@param rewrite dg_lsp.Rewrite
local function finish(rewrite)
  active[rewrite.bufnr] = nil
  rest(rewrite)
  preview.close(rewrite.preview)
  if not api.nvim_buf_is_valid(rewrite.bufnr) then
    return
  end
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
---@param message string
local function fail(rewrite, message)
  finish(rewrite)
  say(message)
  trace.tell('Rewrite', { buf = rewrite.bufnr, state = 'failed' })
end

local MOVED = 'the selection has changed in the meantime; nothing was rewritten'

--- The keys act on the rewrite while the cursor is in it; elsewhere they do what they did before.
---@param rewrite dg_lsp.Rewrite
local function map_keys(rewrite)
  for action, lhs in pairs(config.now.rewrite_keys) do
    if lhs then
      local before = api.nvim_buf_call(rewrite.bufnr, function()
        return vim.fn.maparg(lhs, 'n', false, true)
      end)
      table.insert(rewrite.keys, { lhs = lhs, before = before.buffer == 1 and before or nil })
      vim.keymap.set('n', lhs, function()
        if preview.has_cursor(rewrite.preview) then
          M[action](rewrite.bufnr)
        else
          keys.run(before, lhs)
        end
      end, { buffer = rewrite.bufnr, desc = 'dg-lsp: ' .. action .. ' the rewrite' })
    end
  end
end

--- The selection with the answer's edit applied; nil if the edit is for another text.
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
  local row, col, end_row, end_col = preview.region(rewrite.preview)
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
---@param attempt dg_lsp.Attempt
local function show(rewrite, attempt)
  rewrite.written, rewrite.warning = attempt.lines, attempt.warning
  local lines = {}
  for index, line in ipairs(attempt.lines) do
    lines[index] = line ~= '' and { { line, 'DgLspDraft4' } } or {}
  end
  draw(rewrite, lines)
  trace.note('%s: written', rewrite.token)
  trace.tell('Rewrite', { buf = rewrite.bufnr, state = 'written' })
end

---@param rewrite dg_lsp.Rewrite
---@param err lsp.ResponseError?
---@param action lsp.CodeAction?
local function answered(rewrite, err, action)
  rewrite.request = nil
  rest(rewrite)
  if not is_untouched(rewrite) then
    fail(rewrite, MOVED)
    return
  end
  if err or not action or not action.edit then
    local message = err and err.message or 'the model wrote nothing'
    local last = rewrite.attempts[#rewrite.attempts]
    if last then
      say(message)
      show(rewrite, last)
    else
      fail(rewrite, message)
    end
    return
  end
  local lines = written(rewrite, action.edit)
  if not lines then
    fail(rewrite, MOVED)
    return
  end
  local warning = type(action.data) == 'table' and action.data.warning
  local attempt = { lines = lines, warning = type(warning) == 'string' and warning or nil }
  table.insert(rewrite.attempts, attempt)
  show(rewrite, attempt)
end

---@param rewrite dg_lsp.Rewrite
local function ask(rewrite)
  num_started = num_started + 1
  local token = 'rewrite-' .. num_started
  rewrite.token = token
  rewrite.written, rewrite.warning = nil, nil
  local row, col, end_row, end_col = preview.region(rewrite.preview)
  local function position(at_row, at_col)
    local line = api.nvim_buf_get_lines(rewrite.bufnr, at_row, at_row + 1, false)[1]
    local units = vim.str_utfindex(line, rewrite.client.offset_encoding, at_col)
    return { line = at_row, character = units }
  end
  draw(rewrite, {}, 'writing')
  rewrite.progress = progress.begin(rewrite.client.id, 'dg-lsp-' .. token, 'dg-lsp: rewriting')
  local _, request = rewrite.client:request('codeAction/resolve', {
    title = 'Rewrite selection',
    kind = 'refactor.rewrite',
    data = {
      uri = vim.uri_from_bufnr(rewrite.bufnr),
      version = vim.lsp.util.buf_versions[rewrite.bufnr],
      range = { start = position(row, col), ['end'] = position(end_row, end_col) },
      instruction = rewrite.instruction,
      seed = rewrite.seed,
      shown = vim.tbl_map(function(attempt)
        return table.concat(attempt.lines, '\n')
      end, rewrite.attempts),
      token = token,
    },
  }, function(err, action)
    if active[rewrite.bufnr] == rewrite and rewrite.token == token then
      answered(rewrite, err, action)
    end
  end, rewrite.bufnr)
  rewrite.request = request
  trace.note('%s: asked', token)
end

--- Rewrite a selection of the current buffer, or fill an empty one; the instruction is optional.
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
  local shown = preview.open(bufnr, selection)
  local original = preview.selected(shown)
  local is_fill = #original == 1 and original[1] == ''
  if not is_fill and not table.concat(original):find('%S') then
    preview.close(shown)
    say('the selection holds nothing but blanks')
    return
  end
  if api.nvim_get_mode().mode:find('^[vV\22]') then
    -- The keys for a rewrite are Normal mode keys.
    vim.cmd.normal({ '\27', bang = true })
  end
  local rewrite = {
    bufnr = bufnr,
    client = client,
    preview = shown,
    original = original,
    instruction = instruction,
    seed = 0,
    attempts = {},
    keys = {},
  }
  active[bufnr] = rewrite
  map_keys(rewrite)
  ask(rewrite)
  trace.tell('Rewrite', { buf = bufnr, state = 'started' })
end

--- Show a draft if it belongs to a rewrite; return whether it does.
---@param params table `dgLsp/draft`
---@return boolean
function M.take_draft(params)
  for _, rewrite in pairs(active) do
    if rewrite.token == params.token then
      if not rewrite.written and is_untouched(rewrite) then
        local encoding = rewrite.client.offset_encoding
        local lines = shading.draft(params, encoding)
        draw(rewrite, lines, progress.report(rewrite.progress, params))
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

--- The rewrite of a buffer; if there is none, the user is told so.
---@param bufnr integer?
---@return dg_lsp.Rewrite?
local function pending(bufnr)
  local rewrite = active[bufnr or api.nvim_get_current_buf()]
  if not rewrite then
    say('nothing is being rewritten here')
  end
  return rewrite
end

--- Replace the selection with the rewrite, as one undo step.
---@param bufnr? integer
function M.accept(bufnr)
  local rewrite = pending(bufnr)
  if not rewrite then
    return
  elseif not rewrite.written then
    say('it is still being written', vim.log.levels.INFO)
  elseif not is_untouched(rewrite) then
    fail(rewrite, MOVED)
  else
    local row, col, end_row, end_col = preview.region(rewrite.preview)
    finish(rewrite)
    vim.cmd('let &undolevels = &undolevels')
    api.nvim_buf_set_text(rewrite.bufnr, row, col, end_row, end_col, rewrite.written)
    trace.tell('Rewrite', { buf = rewrite.bufnr, state = 'accepted' })
  end
end

--- Discard the rewrite; false if there is none.
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

--- Try again, for another text.
---@param bufnr? integer
function M.retry(bufnr)
  local rewrite = pending(bufnr)
  if not rewrite then
    return
  elseif not is_untouched(rewrite) then
    fail(rewrite, MOVED)
  else
    rest(rewrite)
    rewrite.seed = rewrite.seed + 1
    ask(rewrite)
  end
end

return M

--- Rewrites a selection: shows the text in place while it is written, until the user accepts it,
--- discards it or tries again. The buffer changes only when the user accepts.
local attempts = require('dg_lsp.attempts')
local inserted = require('dg_lsp.inserted')
local parts = require('dg_lsp.parts')
local preview = require('dg_lsp.preview')
local progress = require('dg_lsp.progress')
local proposal = require('dg_lsp.proposal')
local rewrite_keys = require('dg_lsp.rewrite_keys')
local say = require('dg_lsp.say').say
local shading = require('dg_lsp.shading')
local steps = require('dg_lsp.steps')
local strength = require('dg_lsp.strength')
local text = require('dg_lsp.text')
local trace = require('dg_lsp.trace')

local api = vim.api
local M = {}

---@class dg_lsp.Rewrite
---@field bufnr integer
---@field client vim.lsp.Client
---@field preview dg_lsp.Preview
---@field original string[]
---@field pinned [integer, integer][]? Parts of the original that stay, as byte offsets.
---@field instruction string?
---@field holes boolean? Whether only the marks in it are filled.
---@field seed integer
---@field strength number
---@field attempts dg_lsp.Attempt[] Those so far that have written something.
---@field token string
---@field request integer? While it is under way.
---@field progress dg_lsp.Progress?
---@field written string[]? When it is done.
---@field warning string? What is wrong with it.
---@field drawn dg_lsp.Chunk[][] What stands below the selection.
---@field run string Whose steps the user can walk through.
---@field steps dg_lsp.Steps
---@field at integer? The step that is drawn; nil if it is what was written last.
---@field keys table[] What the keys did before.

local active = {} ---@type table<integer, dg_lsp.Rewrite?>
local num_started = 0

--- Whether it starts from a text, of which more or less can become noise.
---@param rewrite dg_lsp.Rewrite
---@return boolean
local function has_strength(rewrite)
  return not rewrite.holes
    and not rewrite.pinned
    and table.concat(rewrite.original):find('%S') ~= nil
end

---@param rewrite dg_lsp.Rewrite
---@return boolean
local function is_untouched(rewrite)
  return vim.deep_equal(preview.selected(rewrite.preview), rewrite.original)
end

---@param rewrite dg_lsp.Rewrite
---@param lines dg_lsp.Chunk[][]
---@param note? string Stands before the keys.
local function draw(rewrite, lines, note)
  rewrite.drawn = lines
  if (rewrite.holes or rewrite.pinned) and is_untouched(rewrite) then
    lines = parts.mark(rewrite.preview, rewrite.original, rewrite.pinned, lines)
  end
  local count = #steps.of(rewrite.steps, rewrite.run)
  local step = rewrite.written
    and count > 0
    and ('%d/%d'):format(rewrite.at or count + 1, count + 1)
  local percent = has_strength(rewrite) and strength.percent(rewrite.strength) or nil
  local hint = rewrite_keys.hint(percent, step or nil)
  local notes = { { { (note and note .. ', ' or '') .. hint, 'DgLspHint' } } }
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
  if api.nvim_buf_is_valid(rewrite.bufnr) then
    rewrite_keys.unmap(rewrite.bufnr, rewrite.keys)
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

---@param rewrite dg_lsp.Rewrite
---@param attempt dg_lsp.Attempt
local function show(rewrite, attempt)
  rewrite.written, rewrite.warning, rewrite.at = attempt.lines, attempt.warning, nil
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
      rewrite.strength, rewrite.run = last.strength, last.run
      show(rewrite, last)
    else
      fail(rewrite, message)
    end
    return
  end
  local lines = proposal.lines(rewrite.client, rewrite.preview, rewrite.original, action.edit)
  if not lines then
    fail(rewrite, MOVED)
    return
  end
  local warning = type(action.data) == 'table' and action.data.warning
  local attempt = {
    lines = lines,
    warning = type(warning) == 'string' and warning or nil,
    confidence = type(action.data) == 'table' and action.data.confidence or nil,
    seed = rewrite.seed,
    strength = rewrite.strength,
    run = rewrite.run,
  }
  rewrite.attempts = attempts.with(rewrite.attempts, attempt)
  steps.finish(rewrite.steps, rewrite.run, table.concat(lines, '\n'))
  show(rewrite, attempt)
end

---@param rewrite dg_lsp.Rewrite
local function ask(rewrite)
  num_started = num_started + 1
  local token = 'rewrite-' .. num_started
  rewrite.token = token
  rewrite.written, rewrite.warning, rewrite.at = nil, nil, nil
  rewrite.run = ('%d %.1f'):format(rewrite.seed, rewrite.strength)
  steps.begin(rewrite.steps)
  local row, col, end_row, end_col = preview.region(rewrite.preview)
  local function position(at_row, at_col)
    local line = api.nvim_buf_get_lines(rewrite.bufnr, at_row, at_row + 1, false)[1]
    local units = vim.str_utfindex(line, rewrite.client.offset_encoding, at_col)
    return { line = at_row, character = units }
  end
  draw(rewrite, rewrite.drawn, 'writing')
  rewrite.progress = progress.begin(rewrite.client.id, 'dg-lsp-' .. token, 'dg-lsp: rewriting')
  local _, request = rewrite.client:request('codeAction/resolve', {
    title = 'Rewrite selection',
    kind = 'refactor.rewrite',
    data = {
      uri = vim.uri_from_bufnr(rewrite.bufnr),
      version = vim.lsp.util.buf_versions[rewrite.bufnr],
      range = { start = position(row, col), ['end'] = position(end_row, end_col) },
      instruction = rewrite.instruction,
      holes = rewrite.holes,
      seed = rewrite.seed,
      strength = rewrite.strength,
      shown = attempts.shown(rewrite.attempts, rewrite.seed),
      token = token,
      pinned = rewrite.pinned and vim.tbl_map(function(part)
        local original = table.concat(rewrite.original, '\n')
        return {
          start = position(inserted.place(row, col, original, part[1])),
          ['end'] = position(inserted.place(row, col, original, part[2])),
        }
      end, rewrite.pinned),
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
---@param holes boolean? Whether only the marks in the selection are filled.
---@param pinned? [integer, integer][] Parts that stay, as byte offsets in the selected text.
function M.start(client, selection, instruction, holes, pinned)
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
    holes = holes,
    pinned = pinned,
    seed = 0,
    strength = strength.USUAL,
    attempts = {},
    drawn = {},
    run = '',
    steps = steps.new(),
    keys = {},
  }
  active[bufnr] = rewrite
  rewrite.keys = rewrite_keys.map(bufnr, function()
    return preview.has_cursor(shown)
  end, function(action)
    M[action](bufnr)
  end)
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
        local is_whole = #(params.masked or {}) == 0 and not params.text:find('\u{FFFD}', 1, true)
        local step = { lines = lines, text = params.text, is_whole = is_whole }
        steps.add(rewrite.steps, rewrite.run, step)
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

--- Replace the selection with what is shown, as one undo step.
---@param bufnr? integer
function M.accept(bufnr)
  local rewrite = pending(bufnr)
  if not rewrite then
    return
  end
  local step = rewrite.at and steps.of(rewrite.steps, rewrite.run)[rewrite.at]
  if not rewrite.written then
    say('it is still being written', vim.log.levels.INFO)
  elseif not is_untouched(rewrite) then
    fail(rewrite, MOVED)
  elseif step and not step.is_whole then
    say('this step has gaps; accept a later one')
  else
    local row, col, end_row, end_col = preview.region(rewrite.preview)
    finish(rewrite)
    vim.cmd('let &undolevels = &undolevels')
    local lines = step and text.lines(step.text) or rewrite.written
    api.nvim_buf_set_text(rewrite.bufnr, row, col, end_row, end_col, lines)
    local last = not step and rewrite.attempts[#rewrite.attempts] or {}
    local encoding = rewrite.client.offset_encoding
    local whole = table.concat(lines, '\n')
    inserted.note(rewrite.bufnr, row, col, whole, last.confidence, encoding)
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

--- Ask for a text, unless the selection was edited.
---@param rewrite dg_lsp.Rewrite
local function ask_again(rewrite)
  if not is_untouched(rewrite) then
    fail(rewrite, MOVED)
  else
    rest(rewrite)
    ask(rewrite)
  end
end

--- Try again, for another text.
---@param bufnr? integer
function M.retry(bufnr)
  local rewrite = pending(bufnr)
  if rewrite then
    rewrite.seed = rewrite.seed + 1
    ask_again(rewrite)
  end
end

--- Turn the strength, for the text that the same seed gives there.
---@param bufnr integer?
---@param by 1|-1
local function turn(bufnr, by)
  local rewrite = pending(bufnr)
  if not rewrite then
    return
  elseif not has_strength(rewrite) then
    local start = rewrite.pinned and 'what is around a word that stays starts as it is'
      or 'what is filled starts as noise'
    say(start .. '; it has no strength', vim.log.levels.INFO)
    return
  end
  local turned = strength.turned(rewrite.strength, by)
  if turned ~= rewrite.strength then
    rewrite.strength = turned
    ask_again(rewrite)
  end
end

---@param bufnr? integer
function M.freer(bufnr)
  turn(bufnr, 1)
end

---@param bufnr? integer
function M.closer(bufnr)
  turn(bufnr, -1)
end

--- Draw the step after or before the one that is drawn; the last one is the rewrite.
---@param bufnr integer?
---@param by 1|-1
local function walk(bufnr, by)
  local rewrite = pending(bufnr)
  if not rewrite or not rewrite.written then
    return
  elseif not is_untouched(rewrite) then
    fail(rewrite, MOVED)
    return
  end
  local all = steps.of(rewrite.steps, rewrite.run)
  local at = math.max(1, (rewrite.at or #all + 1) + by)
  if all[at] then
    rewrite.at, rewrite.warning = at, nil
    draw(rewrite, all[at].lines)
  else
    show(rewrite, rewrite.attempts[#rewrite.attempts])
  end
end

---@param bufnr? integer
function M.earlier(bufnr)
  walk(bufnr, -1)
end

---@param bufnr? integer
function M.later(bufnr)
  walk(bufnr, 1)
end

return M

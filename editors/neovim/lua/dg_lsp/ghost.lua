--- Ghost text: mediates between Neovim's own inline completion and the server.
---
--- Neovim sends the requests, draws the ghost text and keeps the selected item. This module adds
--- our parameters to the requests and drops answers that come too late. It keeps each answer, so
--- that ghost text follows every typed character and disappears at the first one that disagrees.
--- It passes items to Neovim only through the handler that came with Neovim's request.
local config = require('dg_lsp.config')
local doubt = require('dg_lsp.doubt')
local drafts = require('dg_lsp.drafts')
local inserted = require('dg_lsp.inserted')
local insertion = require('dg_lsp.insertion')
local items = require('dg_lsp.items')
local menu = require('dg_lsp.menu')
local say = require('dg_lsp.say').say
local shading = require('dg_lsp.shading')
local status = require('dg_lsp.status')
local text = require('dg_lsp.text')
local trace = require('dg_lsp.trace')

local api = vim.api
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2

---@class dg_lsp.Asked The newest request of a buffer, until it is answered.
---@field token string
---@field place dg_lsp.Place
---@field started integer
---@field cycle integer? Set for a request by hand: how many candidates to advance afterwards.

---@class dg_lsp.Channel How to send another request, and how to make Neovim show items.
---@field client vim.lsp.Client
---@field request function
---@field handler lsp.Handler

---@class dg_lsp.Shown: dg_lsp.Answer The part of an answer that Neovim shows.
---@field is_taken? true It is about to be accepted, and must not change until then.

local asked = {} ---@type table<integer, dg_lsp.Asked?>
local shown = {} ---@type table<integer, dg_lsp.Shown?>
local channels = {} ---@type table<integer, dg_lsp.Channel?>
local insists = {} ---@type table<integer, integer?> The `cycle` of requests by hand, until sent.
local watched = setmetatable({}, { __mode = 'k' }) ---@type table<vim.lsp.Client, true?>
local held = {} ---@type table<integer, dg_lsp.Place?> Where a menu prevented ghost text.
local num_asked = 0

---@return boolean
local function is_inserting()
  return vim.startswith(api.nvim_get_mode().mode, 'i')
end

--- The place of the cursor; the buffer must be the current one.
---@param bufnr integer
---@return dg_lsp.Place
local function place_now(bufnr)
  local row, col = unpack(api.nvim_win_get_cursor(0))
  local line = api.nvim_get_current_line()
  return {
    row = row - 1,
    head = line:sub(1, col),
    tail = line:sub(col + 1),
    count = api.nvim_buf_line_count(bufnr),
  }
end

--- Why no ghost text may be requested at the moment; nil if it may.
---@return string?
local function reason_for_silence()
  if vim.fn.reg_recording() ~= '' or vim.fn.reg_executing() ~= '' then
    return 'a macro'
  elseif config.now.menu == 'hide' and menu.is_open() then
    return 'a menu is open'
  end
end

--- Make Neovim show exactly these items.
---@param bufnr integer
---@param wanted lsp.InlineCompletionItem[]
local function feed(bufnr, wanted)
  local channel = channels[bufnr]
  if channel then
    local ctx = { client_id = channel.client.id, bufnr = bufnr, method = METHOD }
    channel.handler(nil, { items = wanted }, ctx)
  end
end

---@param bufnr integer
local function hide(bufnr)
  if shown[bufnr] then
    shown[bufnr] = nil
    feed(bufnr, {})
  end
end

--- Handle the server's answer to a request that `ask` sent.
---@param bufnr integer
---@param mine dg_lsp.Asked
---@param err lsp.ResponseError?
---@param result { items: lsp.InlineCompletionItem[] }?
local function answered(bufnr, mine, err, result)
  local took = (vim.uv.hrtime() - mine.started) / 1e6
  if asked[bufnr] ~= mine then
    trace.note('%s: %.0f ms, too late', mine.token, took)
    return
  end
  asked[bufnr] = nil
  local channel = channels[bufnr]
  if not channel or not api.nvim_buf_is_valid(bufnr) or api.nvim_get_current_buf() ~= bufnr then
    return
  end
  drafts.clear(bufnr)
  if err then
    trace.note('%s: %.0f ms, error %s', mine.token, took, err.code)
    hide(bufnr)
    return
  end
  local now = place_now(bufnr)
  local reason = reason_for_silence()
  if reason then
    trace.note('%s: %.0f ms, not shown: %s', mine.token, took, reason)
    held[bufnr] = now
    hide(bufnr)
    return
  end
  local answer = { place = mine.place, items = result and result.items or {}, index = 1 }
  local left = is_inserting() and items.left(answer, now, channel.client.offset_encoding) or {}
  trace.note('%s: %.0f ms, %d shown of %d', mine.token, took, #left, #answer.items)
  shown[bufnr] = #left > 0 and { place = now, items = left, index = 1 } or nil
  feed(bufnr, left)
  if mine.cycle then
    if #left == 0 then
      say(status.reason(), vim.log.levels.INFO)
    elseif mine.cycle ~= 0 and #left == 1 then
      say('there is no other candidate', vim.log.levels.INFO)
    elseif mine.cycle ~= 0 then
      M.cycle(mine.cycle)
    end
  end
  trace.tell('Shown', { buf = bufnr, candidates = #left })
end

--- Send Neovim's request for ghost text with our parameters; replaces `client:request`.
---@param channel dg_lsp.Channel
---@param params lsp.InlineCompletionParams
---@param bufnr integer
local function ask(channel, params, bufnr)
  local cycle = insists[bufnr]
  insists[bufnr] = nil
  channels[bufnr] = channel
  local reason = reason_for_silence()
  if reason or not is_inserting() then
    trace.note('not asked: %s', reason or 'not in insert mode')
    held[bufnr] = place_now(bufnr)
    hide(bufnr)
    if cycle and reason then
      say(('nothing is suggested here: %s'):format(reason), vim.log.levels.INFO)
    end
    return true
  end
  held[bufnr] = nil
  M.refresh(bufnr)
  num_asked = num_asked + 1
  local mine = {
    token = 'ghost-' .. num_asked,
    place = place_now(bufnr),
    started = vim.uv.hrtime(),
    cycle = cycle,
  }
  asked[bufnr] = mine
  params.draftToken = mine.token
  params.textDocument.version = vim.lsp.util.buf_versions[bufnr]
  params.formattingOptions = {
    tabSize = vim.lsp.util.get_effective_tabstop(bufnr),
    insertSpaces = vim.bo[bufnr].expandtab,
  }
  if cycle then
    params.context.triggerKind = INVOKED
  end
  trace.note('%s: asked%s', mine.token, cycle and ' by hand' or '')
  return channel.request(channel.client, METHOD, params, function(err, result)
    answered(bufnr, mine, err, result)
  end, bufnr)
end

--- Send the request that Neovim would send, but immediately.
---@param channel dg_lsp.Channel
---@param bufnr integer
---@param trigger_kind integer
local function ask_now(channel, bufnr, trigger_kind)
  ask(channel, {
    textDocument = vim.lsp.util.make_text_document_params(bufnr),
    position = vim.lsp.util.make_position_params(0, channel.client.offset_encoding).position,
    context = { triggerKind = trigger_kind },
  }, bufnr)
end

--- Route a client's requests for ghost text through this module.
---@param client vim.lsp.Client
function M.watch(client)
  if watched[client] then
    return
  end
  watched[client] = true
  local request = client.request
  ---@diagnostic disable-next-line: duplicate-set-field
  client.request = function(self, method, params, handler, bufnr)
    if method == METHOD and handler then
      local channel = { client = self, request = request, handler = handler }
      return ask(channel, params, bufnr and bufnr > 0 and bufnr or api.nvim_get_current_buf())
    end
    return request(self, method, params, handler, bufnr)
  end
end

--- Request ghost text for a user who was in insert mode before the server was there.
---@param bufnr integer
function M.begin(bufnr)
  if bufnr == api.nvim_get_current_buf() and is_inserting() then
    api.nvim_exec_autocmds('CursorMovedI', { buffer = bufnr, modeline = false })
  end
end

--- Update ghost text and drafts after the text or the cursor has changed.
---@param bufnr integer
function M.refresh(bufnr)
  local waits, answer, channel = asked[bufnr], shown[bufnr], channels[bufnr]
  if not channel or not (waits or answer) then
    return
  end
  local now = place_now(bufnr)
  if waits and text.typed(waits.place, now) ~= '' then
    drafts.clear(bufnr)
  end
  if not answer or answer.is_taken then
    return
  end
  if reason_for_silence() then
    hide(bufnr)
  elseif text.typed(answer.place, now) ~= '' then
    local left = items.left(answer, now, channel.client.offset_encoding)
    if #left == 0 then
      hide(bufnr)
    else
      shown[bufnr] = { place = now, items = left, index = 1 }
      feed(bufnr, left)
    end
  end
end

--- Hide ghost text when a completion menu has opened; when it has closed, request the ghost text
--- that it prevented.
---@param bufnr integer
function M.menu_changed(bufnr)
  local channel, place = channels[bufnr], held[bufnr]
  if not channel then
    return
  elseif reason_for_silence() then
    held[bufnr] = (shown[bufnr] or asked[bufnr]) and place_now(bufnr) or place
    drafts.clear(bufnr)
    hide(bufnr)
  elseif place and is_inserting() and vim.deep_equal(place, place_now(bufnr)) then
    ask_now(channel, bufnr, AUTOMATIC)
  end
end

--- Forget requests, ghost text and drafts, because insert mode was left.
---@param bufnr integer
function M.forget(bufnr)
  asked[bufnr], shown[bufnr], insists[bufnr], held[bufnr] = nil, nil, nil, nil
  drafts.clear(bufnr)
end

--- Forget a buffer that the client has detached from.
---@param bufnr integer
function M.release(bufnr)
  M.forget(bufnr)
  inserted.release(bufnr)
  channels[bufnr] = nil
end

--- Show a draft if it belongs to one of our requests; return whether it does.
---@param params table `dgLsp/draft`
---@return boolean
function M.take_draft(params)
  for bufnr, waits in pairs(asked) do
    if waits.token == params.token then
      local is_current = api.nvim_get_current_buf() == bufnr
        and is_inserting()
        and not shown[bufnr]
        and vim.lsp.util.buf_versions[bufnr] == params.version
        and text.typed(waits.place, place_now(bufnr)) == ''
        and not reason_for_silence()
      if is_current then
        local encoding = channels[bufnr].client.offset_encoding
        drafts.show(bufnr, waits.place, shading.draft(params, encoding))
        trace.tell('Draft', { buf = bufnr, step = params.step, steps = params.stepsAllowed })
      else
        drafts.clear(bufnr)
      end
      return true
    end
  end
  return false
end

--- Insert a part of an item into the buffer, and continue to show the rest.
---@param bufnr integer
---@param item vim.lsp.inline_completion.Item
---@param part fun(text: string): string
local function insert(bufnr, item, part)
  local answer, channel = shown[bufnr], channels[bufnr]
  if not answer or not channel or type(item.insert_text) ~= 'string' then
    return
  end
  local whole = item.insert_text --[[@as string]]
  local taken = part(whole)
  local encoding = channel.client.offset_encoding
  local place = answer.place
  -- Text typed after the key was pressed stays after the inserted text.
  local typed = text.typed(place, place_now(bufnr)) or ''
  local replaced = items.replaced(answer, whole, encoding)
  local is_whole = taken == whole
  local confidence = items.confidence(answer, whole)
  shown[bufnr] = nil
  insertion.insert(place, taken, typed, is_whole and replaced or 0)
  inserted.note(bufnr, place.row, #place.head, taken, confidence, encoding)
  trace.note('accepted %d of %d characters', #taken, #whole)
  trace.tell('Accepted', { buf = bufnr, text = taken, rest = whole:sub(#taken + 1) })
  local rest = whole:sub(#taken + 1)
  -- If the rest would split the line, the server's next answer replaces it.
  if is_whole or typed ~= '' or (replaced > 0 and vim.startswith(rest, '\n')) then
    return
  end
  local now = place_now(bufnr)
  local sure = doubt.behind(confidence, vim.str_utfindex(taken, encoding))
  local left = items.at(rest, now, replaced > 0 and now.tail or '', encoding, sure)
  shown[bufnr] = { place = now, items = { left }, index = 1 }
  feed(bufnr, { left })
end

--- Accept a part of the ghost text; false if there is none.
---@param part fun(text: string): string
---@return boolean
function M.accept(part)
  local bufnr = api.nvim_get_current_buf()
  -- A burst of keys changes the text without triggering autocommands.
  M.refresh(bufnr)
  local answer = shown[bufnr]
  if not answer then
    return false
  end
  answer.is_taken = true
  local is_there = vim.lsp.inline_completion.get({
    bufnr = bufnr,
    on_accept = function(item)
      insert(bufnr, item, part)
    end,
  })
  -- Neovim accepts a moment later, or not at all if insert mode has been left by then.
  vim.schedule(function()
    answer.is_taken = nil
  end)
  return is_there
end

--- Request ghost text by hand.
---@param cycle? integer How many candidates to advance once they have arrived.
function M.suggest(cycle)
  local bufnr = api.nvim_get_current_buf()
  local channel = channels[bufnr]
  insists[bufnr] = cycle or 0
  if channel then
    ask_now(channel, bufnr, INVOKED)
  else
    -- Neovim then sends a request, which gives us a channel.
    api.nvim_exec_autocmds('CursorMovedI', { buffer = bufnr, modeline = false })
  end
end

--- Show another candidate; the first call requests them.
---@param by integer
function M.cycle(by)
  local bufnr = api.nvim_get_current_buf()
  local answer = shown[bufnr]
  if answer and #answer.items > 1 then
    answer.index = (answer.index - 1 + by) % #answer.items + 1
    vim.lsp.inline_completion.select({ bufnr = bufnr, count = by })
  else
    M.suggest(by)
  end
end

--- Hide the ghost text and cancel the request; false if there was neither.
---@return boolean
function M.dismiss()
  local bufnr = api.nvim_get_current_buf()
  local was_there = shown[bufnr] ~= nil or asked[bufnr] ~= nil
  local channel, waits = channels[bufnr], asked[bufnr]
  if channel and waits then
    for id, request in pairs(channel.client.requests) do
      if request.method == METHOD and request.bufnr == bufnr and request.type == 'pending' then
        channel.client:cancel_request(id)
      end
    end
  end
  asked[bufnr] = nil
  drafts.clear(bufnr)
  hide(bufnr)
  return was_there
end

return M

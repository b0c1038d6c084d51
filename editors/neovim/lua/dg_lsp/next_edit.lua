--- Shows the edit that follows from the user's last one, at its place: what it removes is marked,
--- and what it inserts stands behind it. One key goes there, and then accepts it.
---
--- At most one is shown in a buffer, and any other change of the buffer removes it.
local config = require('dg_lsp.config')
local status = require('dg_lsp.status')

local api = vim.api
local M = {}

local PAUSE_MS = 300
local namespace = api.nvim_create_namespace('dg_lsp.next_edit')

---@class dg_lsp.NextEdit
---@field edit table As the server sent it.
---@field client vim.lsp.Client
---@field row integer From 0.
---@field col integer In bytes.
---@field tick integer The buffer's changedtick.

local shown = {} ---@type table<integer, dg_lsp.NextEdit>
local timers = {} ---@type table<integer, uv.uv_timer_t>
local asking = {} ---@type table<integer, integer>

---@param bufnr integer
local function clear(bufnr)
  shown[bufnr] = nil
  if timers[bufnr] then
    timers[bufnr]:stop()
  end
  if api.nvim_buf_is_valid(bufnr) then
    api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  end
end

--- Where a position of the server's is, from 0 and in bytes.
---@param bufnr integer
---@param position lsp.Position
---@param encoding string
---@return integer, integer
local function place(bufnr, position, encoding)
  local line = api.nvim_buf_get_lines(bufnr, position.line, position.line + 1, false)[1] or ''
  local col = vim.str_byteindex(line, encoding, position.character, false)
  return position.line, col
end

---@param one dg_lsp.NextEdit
---@return boolean
local function has_cursor(one)
  return api.nvim_win_get_cursor(0)[1] - 1 == one.row
end

--- In the cursor's line, where the edit is, if that is another line.
---@param bufnr integer
local function hint(bufnr)
  local one = shown[bufnr]
  if not one or bufnr ~= api.nvim_get_current_buf() then
    return
  end
  local row = api.nvim_win_get_cursor(0)[1] - 1
  local key = config.now.keys.next_edit or ':DgLsp next'
  local text = has_cursor(one) and key or ('%s: line %d'):format(key, one.row + 1)
  one.hint = api.nvim_buf_set_extmark(bufnr, namespace, row, 0, {
    id = one.hint,
    virt_text = { { '  ' .. text, 'DgLspHint' } },
  })
end

---@param bufnr integer
---@param one dg_lsp.NextEdit
local function show(bufnr, one)
  shown[bufnr] = one
  local encoding = one.client.offset_encoding
  local end_row, end_col = place(bufnr, one.edit.range['end'], encoding)
  api.nvim_buf_set_extmark(bufnr, namespace, one.row, one.col, {
    end_row = end_row,
    end_col = end_col,
    hl_group = 'DgLspReplaced',
  })
  local first = vim.split(one.edit.text, '\n', { plain = true })[1]
  if first ~= '' then
    api.nvim_buf_set_extmark(bufnr, namespace, end_row, end_col, {
      virt_text = { { first, 'DgLspInserted' } },
      virt_text_pos = 'inline',
    })
  end
  hint(bufnr)
  one.client:notify('textDocument/didShowInlineEdit', { item = { command = one.edit.command } })
  api.nvim_exec_autocmds('User', { pattern = 'DgLspNextEdit', data = { line = one.row + 1 } })
end

---@param bufnr integer
---@param client vim.lsp.Client
local function ask(bufnr, client)
  if bufnr ~= api.nvim_get_current_buf() or client:is_stopped() or status.paused then
    return
  end
  local tick = api.nvim_buf_get_changedtick(bufnr)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.textDocument.version = vim.lsp.util.buf_versions[bufnr]
  local number = (asking[bufnr] or 0) + 1
  asking[bufnr] = number
  client:request('textDocument/copilotInlineEdit', params, function(_, found)
    local edit = found and found.edits and found.edits[1]
    local is_now = api.nvim_buf_is_valid(bufnr)
      and asking[bufnr] == number
      and api.nvim_buf_get_changedtick(bufnr) == tick
    if edit and is_now and not shown[bufnr] then
      local row, col = place(bufnr, edit.range.start, client.offset_encoding)
      show(bufnr, { edit = edit, client = client, row = row, col = col, tick = tick })
    end
  end, bufnr)
end

--- The buffer has changed: ask again after a pause.
---@param bufnr integer
---@param client vim.lsp.Client
local function changed(bufnr, client)
  local one = shown[bufnr]
  if one and one.tick == api.nvim_buf_get_changedtick(bufnr) then
    return
  end
  clear(bufnr)
  timers[bufnr] = timers[bufnr] or assert(vim.uv.new_timer())
  timers[bufnr]:start(
    PAUSE_MS,
    0,
    vim.schedule_wrap(function()
      if api.nvim_buf_is_valid(bufnr) then
        ask(bufnr, client)
      end
    end)
  )
end

--- Show next edits in a buffer from now on.
---@param bufnr integer
---@param client vim.lsp.Client
function M.begin(bufnr, client)
  if not config.now.next_edits then
    return
  end
  local group = api.nvim_create_augroup('dg_lsp.next_edit.' .. bufnr, { clear = true })
  api.nvim_create_autocmd({ 'TextChanged', 'TextChangedI', 'TextChangedP' }, {
    group = group,
    buffer = bufnr,
    callback = function()
      changed(bufnr, client)
    end,
  })
  api.nvim_create_autocmd({ 'CursorMoved', 'CursorMovedI' }, {
    group = group,
    buffer = bufnr,
    callback = function()
      hint(bufnr)
    end,
  })
  api.nvim_create_autocmd('BufLeave', {
    group = group,
    buffer = bufnr,
    callback = function()
      clear(bufnr)
    end,
  })
end

--- Show none in a buffer any more.
---@param bufnr integer
function M.release(bufnr)
  clear(bufnr)
  if timers[bufnr] then
    timers[bufnr]:close()
    timers[bufnr] = nil
  end
  asking[bufnr] = nil
  pcall(api.nvim_del_augroup_by_name, 'dg_lsp.next_edit.' .. bufnr)
end

--- Tell the server what became of an edit.
---@param one dg_lsp.NextEdit
---@param command string
local function tell(one, command)
  one.client:request('workspace/executeCommand', {
    command = command,
    arguments = one.edit.command.arguments,
  }, function() end, 0)
end

--- The edit of the current buffer, if the buffer is still as it was.
---@return dg_lsp.NextEdit?
local function here()
  local one = shown[api.nvim_get_current_buf()]
  return one and one.tick == api.nvim_buf_get_changedtick(0) and one or nil
end

--- Go to the edit, or accept it if the cursor is in its line; false if there is none.
---@return boolean
function M.take()
  local one = here()
  if not one then
    return false
  end
  if not has_cursor(one) then
    vim.cmd("normal! m'")
    api.nvim_win_set_cursor(0, { one.row + 1, one.col })
    vim.cmd('normal! zv')
    return true
  end
  local bufnr, edit = api.nvim_get_current_buf(), one.edit
  clear(bufnr)
  local change = { range = edit.range, newText = edit.text }
  vim.lsp.util.apply_text_edits({ change }, bufnr, one.client.offset_encoding)
  local is_inserting = api.nvim_get_mode().mode:sub(1, 1) == 'i'
  local col = one.col + #edit.text - (is_inserting and 0 or 1)
  api.nvim_win_set_cursor(0, { one.row + 1, math.max(0, col) })
  tell(one, edit.command.command)
  return true
end

--- Remove the edit; none is offered until the user's next edit. False if there is none.
---@return boolean
function M.dismiss()
  local one = here()
  if not one then
    return false
  end
  clear(api.nvim_get_current_buf())
  tell(one, 'dg-lsp.dismissNextEdit')
  return true
end

return M

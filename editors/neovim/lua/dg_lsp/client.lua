--- The language server in Neovim: its configuration, its notifications and its exit.
local actions = require('dg_lsp.actions')
local config = require('dg_lsp.config')
local ghost = require('dg_lsp.ghost')
local menu = require('dg_lsp.menu')
local next_edit = require('dg_lsp.next_edit')
local rewrite = require('dg_lsp.rewrite')
local say = require('dg_lsp.say').say
local server = require('dg_lsp.server')
local status = require('dg_lsp.status')
local trace = require('dg_lsp.trace')

local api = vim.api
local M = {}

M.NAME = 'dg_lsp'
local FIRST_PAUSE_MS = 500

local num_crashes = 0
local is_ended_by_us = false

---@param code integer
---@param signal integer
local function on_exit(code, signal)
  vim.schedule(function()
    if is_ended_by_us or (code == 0 and signal == 0) or vim.v.exiting ~= vim.NIL then
      status.forget()
      return
    end
    num_crashes = num_crashes + 1
    local how = signal ~= 0 and ('signal %d'):format(signal) or ('status %d'):format(code)
    if num_crashes > config.now.restarts then
      status.fail(('the server ended with %s; :DgLsp restart starts it again'):format(how))
      say(status.now().message, vim.log.levels.ERROR)
      return
    end
    status.fail(('the server ended with %s and is started again'):format(how))
    vim.defer_fn(function()
      if not status.paused then
        M.enable()
      end
    end, FIRST_PAUSE_MS * 2 ^ (num_crashes - 1))
  end)
end

---@return vim.lsp.Config
local function configuration()
  local now = config.now
  return {
    cmd = server.command(),
    filetypes = now.filetypes,
    root_markers = now.root_markers,
    init_options = now.settings,
    settings = { dgLsp = now.settings },
    capabilities = {
      -- Code actions have commands, which this plugin carries out, instead of edits.
      textDocument = { codeAction = { dataSupport = false } },
      experimental = {
        dgLsp = { drafts = now.drafts, status = true, askInstruction = true, doubt = now.doubt },
      },
    },
    handlers = {
      ['dgLsp/draft'] = function(_, params)
        if not status.paused and not rewrite.take_draft(params) then
          ghost.take_draft(params)
        end
      end,
      ['dgLsp/status'] = function(_, said)
        status.take(said)
        status.announce()
      end,
    },
    commands = actions.commands(M.here),
    on_exit = on_exit,
  }
end

---@param ev { buf: integer, data: { client_id: integer } }
local function on_attach(ev)
  local client = vim.lsp.get_client_by_id(ev.data.client_id)
  if not client or client.name ~= M.NAME then
    return
  end
  trace.note('attached to buffer %d', ev.buf)
  actions.watch(client)
  next_edit.begin(ev.buf, client)
  if not vim.lsp.inline_completion then
    return
  end
  ghost.watch(client)
  if not vim.lsp.inline_completion.is_enabled({ bufnr = ev.buf }) then
    vim.lsp.inline_completion.enable(true, { bufnr = ev.buf })
  end
  ghost.begin(ev.buf)
  local group = api.nvim_create_augroup('dg_lsp.buffer', { clear = false })
  api.nvim_clear_autocmds({ group = group, buffer = ev.buf })
  api.nvim_create_autocmd({ 'TextChangedI', 'TextChangedP', 'CursorMovedI' }, {
    group = group,
    buffer = ev.buf,
    callback = function(args)
      ghost.refresh(args.buf)
    end,
  })
  api.nvim_create_autocmd('InsertLeave', {
    group = group,
    buffer = ev.buf,
    callback = function(args)
      ghost.forget(args.buf)
    end,
  })
end

---@param ev { buf: integer, data: { client_id: integer } }
local function on_detach(ev)
  local client = vim.lsp.get_client_by_id(ev.data.client_id)
  if client and client.name == M.NAME then
    rewrite.discard(ev.buf)
    next_edit.release(ev.buf)
    ghost.release(ev.buf)
    pcall(api.nvim_clear_autocmds, { group = 'dg_lsp.buffer', buffer = ev.buf })
  end
end

--- Start the server for all its filetypes; if its program is missing, the user is told.
function M.enable()
  is_ended_by_us = false
  local missing = server.missing()
  if missing then
    say(missing)
    return
  end
  local group = api.nvim_create_augroup('dg_lsp', { clear = true })
  api.nvim_create_autocmd('LspAttach', { group = group, callback = on_attach })
  api.nvim_create_autocmd('LspDetach', { group = group, callback = on_detach })
  menu.watch(group, ghost.menu_changed)
  vim.lsp.config(M.NAME, configuration())
  vim.lsp.enable(M.NAME)
end

--- Stop the server and remove everything that would start it again.
function M.disable()
  is_ended_by_us = true
  vim.lsp.enable(M.NAME, false)
  for _, client in ipairs(vim.lsp.get_clients({ name = M.NAME })) do
    for bufnr in pairs(client.attached_buffers) do
      rewrite.discard(bufnr)
      next_edit.release(bufnr)
      ghost.release(bufnr)
    end
    client:stop()
  end
  for _, name in ipairs({ 'dg_lsp', 'dg_lsp.buffer' }) do
    pcall(api.nvim_del_augroup_by_name, name)
  end
end

--- Forget earlier crashes, because the user wants another start.
function M.forgive()
  num_crashes = 0
end

--- The client of the current buffer.
---@return vim.lsp.Client?
function M.here()
  return vim.lsp.get_clients({ name = M.NAME, bufnr = 0 })[1]
end

--- Any running client.
---@return vim.lsp.Client?
function M.any()
  return M.here() or vim.lsp.get_clients({ name = M.NAME })[1]
end

return M

--- dg-lsp for Neovim: the functions for a user's configuration; see `:help dg_lsp`.
local M = {}

local MINIMUM = 'nvim-0.11'

local say = require('dg_lsp.say').say

---@param mode string
---@param actions table<string, fun(): boolean>
local function map_keys(mode, actions)
  local keys = require('dg_lsp.config').now.keys
  for name, action in pairs(actions) do
    local lhs = keys[name]
    local before = lhs and vim.fn.maparg(lhs, mode, false, true)
    -- Neovim's own mappings are functions that return keys.
    if before and before.lhs and not (before.expr == 1 and before.callback) then
      say(('%s is mapped already; keys.%s is left alone'):format(lhs, name))
    elseif lhs then
      -- Not an expression mapping: in a burst of keys, Neovim evaluates those before the buffer
      -- contains the previous keys.
      vim.keymap.set(mode, lhs, function()
        if not action() then
          require('dg_lsp.keys').run(before, lhs)
        end
      end, { desc = 'dg-lsp: ' .. name })
    end
  end
end

local function map_ghost_text_keys()
  map_keys('i', {
    accept = M.accept,
    accept_word = M.accept_word,
    accept_line = M.accept_line,
    next = M.next,
    previous = M.previous,
    suggest = M.suggest,
    dismiss = M.dismiss,
  })
end

--- Apply the settings and start; call it once, from the user's configuration.
---@param given? table See lua/dg_lsp/config.lua.
function M.setup(given)
  if vim.fn.has(MINIMUM) == 0 then
    say(
      'Neovim 0.11 or newer is needed, and 0.12 for ghost text. Without the plugin, '
        .. "vim.lsp.start({ name = 'dg_lsp', cmd = { 'dg-lsp', 'serve' } }) gives rewrites as "
        .. 'code actions.'
    )
    return
  end
  require('dg_lsp.config').set(given)
  require('dg_lsp.highlights').define()
  local group = vim.api.nvim_create_augroup('dg_lsp.colours', { clear = true })
  vim.api.nvim_create_autocmd('ColorScheme', {
    group = group,
    callback = function()
      require('dg_lsp.highlights').define()
    end,
  })
  if vim.lsp.inline_completion then
    map_ghost_text_keys()
  end
  for _, mode in ipairs({ 'i', 'n' }) do
    map_keys(mode, { next_edit = M.next_edit })
  end
  require('dg_lsp.client').enable()
end

---@return boolean
local function has_ghost_text()
  return vim.lsp.inline_completion ~= nil and not require('dg_lsp.status').paused
end

--- Accept the ghost text; false if there is none.
---@return boolean
function M.accept()
  return has_ghost_text() and require('dg_lsp.ghost').accept(require('dg_lsp.text').all)
end

--- Accept the next word of the ghost text.
---@return boolean
function M.accept_word()
  return has_ghost_text() and require('dg_lsp.ghost').accept(require('dg_lsp.text').first_word)
end

--- Accept the ghost text up to the end of its line.
---@return boolean
function M.accept_line()
  return has_ghost_text() and require('dg_lsp.ghost').accept(require('dg_lsp.text').first_line)
end

---@param by integer
---@return boolean
local function cycle(by)
  if has_ghost_text() and require('dg_lsp.client').here() then
    require('dg_lsp.ghost').cycle(by)
    return true
  end
  return false
end

--- Show the next candidate.
---@return boolean
function M.next()
  return cycle(1)
end

--- Show the previous candidate.
---@return boolean
function M.previous()
  return cycle(-1)
end

--- Request ghost text by hand, with several candidates. If there is none, the user is told why.
---@return boolean
function M.suggest()
  if not has_ghost_text() then
    return false
  elseif require('dg_lsp.client').here() then
    require('dg_lsp.ghost').suggest()
  else
    say('no server runs in this buffer; :checkhealth dg_lsp says why')
  end
  return true
end

--- Hide the ghost text or else the next edit; false if there is neither.
---@return boolean
function M.dismiss()
  return (has_ghost_text() and require('dg_lsp.ghost').dismiss())
    or require('dg_lsp.next_edit').dismiss()
end

--- Go to the next edit, or accept it if the cursor is in its line; false if none is shown.
---@return boolean
function M.next_edit()
  return require('dg_lsp.next_edit').take()
end

--- A short text for a statusline; empty if no server runs.
---@return string
function M.statusline()
  return require('dg_lsp.status').statusline()
end

--- Stop this editor's server and remove all our autocommands.
function M.pause()
  local status = require('dg_lsp.status')
  if status.paused then
    return
  end
  status.paused = true
  require('dg_lsp.client').disable()
  status.forget()
  require('dg_lsp.trace').tell('Paused', {})
end

--- Start again after `pause`.
function M.resume()
  require('dg_lsp.status').paused = false
  require('dg_lsp.client').forgive()
  require('dg_lsp.client').enable()
  require('dg_lsp.trace').tell('Resumed', {})
end

return M

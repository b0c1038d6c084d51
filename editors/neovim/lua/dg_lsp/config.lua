--- All settings, with their defaults and meanings.
local M = {}

---@class dg_lsp.Config
local defaults = {
  -- The command that starts the language server.
  cmd = { 'dg-lsp', 'serve' },
  -- The filetypes it runs for; nil: all buffers that contain a file. The server's own settings
  -- decide what is completed.
  filetypes = nil, ---@type string[]?
  -- Files or directories that mark the root of a project.
  root_markers = { '.git' },
  -- The server's settings, the section `dgLsp` of docs/settings.md, for example
  -- `{ trigger = 'manual', languages = { markdown = false } }`.
  settings = {},
  -- Whether text is shown while it is being denoised, shaded by how sure the model is.
  drafts = true,
  -- Whether the parts of an accepted text that the model is unsure of are underlined, until they
  -- are edited, for a minute at most. Off, because an underline looks like a problem.
  doubt = false,
  -- Whether edits that follow from the last one are shown at their places; the server's setting
  -- `nextEdits` says which.
  next_edits = true,
  -- 'hide' or 'show' ghost text while a completion menu is open.
  menu = 'hide', ---@type 'hide'|'show'
  -- How many times a crashed server is restarted before `:DgLsp restart` is needed.
  restarts = 3,
  -- Insert mode keys; false maps none. If there is no ghost text, a key does what it did before.
  keys = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-Down>',
    -- Show other candidates; the first press asks for them.
    next = '<M-]>',
    previous = '<M-[>',
    -- Ask for ghost text here, even if suggestions appear only on request.
    suggest = '<M-\\>',
    dismiss = '<C-]>',
    -- In normal mode too: go to the edit that is shown, or accept it in its line.
    next_edit = '<M-n>',
  },
  -- Normal mode keys of the buffer while a rewrite is shown: one, a list, or false for none.
  rewrite_keys = {
    accept = '<CR>',
    discard = '<Esc>',
    retry = 'R',
    -- Turn the strength up or down: how much of the selection starts as noise.
    freer = { '+', '<M-ScrollWheelUp>' },
    closer = { '-', '<M-ScrollWheelDown>' },
    -- Show the steps in which the text came about.
    earlier = '(',
    later = ')',
  },
}

---@type dg_lsp.Config
M.now = vim.deepcopy(defaults)

---@param value any
---@return boolean
local function is_keys(value)
  return value == false
    or type(value) == 'string'
    or vim.islist(value)
      and vim.iter(value):all(function(key)
        return type(key) == 'string'
      end)
end

--- A message about an unknown setting or a wrong type; nil if there is none.
---@param given table
---@param known table
---@param path string
---@return string?
local function complaint(given, known, path)
  for name, value in pairs(given) do
    local here, default = path .. name, known[name]
    if path == '' and name == 'settings' then
      default = {}
    elseif path == '' and name == 'filetypes' then
      default = {}
    end
    if default == nil then
      return ('%s is not known'):format(here)
    end
    if path == 'rewrite_keys.' and not is_keys(value) then
      return ('%s is %s; a string or a list of strings is needed'):format(here, vim.inspect(value))
    end
    local is_key = path == 'rewrite_keys.' or path == 'keys.' and value == false
    if not is_key and type(value) ~= type(default) then
      return ('%s is %s; a %s is needed'):format(here, vim.inspect(value), type(default))
    end
    if name == 'menu' and value ~= 'hide' and value ~= 'show' then
      return ("menu is '%s'; 'hide' or 'show' is needed"):format(value)
    end
    if name == 'keys' or name == 'rewrite_keys' then
      local inner = complaint(value, default, name .. '.')
      if inner then
        return inner
      end
    end
  end
end

--- Take the user's table; an error says what is wrong with it, and then nothing has changed.
---@param given? table
function M.set(given)
  given = given or {}
  local wrong = complaint(given, defaults, '')
  if wrong then
    error('dg-lsp: ' .. wrong, 0)
  end
  M.now = vim.tbl_deep_extend('force', vim.deepcopy(defaults), given)
end

return M

--- Finds the program that runs the server, and says what to do if it is missing.
local config = require('dg_lsp.config')

local M = {}

--- Directories that may not be in a graphical Neovim's $PATH, and the clone with this plugin.
---@return string[]
local function places()
  local here = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, 'S').source:sub(2)))
  local clone = vim.fs.normalize(here .. '/../../../..')
  return {
    clone .. '/.venv/bin/dg-lsp',
    clone .. '/.venv/Scripts/dg-lsp.exe',
    vim.fs.normalize('~/.local/bin/dg-lsp'),
  }
end

--- The command of the server: the program of the settings, or one that was found elsewhere.
---@return string[]
function M.command()
  local cmd = config.now.cmd
  if cmd[1] ~= 'dg-lsp' or vim.fn.executable(cmd[1]) == 1 then
    return cmd
  end
  for _, path in ipairs(places()) do
    if vim.fn.executable(path) == 1 then
      return vim.list_extend({ path }, cmd, 2)
    end
  end
  return cmd
end

--- The command line of another subcommand of the same program.
---@param ... string
---@return string[]
function M.other(...)
  local command = {}
  for _, word in ipairs(M.command()) do
    if word == 'serve' then
      break
    end
    command[#command + 1] = word
  end
  return vim.list_extend(command, { ... })
end

--- Why the command cannot be run; nil if it can.
---@return string?
function M.missing()
  local program = M.command()[1]
  if vim.fn.executable(program) == 0 then
    return ("'%s' is not installed; see :checkhealth dg_lsp"):format(program)
  end
end

--- How to get the program.
M.HOW_TO_INSTALL = {
  'In a clone of dg-lsp run `uv tool install .` or `pipx install .`; then :DgLsp restart',
  'Or run `make demo` there: the plugin finds the .venv of the clone that it is in',
  "Or name the program in setup(): cmd = { '/path/to/dg-lsp', 'serve' }",
}

return M

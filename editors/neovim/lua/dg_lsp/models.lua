--- Lists the models on this machine, and says how to get a better one than the bundled one.
local page = require('dg_lsp.page')
local say = require('dg_lsp.say').say
local server = require('dg_lsp.server')

local M = {}

M.BUNDLED = 'bundled'

--- A file that exists once the user has been told about better models.
---@return string
local function marker()
  return vim.fs.joinpath(vim.fn.stdpath('state') --[[@as string]], 'dg_lsp', 'told-of-models')
end

--- Tell a user of the bundled model that there are better ones, but only once.
function M.hint()
  local path = marker()
  if vim.uv.fs_stat(path) then
    return
  end
  say('the bundled model is small; see :DgLsp models', vim.log.levels.INFO)
  pcall(function()
    vim.fn.mkdir(vim.fs.dirname(path), 'p')
    vim.fn.writefile({}, path)
  end)
end

---@param listed string What `dg-lsp models` printed.
---@return string
local function markdown(listed)
  local pull = table.concat(server.other('pull'), ' ')
  return table.concat({
    '# Models on this machine',
    '',
    '```text',
    vim.trim(listed),
    '```',
    '',
    '## A model that helps',
    '',
    'The bundled model is only for trying things out.',
    'DiffusionGemma 26B-A4B needs an NVIDIA GPU with 18 GB, and 25 GB of disk while it is packed.',
    'This command checks that, shows the licence, and downloads it:',
    '',
    '```vim',
    ':terminal ' .. pull,
    '```',
    '',
    'Afterwards `:DgLsp restart` starts the engine with it.',
    "`settings = { engine = { model = 'NAME' } }` in `setup()` chooses one of several models.",
  }, '\n')
end

--- Show them on a page.
function M.show()
  local missing = server.missing()
  if missing then
    say(missing)
    return
  end
  say('looking for models', vim.log.levels.INFO)
  vim.system(server.other('models'), { text = true }, function(ended)
    vim.schedule(function()
      page.show('models', markdown(ended.code == 0 and ended.stdout or ended.stderr))
    end)
  end)
end

return M

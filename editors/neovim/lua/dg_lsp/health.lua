--- `:checkhealth dg_lsp`: checks Neovim, the server, its doctor, and possible conflicts.
local M = {}

local PATIENCE_MS = 60000

---@param command string[]
---@return vim.SystemCompleted?
local function run(command)
  local ok, process = pcall(vim.system, command, { text = true })
  return ok and process:wait(PATIENCE_MS) or nil
end

local function check_neovim()
  vim.health.start('Neovim')
  if vim.fn.has('nvim-0.11') == 0 then
    vim.health.error(
      'Neovim is older than 0.11: the plugin does not start',
      "vim.lsp.start({ name = 'dg_lsp', cmd = { 'dg-lsp', 'serve' } }) gives code actions"
    )
    return false
  elseif not vim.lsp.inline_completion then
    vim.health.warn(
      'Neovim is older than 0.12: rewrites work, ghost text and drafts do not',
      'Update Neovim to 0.12 or newer'
    )
  else
    vim.health.ok(tostring(vim.version()) .. ': ghost text, drafts and rewrites')
  end
  return true
end

local server = require('dg_lsp.server')

local function check_doctor()
  vim.health.start('dg-lsp doctor')
  -- Without its self-test, which would load a model.
  local ended = run(server.other('doctor', '--json', '--no-self-test'))
  local ok, said = pcall(vim.json.decode, ended and ended.stdout or '')
  if not ok or type(said) ~= 'table' or type(said.findings) ~= 'table' then
    vim.health.info('this dg-lsp has no doctor')
    return
  end
  local reports = { ok = vim.health.ok, warning = vim.health.warn, problem = vim.health.error }
  for _, finding in ipairs(said.findings) do
    local advice = finding.advice ~= '' and finding.advice or nil
    local report = reports[finding.level] or vim.health.info
    report(('%s: %s'):format(finding.area, finding.said), advice)
  end
end

local function check_server()
  vim.health.start('Server')
  local command = server.command()
  if vim.fn.executable(command[1]) == 0 then
    vim.health.error(("'%s' cannot be run"):format(command[1]), server.HOW_TO_INSTALL)
    return
  end
  vim.health.ok('The server is ' .. table.concat(command, ' '))
  local ended = run(server.other('--version'))
  if ended and ended.code == 0 then
    vim.health.ok(vim.trim(ended.stdout))
  else
    vim.health.warn(('%s does not say which version it is'):format(table.concat(command, ' ')))
  end
  local clients = vim.lsp.get_clients({ name = 'dg_lsp' })
  if #clients == 0 then
    vim.health.info('No server runs: it starts with the first file')
  end
  for _, client in ipairs(clients) do
    local buffers = #vim.tbl_keys(client.attached_buffers)
    vim.health.ok(
      ('The server runs for %s (buffers: %d)'):format(client.root_dir or 'files', buffers)
    )
  end
  local status = require('dg_lsp.status')
  local now = status.now()
  if now then
    local report = now.kind == 'Error' and vim.health.error
      or now.kind == 'Warning' and vim.health.warn
      or vim.health.info
    report(status.describe())
    if now.model == require('dg_lsp.models').BUNDLED then
      vim.health.info('The bundled model is only a demonstration: see :DgLsp models')
    end
  end
  check_doctor()
end

local function check_others()
  vim.health.start('Keys and other plugins')
  local keys = require('dg_lsp.config').now.keys
  for name, lhs in vim.spairs(keys) do
    if lhs then
      local mapped = vim.fn.maparg(lhs, 'i', false, true)
      if mapped.desc == 'dg-lsp: ' .. name then
        vim.health.ok(('%s: %s'):format(lhs, name))
      else
        vim.health.warn(
          ('%s does something else than %s'):format(lhs, name),
          'See :help dg_lsp-keys'
        )
      end
    end
  end
  for _, client in ipairs(vim.lsp.get_clients({ method = 'textDocument/inlineCompletion' })) do
    if client.name ~= 'dg_lsp' then
      vim.health.warn(client.name .. ' offers ghost text as well; Neovim shows one of both')
    end
  end
end

function M.check()
  if check_neovim() then
    check_server()
    if vim.lsp.inline_completion then
      check_others()
    end
  end
end

return M

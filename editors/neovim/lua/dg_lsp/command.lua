--- `:DgLsp` and its subcommands.
local alternatives = require('dg_lsp.alternatives')
local client = require('dg_lsp.client')
local holes = require('dg_lsp.holes')
local models = require('dg_lsp.models')
local next_edit = require('dg_lsp.next_edit')
local page = require('dg_lsp.page')
local pin = require('dg_lsp.pin')
local rewrite = require('dg_lsp.rewrite')
local sample = require('dg_lsp.sample')
local say = require('dg_lsp.say').say
local server = require('dg_lsp.server')
local status = require('dg_lsp.status')
local trace = require('dg_lsp.trace')

local M = {}

--- Run a command of the server that answers with `done` and `reason`.
---@param name string
---@param success string
local function ask_server(name, success)
  local running = client.any()
  if not running then
    say(server.missing() or 'no server runs')
    return
  end
  running:request('workspace/executeCommand', { command = name }, function(err, result)
    if err or not result.done then
      say(err and err.message or result.reason)
    else
      say(success, vim.log.levels.INFO)
    end
  end, 0)
end

--- The last visual selection if the range matches it, or else whole lines.
---@param args vim.api.keyset.create_user_command.command_args
---@return dg_lsp.Selection
local function selection(args)
  local from, to = vim.fn.getpos("'<"), vim.fn.getpos("'>")
  local is_visual = from[2] == args.line1 and to[2] == args.line2 and vim.fn.visualmode() == 'v'
  local last = vim.fn.getline(args.line2)
  local lines = { row = args.line1 - 1, col = 0, end_row = args.line2 - 1, end_col = #last }
  if not is_visual then
    return lines
  end
  lines.col = math.min(from[3] - 1, #vim.fn.getline(args.line1))
  if vim.o.selection == 'exclusive' then
    lines.end_col = math.min(to[3] - 1, #last)
  elseif to[3] <= #last then
    -- The mark is on the first byte of the last character.
    lines.end_col = to[3] - 1 + #vim.fn.strcharpart(last:sub(to[3]), 0, 1)
  end
  return lines
end

local words = {}

---@return vim.lsp.Client?
local function here()
  local running = client.here()
  if not running then
    say('no server runs in this buffer; :checkhealth dg_lsp says why')
  end
  return running
end

--- Rewrite the selection, with the rest of the command as the instruction.
function words.rewrite(args, rest)
  if args.range == 0 then
    say("select what is to be rewritten: :'<,'>DgLsp rewrite [instruction]")
    return
  end
  local running = here()
  if running then
    rewrite.start(running, selection(args), rest ~= '' and rest or nil)
  end
end

--- Choose what else may stand in place of the word at the cursor.
function words.alternatives()
  local running = here()
  if running then
    alternatives.choose(running)
  end
end

--- Keep the selection, what was edited, or the word at the cursor, and rewrite the rest of the
--- text that was accepted last.
function words.keep(args)
  local running = here()
  if running then
    pin.keep(running, args.range > 0 and selection(args) or nil)
  end
end

--- Fill all marks of the lines or the selection, by default of the buffer, together.
function words.holes(args)
  local running = client.here()
  if not running then
    say('no server runs in this buffer; :checkhealth dg_lsp says why')
    return
  end
  local last = vim.fn.line('$')
  local buffer = { row = 0, col = 0, end_row = last - 1, end_col = #vim.fn.getline(last) }
  local found = holes.find(args.range == 0 and buffer or selection(args))
  if found then
    rewrite.start(running, found, nil, true)
  else
    say(('write %s where something is missing, and then :DgLsp holes'):format(holes.mark()))
  end
end

function words.accept()
  rewrite.accept()
end

function words.discard()
  if not rewrite.discard() then
    say('nothing is being rewritten here')
  end
end

for _, action in ipairs({ 'retry', 'freer', 'closer', 'earlier', 'later' }) do
  words[action] = function()
    rewrite[action]()
  end
end

--- Go to the edit that follows from the last one, or accept it.
function words.next()
  if not next_edit.take() then
    say('no next edit is shown here')
  end
end

--- Remove it; none is shown until the next edit by hand.
function words.skip()
  if not next_edit.dismiss() then
    say('no next edit is shown here')
  end
end

function words.status()
  local running = client.any()
  if not running or status.paused then
    say(status.describe(), vim.log.levels.INFO)
    return
  end
  running:request('workspace/executeCommand', { command = 'dg-lsp.status' }, function(_, said)
    if said then
      status.take(said)
    end
    say(status.describe(), vim.log.levels.INFO)
  end, 0)
end

words.models = models.choose

--- Stop the download of a model.
function words.cancel()
  if not models.cancel() then
    say('nothing is being downloaded')
  end
end

words.sample = sample.open

--- Restart the engine, for every editor that shares it; or the server, if it has stopped.
function words.restart()
  client.forgive()
  if status.paused then
    require('dg_lsp').resume()
  elseif not client.any() then
    client.enable()
  else
    ask_server('dg-lsp.restartEngine', 'the engine was restarted')
  end
end

function words.unload()
  ask_server('dg-lsp.unloadModel', 'the model was unloaded')
end

function words.pause()
  require('dg_lsp').pause()
end

function words.resume()
  require('dg_lsp').resume()
end

--- Show the trace of this file's last request, and recent events in this editor.
function words.trace()
  local happened = trace.markdown()
  local running = client.here()
  if not running then
    page.show('trace', happened)
    return
  end
  running:request('workspace/executeCommand', {
    command = 'dg-lsp.trace',
    arguments = { { uri = vim.uri_from_bufnr(0), markdown = true } },
  }, function(_, traced)
    local is_there = type(traced) == 'table' and traced.markdown
    local last = is_there and traced.markdown or '# Nothing was asked for in this file yet\n'
    page.show('trace', last .. '\n' .. happened)
  end, 0)
end

--- Show a page of the doctor, from the server or, if none is running, from the program.
---@param name string
---@param option string Of the command and of the program.
local function examine(name, option)
  local missing = server.missing()
  if missing then
    say(missing)
    return
  end
  say('looking at everything, which takes some seconds', vim.log.levels.INFO)
  local running = client.any()
  if running then
    running:request('workspace/executeCommand', {
      command = 'dg-lsp.doctor',
      arguments = { { [option] = true } },
    }, function(err, report)
      page.show(name, err and err.message or report[option])
    end, 0)
    return
  end
  local command = server.other('doctor', '--' .. option, '--no-self-test')
  vim.system(command, { text = true }, function(ended)
    vim.schedule(function()
      page.show(name, ended.stdout ~= '' and ended.stdout or ended.stderr)
    end)
  end)
end

--- Check everything, and say what to do about problems.
function words.doctor()
  examine('doctor', 'markdown')
end

--- Show a report for an issue, without paths or the user's text.
function words.report()
  examine('report', 'anonymous')
end

---@param args vim.api.keyset.create_user_command.command_args
function M.run(args)
  local word, rest = args.args:match('^%s*(%S*)%s*(.-)%s*$')
  local run = words[word]
  if run then
    run(args, rest)
  else
    local known = table.concat(M.complete('', 'DgLsp '), ', ')
    say(("there is no command '%s'; the commands are %s"):format(word, known))
  end
end

---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  if line:match('DgLsp%s+%S+%s') then
    return {}
  end
  local known = vim.tbl_filter(function(word)
    return vim.startswith(word, lead)
  end, vim.tbl_keys(words))
  table.sort(known)
  return known
end

return M

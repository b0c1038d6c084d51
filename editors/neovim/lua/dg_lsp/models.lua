--- Lets the user choose a model, downloads it with progress, and uses it.
local catalogue = require('dg_lsp.catalogue')
local config = require('dg_lsp.config')
local say = require('dg_lsp.say')
local server = require('dg_lsp.server')

local M = {}

M.BUNDLED = catalogue.BUNDLED

local INFO, ERROR = vim.log.levels.INFO, vim.log.levels.ERROR

local download ---@type vim.SystemObj? The `dg-lsp pull` that is running.
local is_cancelled = false

--- A file that exists once the user has been told about better models.
---@return string
local function marker()
  return vim.fs.joinpath(vim.fn.stdpath('state') --[[@as string]], 'dg_lsp', 'told-of-models')
end

--- Run the program and take the lines of JSON that it prints; a failure is said.
---@param words string[]
---@param take fun(rows: table[])
local function ask(words, take)
  vim.system(server.other(unpack(words)), { text = true }, function(ended)
    vim.schedule(function()
      if ended.code == 0 then
        take(catalogue.rows(ended.stdout))
      else
        local lines = vim.split(vim.trim(ended.stderr), '\n')
        say.say((lines[#lines]:gsub('^dg%-lsp: ', '')), ERROR)
      end
    end)
  end)
end

--- Tell a user of the bundled model what this machine could run, but only once.
function M.hint()
  local path = marker()
  if vim.uv.fs_stat(path) then
    return
  end
  pcall(function()
    vim.fn.mkdir(vim.fs.dirname(path), 'p')
    vim.fn.writefile({}, path)
  end)
  ask({ 'models', '--available', '--json' }, function(rows)
    say.say(catalogue.hint(rows), INFO)
  end)
end

--- Run with this model from now on, also after a restart of the server.
---@param name string
---@param is_default boolean Whether it is used without being named.
local function use(name, is_default)
  local now = config.now
  local client = require('dg_lsp.client').any()
  local is_named = not is_default or vim.tbl_get(now.settings, 'engine', 'model') ~= nil
  if is_named then
    now.settings = vim.tbl_deep_extend('force', now.settings, { engine = { model = name } })
  end
  if client then
    client.settings = { dgLsp = now.settings }
    client:notify('workspace/didChangeConfiguration', { settings = client.settings })
    client:request('workspace/executeCommand', { command = 'dg-lsp.restartEngine' }, nil, 0)
  end
  local keep = ("; settings = { engine = { model = '%s' } } in setup() keeps it"):format(name)
  say.say(('%s is used now%s'):format(name, is_named and keep or ''), INFO)
end

---@param name string
local function use_downloaded(name)
  ask({ 'models', '--json' }, function(rows)
    local is_default = vim.iter(rows):any(function(row)
      return row.name == name and row.default
    end)
    use(name, is_default)
  end)
end

--- Download a model whose licence the user has accepted.
---@param model dg_lsp.Available
local function pull(model)
  local name, fault, rest = nil, '', ''
  local progress = say.progress('Downloading ' .. model.name)
  is_cancelled = false
  --- A line of either stream.
  local function take(line)
    local event = catalogue.rows(line)[1]
    if event == nil then
      fault = line ~= '' and line or fault
    elseif event.event == 'progress' then
      progress.report(catalogue.progress(event))
    elseif event.event == 'done' then
      name = event.name
    end
  end
  local command = server.other('pull', model.repository, '--accept-licence', '--force', '--json')
  download = vim.system(command, {
    text = true,
    stdout = vim.schedule_wrap(function(_, data)
      local lines = vim.split(rest .. (data or ''), '\n')
      rest = table.remove(lines)
      vim.iter(lines):each(take)
    end),
  }, function(ended)
    vim.schedule(function()
      download = nil
      take(rest)
      if ended.code == 0 and name then
        progress.done(true)
        use_downloaded(name)
        return
      end
      progress.done(false)
      if is_cancelled then
        say.say(
          'the download was stopped; what has arrived is kept, and :DgLsp models continues',
          INFO
        )
      else
        local lines = vim.split(vim.trim(ended.stderr), '\n')
        local said = lines[#lines] ~= '' and lines[#lines] or fault
        say.say(('could not get %s: %s'):format(model.name, (said:gsub('^dg%-lsp: ', ''))), ERROR)
      end
    end)
  end)
  say.say(
    ('downloading %s; :DgLsp cancel stops it, and it can be continued'):format(model.name),
    INFO
  )
end

--- Ask a question with few answers; without an answer, nothing is done.
---@param text string
---@param answers table<string, fun()> What each of them does.
---@param order string[]
local function question(text, answers, order)
  vim.ui.select(order, { prompt = text, kind = 'dg_lsp.question' }, function(answer)
    if answer then
      answers[answer]()
    end
  end)
end

--- Show the licence and the size that the hub names, and download on consent.
---@param model dg_lsp.Available
local function look(model)
  say.say('asking the Hugging Face Hub', INFO)
  ask({ 'pull', model.repository, '--look', '--json' }, function(rows)
    local found = rows[1]
    if not found then
      return
    end
    local get = found.needs_consent and 'Agree to the licence and download' or 'Download'
    local text = ('%s: %s to download; licence: %s (%s)'):format(
      model.repository,
      catalogue.size(found.missing_bytes),
      found.licence,
      model.licence_url
    )
    local answers = {
      [get] = function()
        pull(model)
      end,
      ['Read the licence'] = function()
        vim.ui.open(model.licence_url)
        look(model)
      end,
    }
    question(text, answers, { get, 'Read the licence' })
  end)
end

---@param choice dg_lsp.ModelChoice
local function take(choice)
  local model = choice.available
  if choice.installed then
    use(choice.installed.name, false)
  elseif download then
    say.say('a download is running; :DgLsp cancel stops it')
  elseif model and #model.obstacles > 0 then
    local text = ('%s will not help on this machine. %s'):format(
      model.name,
      table.concat(model.obstacles, ' ')
    )
    local answers = {
      ['Download anyway'] = function()
        look(model)
      end,
    }
    question(text, answers, { 'Download anyway' })
  elseif model then
    look(model)
  end
end

--- Show all models and do what the user chooses.
function M.choose()
  local missing = server.missing()
  if missing then
    say.say(missing)
    return
  end
  say.say('looking for models', INFO)
  ask({ 'models', '--available', '--json' }, function(available)
    ask({ 'models', '--json' }, function(installed)
      vim.ui.select(catalogue.choices(available, installed), {
        prompt = 'Models for dg-lsp',
        kind = 'dg_lsp.model',
        format_item = function(choice)
          return choice.label
        end,
      }, function(choice)
        if choice then
          take(choice)
        end
      end)
    end)
  end)
end

--- Stop the download; false if there is none.
---@return boolean
function M.cancel()
  if not download then
    return false
  end
  is_cancelled = true
  download:kill('sigterm')
  return true
end

return M

--- Shows messages to the user.
local M = {}

local told = {} ---@type table<string, true?>

---@param message string
---@param level? integer WARN unless given.
function M.say(message, level)
  vim.notify('dg-lsp: ' .. message, level or vim.log.levels.WARN)
end

---@class dg_lsp.LongTask
---@field report fun(message: string, percent: integer)
---@field done fun(is_good: boolean)

--- Show how far something is that takes minutes: as a progress message of Neovim 0.12, elsewhere
--- as a message at every tenth.
---@param title string
---@return dg_lsp.LongTask
function M.progress(title)
  local id, tenth, last = nil, -1, ''
  --- @param status 'running'|'success'|'failed'
  local function echo(message, percent, status)
    local opts = { kind = 'progress', source = 'dg-lsp', title = title, status = status }
    opts.id, opts.percent = id, percent
    id = vim.api.nvim_echo({ { message } }, status ~= 'running', opts)
  end
  local has_progress = vim.fn.has('nvim-0.12') == 1
  return {
    report = function(message, percent)
      last = message
      if has_progress then
        echo(message, percent, 'running')
      elseif math.floor(percent / 10) > tenth then
        tenth = math.floor(percent / 10)
        M.say(('%s: %s'):format(title, message), vim.log.levels.INFO)
      end
    end,
    done = function(is_good)
      if has_progress and id then
        echo(last, nil, is_good and 'success' or 'failed')
      end
    end,
  }
end

--- Show a message only once in a session.
---@param message string
---@param level? integer
function M.once(message, level)
  if not told[message] then
    told[message] = true
    M.say(message, level)
  end
end

return M

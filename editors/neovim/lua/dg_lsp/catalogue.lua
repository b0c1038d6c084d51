--- The models to choose from, from the lines that `dg-lsp models` and `dg-lsp pull` print. Pure
--- functions.
local M = {}

M.BUNDLED = 'bundled'

---@class dg_lsp.Available A line of `dg-lsp models --available --json`.
---@field name string
---@field repository string
---@field about string
---@field licence string
---@field licence_url string
---@field download_bytes integer
---@field kept_bytes integer
---@field is_here boolean
---@field is_begun boolean
---@field is_best boolean
---@field obstacles string[] Why it does not fit this machine.
---@field published string[] Figures of its quality, each with its source.

---@class dg_lsp.Installed A line of `dg-lsp models --json`.
---@field name string
---@field bytes integer
---@field default boolean
---@field checksum string

---@class dg_lsp.ModelChoice
---@field label string
---@field available? dg_lsp.Available
---@field installed? dg_lsp.Installed

--- The objects in lines of JSON.
---@param printed string
---@return table[]
function M.rows(printed)
  local rows = {}
  for line in vim.gsplit(printed, '\n', { trimempty = true }) do
    local ok, row = pcall(vim.json.decode, line)
    if ok and type(row) == 'table' then
      rows[#rows + 1] = row
    end
  end
  return rows
end

--- Bytes in words.
---@param bytes integer
---@return string
function M.size(bytes)
  if bytes >= 1e9 then
    return ('%.1f GB'):format(bytes / 1e9)
  end
  return ('%.0f MB'):format(bytes / 1e6)
end

---@param model dg_lsp.Available
---@return string
local function verdict(model)
  if #model.obstacles > 0 then
    return 'does not fit: ' .. table.concat(model.obstacles, ' ')
  end
  return model.is_best and 'the best that fits this machine' or 'fits this machine'
end

--- What to choose from: models to download, then those that are installed.
---@param available dg_lsp.Available[]
---@param installed dg_lsp.Installed[]
---@return dg_lsp.ModelChoice[]
function M.choices(available, installed)
  local choices = {}
  for _, model in ipairs(available) do
    if not model.is_here then
      local sizes = ('%s to download, %s on disk afterwards'):format(
        M.size(model.download_bytes),
        M.size(model.kept_bytes)
      )
      local parts = { model.about, sizes, 'licence: ' .. model.licence, verdict(model) }
      if model.is_begun then
        table.insert(parts, 2, 'partly downloaded')
      end
      vim.list_extend(parts, model.published)
      choices[#choices + 1] = { label = 'Get ' .. table.concat(parts, '; '), available = model }
    end
  end
  for _, model in ipairs(installed) do
    local parts = { model.name, M.size(model.bytes) }
    if model.default then
      parts[#parts + 1] = 'used by default'
    end
    if model.name == M.BUNDLED then
      parts[#parts + 1] = 'only a demonstration'
    elseif model.checksum == 'wrong' or model.checksum == 'damaged' then
      parts[#parts + 1] = 'damaged'
    end
    choices[#choices + 1] = { label = 'Use ' .. table.concat(parts, '; '), installed = model }
  end
  return choices
end

--- What a user of the bundled model is told once. Nobody asked for it, so it fits into a line of
--- 80 columns: a longer message would stop the typing until Enter is pressed.
---@param available dg_lsp.Available[]
---@return string
function M.hint(available)
  for _, model in ipairs(available) do
    if model.is_best then
      return ('a demonstration model; :DgLsp models has %s'):format(model.about:match('^[^:]*'))
    end
  end
  return 'a demonstration model; :DgLsp models says why no other fits'
end

--- How far a download is.
---@param event { what: string, done: integer, total: integer }
---@return string message, integer percent
function M.progress(event)
  local message = ('%s: %s of %s'):format(event.what, M.size(event.done), M.size(event.total))
  return message, math.floor(100 * event.done / math.max(1, event.total))
end

return M

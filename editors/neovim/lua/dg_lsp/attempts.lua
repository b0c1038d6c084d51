--- The attempts at a rewrite that have written something, as plain data.
local M = {}

--- The most texts that the server takes.
local MOST_SHOWN = 256

---@class dg_lsp.Attempt
---@field lines string[]
---@field warning string? What is wrong with them.
---@field confidence dg_lsp.Runs?
---@field seed integer
---@field strength number
---@field run string Its seed and its strength.

--- The attempts with a new one instead of an earlier one with the same seed and strength.
---@param all dg_lsp.Attempt[]
---@param new dg_lsp.Attempt
---@return dg_lsp.Attempt[]
function M.with(all, new)
  local others = vim.tbl_filter(function(attempt)
    return attempt.run ~= new.run
  end, all)
  table.insert(others, new)
  return others
end

--- What attempts with other seeds have written. The same text at another strength is welcome.
---@param all dg_lsp.Attempt[]
---@param seed integer
---@return string[]
function M.shown(all, seed)
  local texts = {}
  for _, attempt in ipairs(all) do
    local text = table.concat(attempt.lines, '\n')
    if attempt.seed ~= seed and not vim.tbl_contains(texts, text) then
      texts[#texts + 1] = text
    end
  end
  return vim.list_slice(texts, math.max(1, #texts - MOST_SHOWN + 1))
end

return M

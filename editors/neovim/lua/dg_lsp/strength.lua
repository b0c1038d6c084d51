--- The strength of a rewrite: which share of the text starts as noise.
local M = {}

M.USUAL = 0.6
local NOTCHES = 10

--- The strength one notch up (1) or down (-1), or the same at the end of the dial.
---@param strength number
---@param by 1|-1
---@return number
function M.turned(strength, by)
  local notch = math.floor(strength * NOTCHES + 0.5) + by
  return math.min(NOTCHES, math.max(1, notch)) / NOTCHES
end

---@param strength number
---@return string
function M.percent(strength)
  return ('%d%%'):format(math.floor(strength * 100 + 0.5))
end

return M

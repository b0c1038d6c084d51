--- The highlight groups, each with a default that a colour scheme or a user may override.
local M = {}

local LINKS = {
  DgLspRest = 'Normal',
  DgLspReplaced = 'DiffDelete',
  DgLspInserted = 'DiffAdd',
  DgLspHint = 'Comment',
  DgLspMasked = 'DgLspDraft1',
  DgLspWarning = 'DiagnosticWarn',
  DgLspUnsure = 'DiagnosticUnderlineHint',
}
-- From barely visible to as visible as ghost text.
local SHARES = { 0.4, 0.6, 0.8, 1.0 }

---@param name string
---@return vim.api.keyset.get_hl_info
local function group(name)
  return vim.api.nvim_get_hl(0, { name = name, link = false })
end

---@param from integer
---@param to integer
---@param share number
---@return integer
local function blend(from, to, share)
  local mixed = 0
  for shift = 16, 0, -8 do
    local low = bit.band(bit.rshift(from, shift), 255)
    local high = bit.band(bit.rshift(to, shift), 255)
    mixed = mixed * 256 + math.floor(low + (high - low) * share + 0.5)
  end
  return mixed
end

--- Define the groups from the current colours.
function M.define()
  for name, link in pairs(LINKS) do
    vim.api.nvim_set_hl(0, name, { default = true, link = link })
  end
  local normal, ghost = group('Normal'), group('ComplHint')
  if ghost.fg == nil then
    ghost = group('NonText')
  end
  local background = normal.bg or (vim.o.background == 'dark' and 0x000000 or 0xffffff)
  for level, share in ipairs(SHARES) do
    local name = 'DgLspDraft' .. level
    if ghost.fg == nil then
      vim.api.nvim_set_hl(0, name, { default = true, link = 'NonText' })
    else
      local colour = blend(background, ghost.fg, share)
      vim.api.nvim_set_hl(0, name, { default = true, fg = colour, ctermfg = ghost.ctermfg })
    end
  end
end

return M

local strength = require('dg_lsp.strength')
local same = _G.same

local function turns(by)
  local seen = { strength.USUAL }
  for _ = 1, 6 do
    table.insert(seen, strength.turned(seen[#seen], by))
  end
  return vim.tbl_map(strength.percent, seen)
end

return {
  ['the dial has ten notches, and stops at both ends'] = function()
    same(turns(1), { '60%', '70%', '80%', '90%', '100%', '100%', '100%' })
    same(turns(-1), { '60%', '50%', '40%', '30%', '20%', '10%', '10%' })
  end,
}

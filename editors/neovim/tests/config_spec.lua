local config = require('dg_lsp.config')
local same = _G.same

local function refused(given)
  local ok, message = pcall(config.set, given)
  same(ok, false)
  return message
end

return {
  ['what is given is laid over the defaults'] = function()
    config.set({ keys = { accept = '<C-y>', next = false }, settings = { trigger = 'manual' } })
    same(config.now.keys.accept, '<C-y>')
    same(config.now.keys.next, false)
    same(config.now.keys.dismiss, '<C-]>')
    same(config.now.settings, { trigger = 'manual' })
    config.set()
    same(config.now.keys.accept, '<Tab>')
  end,
  ['a key of a rewrite is one, a list, or none'] = function()
    config.set({ rewrite_keys = { freer = { '>' }, closer = '<', later = false } })
    same(config.now.rewrite_keys.freer, { '>' })
    same(config.now.rewrite_keys.closer, '<')
    same(config.now.rewrite_keys.later, false)
    same(config.now.rewrite_keys.earlier, '(')
    local wrong = 'is 3; a string or a list of strings is needed'
    same(refused({ rewrite_keys = { freer = 3 } }), 'dg-lsp: rewrite_keys.freer ' .. wrong)
    refused({ rewrite_keys = { freer = { 'a', 3 } } })
    refused({ rewrite_keys = { louder = '+' } })
    config.set()
  end,
  ['what is wrong is named, and nothing changes'] = function()
    config.set({ restarts = 5 })
    same(refused({ rstarts = 1 }), 'dg-lsp: rstarts is not known')
    same(refused({ keys = { accept = 3 } }), 'dg-lsp: keys.accept is 3; a string is needed')
    same(refused({ drafts = false, menu = 'x' }), "dg-lsp: menu is 'x'; 'hide' or 'show' is needed")
    same(config.now.restarts, 5)
    same(config.now.drafts, true)
    config.set()
  end,
}

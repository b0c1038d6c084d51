--- Whether a completion menu is open: Neovim's own, blink.cmp's or nvim-cmp's.
local M = {}

---@return boolean
function M.is_open()
  if vim.fn.pumvisible() == 1 then
    return true
  end
  -- Queried only if they are loaded, because this must not load them.
  local blink = package.loaded['blink.cmp']
  if blink and blink.is_menu_visible and blink.is_menu_visible() then
    return true
  end
  local cmp = package.loaded['cmp']
  return cmp ~= nil and cmp.visible ~= nil and cmp.visible() == true
end

local is_cmp_watched = false

--- Call back when menus open and close.
---@param group integer Of the autocommands.
---@param on_change fun(bufnr: integer)
function M.watch(group, on_change)
  local function changed()
    -- A menu that closes is still open while its event runs.
    vim.schedule(function()
      on_change(vim.api.nvim_get_current_buf())
    end)
  end
  local function listen(event, pattern)
    vim.api.nvim_create_autocmd(event, { group = group, pattern = pattern, callback = changed })
  end
  listen({ 'CompleteChanged', 'CompleteDone' })
  listen('User', { 'BlinkCmpMenuOpen', 'BlinkCmpMenuClose' })
  -- nvim-cmp has no autocommands, and is often loaded with the first insert mode.
  vim.api.nvim_create_autocmd('InsertEnter', {
    group = group,
    callback = function()
      local cmp = package.loaded['cmp']
      if cmp and cmp.event and not is_cmp_watched then
        is_cmp_watched = true
        cmp.event:on('menu_opened', changed)
        cmp.event:on('menu_closed', changed)
      end
    end,
  })
end

return M

--- Shows Markdown pages in a separate window, which `q` closes.
local api = vim.api
local M = {}

--- Show a page, replacing an older one with the same name.
---@param name string
---@param markdown string
---@return integer bufnr
function M.show(name, markdown)
  local uri = 'dg-lsp://' .. name
  local bufnr = vim.fn.bufnr('^' .. uri .. '$')
  if bufnr < 0 then
    bufnr = api.nvim_create_buf(false, true)
    api.nvim_buf_set_name(bufnr, uri)
  end
  vim.bo[bufnr].modifiable = true
  api.nvim_buf_set_lines(bufnr, 0, -1, false, vim.split(vim.trim(markdown), '\n'))
  vim.bo[bufnr].modifiable = false
  vim.bo[bufnr].bufhidden = 'wipe'
  local window = vim.fn.bufwinid(bufnr)
  if window < 0 then
    vim.cmd.split()
    api.nvim_win_set_buf(0, bufnr)
  else
    api.nvim_set_current_win(window)
  end
  vim.bo[bufnr].filetype = 'markdown'
  vim.wo[0][0].wrap = true
  vim.wo[0][0].linebreak = true
  vim.wo[0][0].list = false
  vim.wo[0][0].conceallevel = 2
  api.nvim_win_set_cursor(0, { 1, 0 })
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = bufnr, desc = 'Close this page' })
  return bufnr
end

return M

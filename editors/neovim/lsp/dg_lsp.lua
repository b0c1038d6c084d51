-- For `vim.lsp.enable('dg_lsp')`, with or without the plugin. The server itself decides which
-- languages and files it completes, by its settings; see docs/settings.md.
---@type vim.lsp.Config
return {
  cmd = { 'dg-lsp', 'serve' },
  root_markers = { '.git' },
}

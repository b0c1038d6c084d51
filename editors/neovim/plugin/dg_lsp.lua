-- Nothing is loaded until the command is used or setup() is called.
vim.api.nvim_create_user_command('DgLsp', function(args)
  require('dg_lsp.command').run(args)
end, {
  nargs = '+',
  range = true,
  desc = 'Rewrite a selection, or look after dg-lsp',
  complete = function(lead, line)
    return require('dg_lsp.command').complete(lead, line)
  end,
})

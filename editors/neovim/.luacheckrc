std = 'luajit'
read_globals = { 'vim' }
globals = { 'vim.bo', 'vim.b', 'vim.g', 'vim.o', 'vim.wo', 'vim.env' }
max_line_length = 100

-- Runs the specs of the pure modules: nvim -l specs.lua [SPEC...]. A spec returns a table of
-- functions by what they show; one that raises has failed. The last line counts them.
local directory = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, 'S').source:sub(2)))
vim.opt.runtimepath:prepend(vim.fs.dirname(directory))

--- Raise where two values differ, and show both.
function _G.same(found, expected)
  if not vim.deep_equal(found, expected) then
    error(('found    %s\nexpected %s'):format(vim.inspect(found), vim.inspect(expected)), 2)
  end
end

local files = #arg > 0 and arg or vim.fn.glob(directory .. '/*_spec.lua', false, true)
local num_passed, num_failed = 0, 0
for _, file in ipairs(files) do
  for name, run in vim.spairs(dofile(file)) do
    local ok, wrong = xpcall(run, debug.traceback)
    if ok then
      num_passed = num_passed + 1
    else
      num_failed = num_failed + 1
      print(('FAILED %s: %s\n%s'):format(vim.fs.basename(file), name, wrong))
    end
  end
end
print(('%d passed, %d failed'):format(num_passed, num_failed))
os.exit(num_failed == 0 and num_passed > 0 and 0 or 1)

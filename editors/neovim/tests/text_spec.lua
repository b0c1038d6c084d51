local text = require('dg_lsp.text')
local same = _G.same

---@param given table<string, string> What is taken of each text.
local function takes(take, given)
  for whole, part in pairs(given) do
    same({ whole, take(whole) }, { whole, part })
  end
end

local function place(head, tail, row)
  return { row = row or 0, head = head, tail = tail or '', count = 3 }
end

return {
  ['a word comes with the blanks before it'] = function()
    takes(text.first_word, {
      ['alpha + beta'] = 'alpha',
      [' + beta'] = ' +',
      ['  x'] = '  x',
      ['\n    print(i)'] = '\n    print',
      ['(i)'] = '(',
      ['snake_case2.x'] = 'snake_case2',
      ['naïve圆 x'] = 'naïve圆',
      ['   '] = '   ',
      [''] = '',
    })
  end,
  ['a line ends before its line end, and one at the start belongs to the next'] = function()
    takes(text.first_line, {
      ['a\nb\nc'] = 'a',
      ['\nb\nc'] = '\nb',
      ['\n\nc'] = '\n',
      ['a'] = 'a',
      [''] = '',
    })
  end,
  ['whatever ends the lines'] = function()
    same(text.lines('a\r\nb\rc\n\nd'), { 'a', 'b', 'c', '', 'd' })
  end,
  ['what only one of two texts has, in words and other characters'] = function()
    local function differ(old, new)
      local function parts(of, offsets)
        return vim.tbl_map(function(part)
          return of:sub(part[1] + 1, part[2])
        end, offsets)
      end
      local gone, written = text.differing(old, new)
      return { parts(old, gone), parts(new, written) }
    end
    same(differ('f(…, …)', 'f(a, b + 1)'), { { '…', '…' }, { 'a', 'b + 1' } })
    same(differ('a = …\nb = 1\nc = …', 'a = 2\nb = 1\nc = (\n)'), {
      { '…', '…' },
      { '2', '(\n)' },
    })
    same(differ('return total', 'return sum'), { { 'total' }, { 'sum' } })
    same(differ('größer = …', 'größer = 🙂'), { { '…' }, { '🙂' } })
    same(differ('a b', 'a b'), { {}, {} })
    same(differ('a b', 'b'), { { 'a ' }, {} })
    same(differ('…', ''), { { '…' }, {} })
    same(differ('', 'a\n'), { {}, { 'a\n' } })
  end,
  ['what was typed between two places'] = function()
    same(text.typed(place('x'), place('x')), '')
    same(text.typed(place('x', ')'), place('x = ', ')')), ' = ')
    same(text.typed(place('x'), place('')), nil)
    same(text.typed(place('x'), place('y')), nil)
    same(text.typed(place('x', ')'), place('x', '')), nil)
    same(text.typed(place('x'), place('x', '', 1)), nil)
    same(text.typed(place('x'), { row = 0, head = 'x', tail = '', count = 4 }), nil)
  end,
}

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

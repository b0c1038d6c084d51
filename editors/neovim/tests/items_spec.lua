local items = require('dg_lsp.items')
local same = _G.same

local function place(head, tail)
  return { row = 2, head = head, tail = tail or '', count = 5 }
end

local function item(text, from, to)
  local range = {
    start = { line = 2, character = from },
    ['end'] = { line = 2, character = to or from },
  }
  return { insertText = text, range = range }
end

local function answer(...)
  return { place = place('é = '), items = { ... }, index = 1 }
end

return {
  ['typing along leaves the rest, behind what was typed, in the units of the server'] = function()
    local whole = answer(item('ünder', 4))
    same(items.left(whole, place('é = ü'), 'utf-16'), { item('nder', 5) })
    same(items.left(answer(item('ünder', 5)), place('é = ü'), 'utf-8'), { item('nder', 7) })
  end,
  ['what disagrees with the typed text, or was typed to its end, is left out'] = function()
    local three = answer(item('abc', 4), item('axe', 4), item('ab', 4))
    same(items.left(three, place('é = ab'), 'utf-16'), { item('c', 6) })
    same(items.left(three, place('é = z'), 'utf-16'), {})
    same(items.left(three, place('gone'), 'utf-16'), {})
  end,
  ['the selected one comes first'] = function()
    local three = answer(item('a', 4), item('b', 4), item('c', 4))
    three.index = 3
    local order = vim.tbl_map(function(one)
      return one.insertText
    end, items.left(three, place('é = '), 'utf-16'))
    same(order, { 'c', 'a', 'b' })
  end,
  ['what an item replaces is counted in bytes'] = function()
    local whole = answer(item('x)', 4, 6))
    whole.place = place('é = ', 'é)')
    same(items.replaced(whole, 'x)', 'utf-16'), 3)
    same(items.replaced(whole, 'other', 'utf-16'), 0)
  end,
  ['a rest at a place goes before what follows, or in its place'] = function()
    same(items.at('x', place('é = ', 'ü)'), '', 'utf-16'), item('x', 4))
    same(items.at('x', place('é = ', 'ü)'), 'ü)', 'utf-16'), item('x', 4, 6))
    same(items.at('x', place('é = ', 'ü)'), 'ü)', 'utf-8'), item('x', 5, 8))
  end,
}

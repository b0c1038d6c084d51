local steps = require('dg_lsp.steps')
local same = _G.same

local function step(text)
  return { text = text, lines = {}, is_whole = true }
end

local function filled(...)
  local kept = steps.new()
  for _, run in ipairs({ ... }) do
    steps.begin(kept)
    for _, text in ipairs(run[2]) do
      steps.add(kept, run[1], step(text))
    end
  end
  return kept
end

local function texts(kept, name)
  return vim.tbl_map(function(one)
    return one.text
  end, steps.of(kept, name))
end

local function numbers(count, size)
  local all = {}
  for number = 1, count do
    all[number] = tostring(number) .. (' '):rep((size or 0) - #tostring(number))
  end
  return all
end

return {
  ['each run has the steps of its last time'] = function()
    local kept = filled({ '0.6', { 'a', 'b' } }, { '0.7', { 'c' } })
    same({ texts(kept, '0.6'), texts(kept, '0.7') }, { { 'a', 'b' }, { 'c' } })
    steps.begin(kept)
    same(texts(kept, '0.6'), { 'a', 'b' })
    steps.add(kept, '0.6', step('x'))
    same(texts(kept, '0.6'), { 'x' })
    same(texts(kept, '0.8'), {})
  end,
  ['a last step that is the result is not kept'] = function()
    local kept = filled({ 'run', { 'a', 'b' } })
    steps.finish(kept, 'run', 'b')
    same(texts(kept, 'run'), { 'a' })
    steps.finish(kept, 'run', 'c')
    steps.finish(kept, 'other', 'c')
    same(texts(kept, 'run'), { 'a' })
  end,
  ['the oldest runs go first'] = function()
    local many = numbers(steps.MOST_STEPS - 1)
    local kept = filled({ 'old', { 'a', 'b' } }, { 'new', many })
    same(texts(kept, 'old'), {})
    same(texts(kept, 'new'), many)
  end,
  ['of a long run every other step stays, from its beginning to its end'] = function()
    local left = texts(filled({ 'run', numbers(5 * steps.MOST_STEPS) }), 'run')
    assert(#left <= steps.MOST_STEPS and #left > steps.MOST_STEPS / 4)
    assert(tonumber(left[1]) < steps.MOST_STEPS / 4)
    same(tonumber(left[#left]), 5 * steps.MOST_STEPS)
    for index = 2, #left do
      assert(tonumber(left[index - 1]) < tonumber(left[index]))
    end
  end,
  ['the bytes are limited too'] = function()
    local left = texts(filled({ 'run', numbers(11, steps.MOST_BYTES / 4) }), 'run')
    assert(#left > 1 and #table.concat(left) <= steps.MOST_BYTES)
    same(vim.trim(left[#left]), '11')
  end,
}

local shading = require('dg_lsp.shading')
local same = _G.same

local NOISE, FAINT, CLEAR, SURE = 'DgLspDraft1', 'DgLspDraft2', 'DgLspDraft3', 'DgLspDraft4'

local function layout(lines, tail)
  return shading.layout(lines, tail, vim.fn.strdisplaywidth)
end

return {
  ['the surer, the clearer'] = function()
    same(vim.tbl_map(shading.group, { 0, 0.29, 0.3, 0.6, 0.9, 1 }), {
      NOISE,
      NOISE,
      FAINT,
      CLEAR,
      SURE,
      SURE,
    })
  end,
  ['runs are cut at line ends, and carriage returns are not drawn'] = function()
    local lines = shading.lines('ab\r\ncd\n', { { 0.95, 5 }, { 0.5, 2 } }, 'utf-8')
    same(lines, { { { 'ab', SURE } }, { { 'c', SURE }, { 'd', FAINT } }, {} })
  end,
  ['lengths are in the units of the client'] = function()
    local text = '圆🙂x'
    local expected = { { { '圆', SURE }, { '🙂', FAINT }, { 'x', NOISE } } }
    same(shading.lines(text, { { 1, 3 }, { 0.5, 4 }, { 0, 1 } }, 'utf-8'), expected)
    same(shading.lines(text, { { 1, 1 }, { 0.5, 2 }, { 0, 1 } }, 'utf-16'), expected)
    same(shading.lines(text, { { 1, 1 }, { 0.5, 1 }, { 0, 1 } }, 'utf-32'), expected)
  end,
  ['dots stand for tokens that are not decided'] = function()
    local draft = {
      text = '圆b\nc',
      confidence = { { 1, 2 }, { 0.5, 2 } },
      masked = { { 1, 2 }, { 4, 3 } },
    }
    same(shading.draft(draft, 'utf-16'), {
      { { '圆', SURE }, { '··', 'DgLspMasked' }, { 'b', SURE } },
      { { 'c', FAINT }, { '···', 'DgLspMasked' } },
    })
    same(shading.draft({ text = '', confidence = {}, masked = { { 0, 2 } } }, 'utf-8'), {
      { { '··', 'DgLspMasked' } },
    })
    same(shading.draft({ text = 'a', confidence = { { 1, 1 } } }, 'utf-8'), {
      { { 'a', SURE } },
    })
  end,
  ['only what is written is shaded'] = function()
    local REST = 'DgLspRest'
    local lines = { { { 'ab', SURE }, { 'cd', FAINT } }, {}, { { 'ef', SURE } } }
    same(shading.only(lines, { { 1, 3 }, { 7, 8 } }), {
      { { 'a', REST }, { 'b', SURE }, { 'c', FAINT }, { 'd', REST } },
      {},
      { { 'e', REST }, { 'f', SURE } },
    })
    same(shading.only(lines, { { 3, 7 } }), {
      { { 'ab', REST }, { 'c', REST }, { 'd', FAINT } },
      {},
      { { 'e', SURE }, { 'f', REST } },
    })
    same(shading.only(lines, { { 4, 6 } }), {
      { { 'ab', REST }, { 'cd', REST } },
      {},
      { { 'ef', REST } },
    })
    same(shading.only(lines, { { 0, 8 } }), lines)
    same(shading.only({}, {}), {})
  end,
  ['one line, or the end of a line: inline'] = function()
    local one, two = { { { 'a', SURE } } }, { { { 'a', SURE } }, { { 'b', SURE } } }
    same(layout(one, ')').position, 'inline')
    same(layout(two, ''), { first = two[1], position = 'inline', below = { two[2] } })
  end,
  ['the rest of the line goes behind the last line, and is covered where it was'] = function()
    local lines = { { { 'a', SURE } }, { { 'b', SURE } } }
    same(layout(lines, '圆)'), {
      first = { { 'a', SURE }, { '  ', 'DgLspRest' } },
      position = 'overlay',
      below = { { { 'b', SURE }, { '圆)', 'DgLspRest' } } },
    })
    same(lines, { { { 'a', SURE } }, { { 'b', SURE } } })
  end,
}

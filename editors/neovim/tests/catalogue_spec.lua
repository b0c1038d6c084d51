local catalogue = require('dg_lsp.catalogue')
local same = _G.same

local function model(changes)
  return vim.tbl_extend('force', {
    name = 'dreamon',
    about = 'DreamOn 7B: infills',
    licence = 'apache-2.0',
    download_bytes = 15.2e9,
    kept_bytes = 5.6e9,
    is_here = false,
    is_begun = false,
    is_best = false,
    obstacles = {},
    published = {},
  }, changes or {})
end

local BUNDLED = { name = 'bundled', bytes = 12.6e6, default = true, checksum = 'ok' }

local function labels(available, installed)
  return vim.tbl_map(function(choice)
    return choice.label
  end, catalogue.choices(available, installed or {}))
end

return {
  ['lines that are not JSON are left out'] = function()
    same(catalogue.rows('warning\n{"a": 1}\n\n{"b": 2}\n'), { { a = 1 }, { b = 2 } })
  end,
  ['a model says its size, its licence and whether it fits'] = function()
    local sizes = '15.2 GB to download, 5.6 GB on disk afterwards; licence: apache-2.0; '
    local all = {
      model({ is_best = true, published = { 'Infilling: 90.8 (a paper)' } }),
      model({ is_begun = true }),
      model({ obstacles = { 'No GPU.', 'No disk.' } }),
    }
    same(labels(all), {
      'Get DreamOn 7B: infills; '
        .. sizes
        .. 'the best that fits this machine; Infilling: 90.8 (a paper)',
      'Get DreamOn 7B: infills; partly downloaded; ' .. sizes .. 'fits this machine',
      'Get DreamOn 7B: infills; ' .. sizes .. 'does not fit: No GPU. No disk.',
    })
  end,
  ['what is installed is used, not downloaded'] = function()
    local mine = { name = 'mine', bytes = 2e9, default = false, checksum = 'damaged' }
    same(labels({ model({ is_here = true }) }, { BUNDLED, mine }), {
      'Use bundled; 13 MB; used by default; only a demonstration',
      'Use mine; 2.0 GB; damaged',
    })
  end,
  ['a user of the bundled model hears what this machine could run'] = function()
    local said = catalogue.hint({ model(), model({ about = 'B 1B: x', is_best = true }) })
    same(said, 'a demonstration model; :DgLsp models has B 1B')
    same(catalogue.hint({ model() }):find('no other fits', 1, true) ~= nil, true)
  end,
  ['what nobody asked for fits into a line'] = function()
    local longest = 'DiffusionGemma 26B in int4: needs no packing'
    local said = catalogue.hint({ model({ about = longest, is_best = true }) })
    same(#('dg-lsp: ' .. said) < 80, true)
  end,
  ['progress has a message and a percentage'] = function()
    local message, percent = catalogue.progress({ what = 'downloading', done = 13e9, total = 52e9 })
    same({ message, percent }, { 'downloading: 13.0 GB of 52.0 GB', 25 })
    same({ catalogue.progress({ what = 'x', done = 0, total = 0 }) }, { 'x: 0 MB of 0 MB', 0 })
  end,
}

--- Keeps the drafts of a rewrite, so that the user can walk back and forth through the steps in
--- which a text came about. A pure data structure.
local M = {}

-- Of all runs together.
M.MOST_STEPS = 256
M.MOST_BYTES = 1000000

---@class dg_lsp.Step A draft.
---@field lines dg_lsp.Chunk[][] As it is drawn.
---@field text string
---@field is_whole boolean Whether it has no gaps, so that it can be accepted as it is.

---@class dg_lsp.Steps
---@field runs { name: string, steps: dg_lsp.Step[] }[] The latest run comes last.
---@field is_new boolean Whether the run that has begun has no steps yet.

---@return dg_lsp.Steps
function M.new()
  return { runs = {}, is_new = false }
end

--- A run has started. What is kept of an earlier one of that name stays until it has steps.
---@param kept dg_lsp.Steps
function M.begin(kept)
  kept.is_new = true
end

--- The steps of a run, the first one first.
---@param kept dg_lsp.Steps
---@param name string
---@return dg_lsp.Step[]
function M.of(kept, name)
  for _, run in ipairs(kept.runs) do
    if run.name == name then
      return run.steps
    end
  end
  return {}
end

---@param kept dg_lsp.Steps
---@return boolean
local function fits(kept)
  local num_steps, num_bytes = 0, 0
  for _, run in ipairs(kept.runs) do
    num_steps = num_steps + #run.steps
    for _, step in ipairs(run.steps) do
      num_bytes = num_bytes + #step.text
    end
  end
  return num_steps <= M.MOST_STEPS and num_bytes <= M.MOST_BYTES
end

--- Drop the oldest runs, and of the last one every other step.
---@param kept dg_lsp.Steps
local function limit(kept)
  while not fits(kept) and #kept.runs > 1 do
    table.remove(kept.runs, 1)
  end
  if not fits(kept) then
    local all, left = kept.runs[1].steps, {}
    for index = #all, 1, -2 do
      table.insert(left, 1, all[index])
    end
    kept.runs[1].steps = left
  end
end

---@param kept dg_lsp.Steps
---@param name string Of the run.
---@param step dg_lsp.Step
function M.add(kept, name, step)
  local steps = kept.is_new and {} or M.of(kept, name)
  kept.is_new = false
  table.insert(steps, step)
  kept.runs = vim.tbl_filter(function(run)
    return run.name ~= name
  end, kept.runs)
  table.insert(kept.runs, { name = name, steps = steps })
  limit(kept)
end

--- The run has ended with this text, which need not be kept as its last step too.
---@param kept dg_lsp.Steps
---@param name string
---@param text string
function M.finish(kept, name, text)
  local steps = M.of(kept, name)
  if #steps > 0 and steps[#steps].text == text then
    table.remove(steps)
  end
end

return M

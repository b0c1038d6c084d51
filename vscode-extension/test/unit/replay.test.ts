import { describe, expect, test } from "vitest";
import { keysOf, spellsOf } from "../../scripts/replay.mjs";

test("blanks at the start of a line are the editor's, taken back where they are too many", () => {
  const keys = keysOf("if a:\n    b\nc");
  expect(keys).toEqual([..."if a:", "Enter", "b", "Enter", "Backspace", "c"]);
});

test("a line with a mark is indented with Tab, from the margin", () => {
  const keys = keysOf("if a:\n    b\n\n⇥    c");
  expect(keys.slice(-4)).toEqual(["Enter", "Backspace", "Tab", "c"]);
});

describe("spells", () => {
  const frame = (atMs: number, draft: string, ghost = "") => ({
    atMs,
    drafts: draft === "" ? [] : [draft],
    ghost,
  });

  test("settle with ghost text, however they began", () => {
    const frames = [
      frame(0, ""),
      frame(1, "a"),
      frame(2, "", "ab"),
      frame(3, "", "b"),
      frame(4, ""),
    ];
    const [spell, ...others] = spellsOf(frames, [3]);
    expect(others).toEqual([]);
    expect(spell).toMatchObject({ hasSettled: true, hasKey: true, startMs: 1, endMs: 4 });
  });

  test("vanish with a key between their first frame and their last, or by themselves", () => {
    const frames = [frame(1, "a"), frame(4, ""), frame(5, "b"), frame(8, "")];
    expect(spellsOf(frames, [6])).toMatchObject([
      { hasSettled: false, hasKey: false },
      { hasSettled: false, hasKey: true },
    ]);
  });

  test("are not made of blanks", () => {
    expect(spellsOf([frame(0, "   "), frame(1, "", "  ")], [])).toEqual([]);
  });
});

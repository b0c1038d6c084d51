import { describe, expect, test } from "vitest";
import { diffRows } from "../../src/diff";
import type { Row } from "../../src/overlay";

const FRAME = { before: "", after: "" };

function shown(rows: Row[]): string[] {
  const signs = { same: " ", added: "+", removed: "-", ghost: "?", warning: "!" };
  return rows.map((row) => signs[row.look] + row.runs.map((run) => run.text).join(""));
}

describe("diffRows", () => {
  test("what goes stands before what comes", () => {
    const rows = diffRows(FRAME, "a\nb\nc", "a\nB\nc", [[1, 5]]);
    expect(shown(rows)).toEqual([" a", "-b", "+B", " c"]);
  });

  test("lines are whole, though the selection is not", () => {
    const frame = { before: "x = ", after: "  # one" };
    expect(shown(diffRows(frame, "1", "2", [[1, 1]]))).toEqual(["-x = 1  # one", "+x = 2  # one"]);
  });

  test("what is known is sure, what is drafted is as sure as it is", () => {
    const frame = { before: "x", after: "z" };
    const [, added] = diffRows(frame, "y", "ab", [[0.5, 1]]);
    expect(added?.runs).toEqual([
      { text: "x", probability: 1 },
      { text: "a", probability: 0.5 },
      { text: "b", probability: 0 },
      { text: "z", probability: 1 },
    ]);
  });

  describe("if only parts of a text are written, what stays is set apart", () => {
    const marked = (rows: Row[]) =>
      rows.map((row) => row.runs.map(({ text, stays }) => (stays ? text : `[${text}]`)).join(""));
    const parts = (old: string, text: string, frame = FRAME) =>
      marked(diffRows(frame, old, text, [[0.5, text.length]], true));

    test.each([
      ["f(…, …)", "f(a, b + 1)", ["f([…], […])", "f([a], [b + 1])"]],
      [
        "a = …\nb = 1\nc = …",
        "a = 2\nb = 1\nc = 3",
        ["a = […]", "a = [2]", "[b = 1]", "c = […]", "c = [3]"],
      ],
      ["x = …", "x = (\n    1\n)", ["x = […]", "x = [(]", "[    1]", "[)]"]],
      ["return total", "return sum", ["return [total]", "return [sum]"]],
      ["größer = …", "größer = 🙂", ["größer = […]", "größer = [🙂]"]],
      ["…", "new", ["[…]", "[new]"]],
    ])("%j to %j", (old, text, rows) => {
      expect(parts(old, text)).toEqual(rows);
    });

    test("with the text beside the selection", () => {
      const frame = { before: "x = ", after: "  # one" };
      expect(parts("…", "2", frame)).toEqual(["x = […]  # one", "x = [2]  # one"]);
    });

    test("what is written keeps its confidence, and what stays is sure", () => {
      const rows = diffRows(
        FRAME,
        "f(…)",
        "f(ab)",
        [
          [0.3, 3],
          [0.5, 2],
        ],
        true,
      );
      expect(rows.at(-1)?.runs).toEqual([
        { text: "f(", probability: 1, stays: true },
        { text: "a", probability: 0.3 },
        { text: "b", probability: 0.5 },
        { text: ")", probability: 1, stays: true },
      ]);
    });

    test("a rewrite is marked line by line", () => {
      expect(diffRows(FRAME, "a b", "a c", [[1, 3]]).some(({ runs }) => runs.length > 1)).toBe(
        false,
      );
    });
  });

  test("line ends of Windows are no change", () => {
    expect(shown(diffRows(FRAME, "a\r\nb", "a\nb", [[1, 3]]))).toEqual([" a", " b"]);
  });
});

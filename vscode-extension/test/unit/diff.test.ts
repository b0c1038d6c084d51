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

  test("line ends of Windows are no change", () => {
    expect(shown(diffRows(FRAME, "a\r\nb", "a\nb", [[1, 3]]))).toEqual([" a", " b"]);
  });
});

/** The changes of a rewrite one by one. */
import { describe, expect, test } from "vitest";
import { hunksOf, movedBy, withHunk, type Hunk } from "../../src/hunks";

const NO_FRAME = { before: "", after: "" };

describe("each change", () => {
  test.each([
    ["a\nb\nc", "a\nB\nc", ["a\nB\nc"]],
    ["a\nb\nc", "A\nb\nC", ["A\nb\nc", "a\nb\nC"]],
    ["a\nb", "new\na\nb", ["new\na\nb"]],
    ["a\nb", "a\nb\nnew", ["a\nb\nnew"]],
    ["a\nb\nc", "b", ["b\nc", "a\nb"]],
    ["a\nb\n", "a\nb", ["a\nb"]],
    ["a", "a", []],
  ])("of %j to %j", (old, text, alone) => {
    const hunks = hunksOf(NO_FRAME, old, text);
    expect(hunks.map((hunk) => withHunk(NO_FRAME, old, hunk, "\n"))).toEqual(alone);
  });

  test("leaves what stands beside the text in its lines as it is", () => {
    const frame = { before: "    ", after: "  # end" };
    const old = "n = 0\n    return n";
    const text = "n = 1\n    pass\n    return m";
    const [hunk] = hunksOf(frame, old, text);
    expect(hunk && withHunk(frame, old, hunk, "\n")).toBe(text);
    const longer = hunksOf(frame, "a\n    b\n    c", "A\n    b\n    C");
    expect(longer.map((one) => withHunk(frame, "a\n    b\n    c", one, "\n"))).toEqual([
      "A\n    b\n    c",
      "a\n    b\n    C",
    ]);
  });

  test("has the line ends of the document", () => {
    const [hunk] = hunksOf(NO_FRAME, "a\r\nb\r\nc", "a\nB\n2\nc");
    expect(hunk && withHunk(NO_FRAME, "a\r\nb\r\nc", hunk, "\r\n")).toBe("a\r\nB\r\n2\r\nc");
  });
});

test("one after the other makes the whole rewrite, in any order", () => {
  const lines = (text: string) => [...text].join("\n");
  for (const [old, text] of [
    ["abcdefgh", "aXcdYZgh"],
    ["abcdefgh", "bdfh"],
    ["abc", "1a2b3c4"],
    ["aabbaabb", "abababab"],
  ]) {
    for (const which of [0, -1]) {
      let now = lines(old ?? "");
      const wanted = lines(text ?? "");
      for (let hunks = hunksOf(NO_FRAME, now, wanted); hunks.length > 0;) {
        const hunk = hunks.at(which);
        now = hunk === undefined ? now : withHunk(NO_FRAME, now, hunk, "\n");
        hunks = hunksOf(NO_FRAME, now, wanted);
      }
      expect(now).toBe(wanted);
    }
  }
});

describe("other parts of the text move with a change", () => {
  const frame = { before: "x = ", after: "  # end" };
  const old = "1\ntwo\nthree\n4";
  const text = "1\nTWO\n2\nthree\nfour";
  const [middle, last] = hunksOf(frame, old, text);
  const of = (hunk: Hunk | undefined, start: number, end: number) =>
    hunk && movedBy(frame, old, hunk, "\n", [{ start, end }]);

  test.each([
    ["before it", 0, 1, [{ start: 0, end: 1 }]],
    ["right before it", 1, 1, [{ start: 1, end: 1 }]],
    ["in its lines", 2, 5, []],
    ["empty, in its lines", 3, 3, []],
    ["empty, at its start", 2, 2, []],
    ["after it", 6, 11, [{ start: 8, end: 13 }]],
    ["empty, right after it", 6, 6, [{ start: 8, end: 8 }]],
    ["around it", 0, 11, [{ start: 0, end: 13 }]],
    ["that end in it", 0, 4, [{ start: 0, end: 2 }]],
    ["that begin in it", 4, 11, [{ start: 8, end: 13 }]],
  ])("those %s", (_, start, end, parts) => {
    expect(of(middle, start, end)).toEqual({ parts, written: { start: 2, end: 8 } });
  });

  test("at the end of the text, which ends within a line", () => {
    expect(of(last, 12, 13)).toEqual({ parts: [], written: { start: 12, end: 16 } });
    expect(of(last, 0, 1)?.parts).toEqual([{ start: 0, end: 1 }]);
  });
});

test("rows of the diff that belong to a change", () => {
  const hunks = hunksOf(NO_FRAME, "one\ntwo\nthree", "ONE\ntwo\nTHREE\n3");
  expect(hunks.map(({ row, numRows }) => [row, numRows])).toEqual([
    [0, 2],
    [3, 3],
  ]);
});

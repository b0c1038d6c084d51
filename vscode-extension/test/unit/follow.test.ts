import { expect, test } from "vitest";
import { followed, stretched, typedAt } from "../../src/follow";

const SPAN = { start: 10, end: 20 };

test.each([
  ["before", { rangeOffset: 2, rangeLength: 0, text: "abc" }, { start: 13, end: 23 }],
  ["up to its start", { rangeOffset: 5, rangeLength: 5, text: "" }, { start: 5, end: 15 }],
  ["at its start", { rangeOffset: 10, rangeLength: 0, text: "ab" }, { start: 12, end: 22 }],
  ["at its end", { rangeOffset: 20, rangeLength: 0, text: "ab" }, SPAN],
  ["behind it", { rangeOffset: 25, rangeLength: 3, text: "" }, SPAN],
  ["in it", { rangeOffset: 15, rangeLength: 0, text: "x" }, undefined],
  ["over its start", { rangeOffset: 9, rangeLength: 2, text: "" }, undefined],
  ["over all of it", { rangeOffset: 0, rangeLength: 99, text: "" }, undefined],
])("an edit %s", (_, change, expected) => {
  expect(followed(SPAN, [change])).toEqual(expected);
});

test("several edits of one event", () => {
  const changes = [
    { rangeOffset: 30, rangeLength: 0, text: "xx" },
    { rangeOffset: 0, rangeLength: 0, text: "ab" },
    { rangeOffset: 5, rangeLength: 1, text: "" },
  ];
  expect(followed(SPAN, changes)).toEqual({ start: 11, end: 21 });
});

test.each([
  [{ rangeOffset: 3, rangeLength: 0, text: "it" }, "it"],
  [{ rangeOffset: 3, rangeLength: 0, text: "x" }, undefined],
  [{ rangeOffset: 4, rangeLength: 0, text: "i" }, undefined],
  [{ rangeOffset: 3, rangeLength: 1, text: "i" }, undefined],
  [{ rangeOffset: 3, rangeLength: 0, text: "" }, undefined],
])("typed along with a draft: %j", (change, expected) => {
  expect(typedAt(3, "items", [change])).toBe(expected);
});

test("more than one edit is not typing along", () => {
  const change = { rangeOffset: 3, rangeLength: 0, text: "i" };
  expect(typedAt(3, "items", [change, change])).toBeUndefined();
  expect(typedAt(3, "items", [])).toBeUndefined();
});

test.each([
  [4, 0, "xy", { start: 4, end: 10 }, "at its start"],
  [8, 0, "xy", { start: 4, end: 10 }, "at its end"],
  [5, 2, "", { start: 4, end: 6 }, "inside"],
  [4, 4, "xyz", { start: 4, end: 7 }, "all of it"],
  [0, 1, "xyz", { start: 6, end: 10 }, "before it"],
  [9, 1, "xyz", { start: 4, end: 8 }, "after it"],
  [3, 2, "", undefined, "over its start"],
  [7, 2, "", undefined, "over its end"],
])(
  "an edit at %i of %i characters to %j: %j, %s",
  (rangeOffset, rangeLength, text, expected, _) => {
    const span = { start: 4, end: 8 };
    expect(stretched(span, [{ rangeOffset, rangeLength, text }])).toEqual(expected);
  },
);

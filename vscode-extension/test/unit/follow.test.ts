import { expect, test } from "vitest";
import { followed, typedAt } from "../../src/follow";

const SPAN = { start: 10, end: 20 };

test.each([
  ["before", { offset: 2, length: 0, text: "abc" }, { start: 13, end: 23 }],
  ["up to its start", { offset: 5, length: 5, text: "" }, { start: 5, end: 15 }],
  ["at its start", { offset: 10, length: 0, text: "ab" }, { start: 12, end: 22 }],
  ["at its end", { offset: 20, length: 0, text: "ab" }, SPAN],
  ["behind it", { offset: 25, length: 3, text: "" }, SPAN],
  ["in it", { offset: 15, length: 0, text: "x" }, undefined],
  ["over its start", { offset: 9, length: 2, text: "" }, undefined],
  ["over all of it", { offset: 0, length: 99, text: "" }, undefined],
])("an edit %s", (_, change, expected) => {
  expect(followed(SPAN, [change])).toEqual(expected);
});

test("several edits of one event", () => {
  const changes = [
    { offset: 30, length: 0, text: "xx" },
    { offset: 0, length: 0, text: "ab" },
    { offset: 5, length: 1, text: "" },
  ];
  expect(followed(SPAN, changes)).toEqual({ start: 11, end: 21 });
});

test.each([
  [{ offset: 3, length: 0, text: "it" }, "it"],
  [{ offset: 3, length: 0, text: "x" }, undefined],
  [{ offset: 4, length: 0, text: "i" }, undefined],
  [{ offset: 3, length: 1, text: "i" }, undefined],
  [{ offset: 3, length: 0, text: "" }, undefined],
])("typed along with a draft: %j", (change, expected) => {
  expect(typedAt(3, "items", [change])).toBe(expected);
});

test("more than one edit is not typing along", () => {
  const change = { offset: 3, length: 0, text: "i" };
  expect(typedAt(3, "items", [change, change])).toBeUndefined();
  expect(typedAt(3, "items", [])).toBeUndefined();
});

/** Which parts of a text are unsure, and which were edited. */
import { describe, expect, test } from "vitest";
import { edited, unsureParts, wordAt } from "../../src/doubt";

const texts = (text: string, spans: { start: number; end: number }[]): string[] =>
  spans.map(({ start, end }) => text.slice(start, end));

describe("unsure parts", () => {
  test.each<[string, [number, number][], string[]]>([
    [
      "alpha + beta",
      [
        [0.9, 8],
        [0.3, 4],
      ],
      ["beta"],
    ],
    [
      "alpha + beta",
      [
        [0.9, 5],
        [0.3, 3],
        [0.4, 4],
      ],
      ["+ beta"],
    ],
    ["a\n    b\n", [[0.1, 8]], ["a", "b"]],
    ["  x", [[0.1, 2]], []],
    ["🙂 = é", [[0.4, 2]], ["🙂"]],
    ["sure", [[0.5, 4]], []],
    ["none", [], []],
  ])("%j with %j", (text, confidence, expected) => {
    expect(texts(text, unsureParts(text, confidence))).toEqual(expected);
  });
});

test.each([
  ["width * height + 1", "width * length + 1", "length"],
  ["width * height + 1", "width * height + 12", "12"],
  ["naïve = 1", "naïf = 1", "naïf"],
  ["a + b", "a - b", "-"],
  ["a + b", "a + b", undefined],
  ["a + b", "a  b", undefined],
])("of %j, what was edited in %j is %j", (accepted, now, expected) => {
  const found = edited(accepted, now);
  expect(found && now.slice(found.start, found.end)).toBe(expected);
});

test("the word at an offset", () => {
  expect(wordAt("a + foo_1", 6)).toEqual({ start: 4, end: 9 });
  expect(wordAt("a + b", 3)).toBeUndefined();
});

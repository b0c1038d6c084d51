import { describe, expect, test } from "vitest";
import {
  coveringRow,
  inlineRow,
  rowsOf,
  UNDECIDED,
  withoutStart,
  withPlaceholders,
} from "../../src/overlay";
import manifest from "../../package.json";

const NBSP = "\u00a0";

describe("rowsOf", () => {
  test("runs go to their lines", () => {
    expect(
      rowsOf("ab\ncd", [
        [0.9, 1],
        [0.5, 3],
        [0.1, 1],
      ]),
    ).toEqual([
      [
        { text: "a", probability: 0.9 },
        { text: "b", probability: 0.5 },
      ],
      [
        { text: "c", probability: 0.5 },
        { text: "d", probability: 0.1 },
      ],
    ]);
  });

  test.each(["\n", "\r\n", "\r"])("a line ends at %j", (end) => {
    const text = `a${end}${end}b`;
    expect(rowsOf(text, [[1, text.length]]).map((row) => row.map((run) => run.text))).toEqual([
      ["a"],
      [],
      ["b"],
    ]);
  });

  test("what nothing was said of is unsure", () => {
    expect(rowsOf("abc", [[1, 1]])).toEqual([
      [
        { text: "a", probability: 1 },
        { text: "bc", probability: 0 },
      ],
    ]);
  });
});

test("runs without their start", () => {
  const confidence = [
    [0.9, 2],
    [0.5, 3],
  ] as const;
  expect(withoutStart(confidence, 0)).toEqual(confidence);
  expect(withoutStart(confidence, 3)).toEqual([[0.5, 2]]);
  expect(withoutStart(confidence, 9)).toEqual([]);
});

describe("withPlaceholders", () => {
  const confidence = [
    [0.9, 2],
    [0.5, 1],
  ] as const;

  test("dots fill each gap, as undecided", () => {
    expect(
      withPlaceholders("abc", confidence, [
        [1, 2],
        [3, 4],
      ]),
    ).toEqual({
      text: "a··bc····",
      confidence: [
        [0.9, 1],
        [UNDECIDED, 2],
        [0.9, 1],
        [0.5, 1],
        [UNDECIDED, 4],
      ],
    });
  });

  test("a text without gaps is drawn as it is", () => {
    expect(withPlaceholders("abc", confidence, [])).toEqual({ text: "abc", confidence });
  });

  test("before anything is decided there are only gaps", () => {
    expect(withPlaceholders("", [], [[0, 3]])).toEqual({
      text: "···",
      confidence: [[UNDECIDED, 3]],
    });
  });
});

describe("rows as CSS", () => {
  const row = (text: string) => ({ look: "ghost", runs: [{ text, probability: 1 }] }) as const;

  test("spaces stay and tabs go to the next stop", () => {
    expect(inlineRow(row("a b\tc"), 4, 2).contentText).toBe(`a${NBSP}b${NBSP.repeat(3)}c`);
    expect(coveringRow(row("\tx"), 8, 0).contentText).toBe(`${NBSP.repeat(8)}x`);
  });

  test("each run has its own shade, the sure ones the full colour", () => {
    const runs = [
      { text: "sure", probability: 1 },
      { text: "ab", probability: 0 },
    ];
    const { textDecoration } = inlineRow({ look: "ghost", runs }, 4, 0);
    expect(textDecoration).toContain("100%, transparent) 0ch 4ch");
    expect(textDecoration).toContain("25%, transparent) 4ch 6ch");
    expect(textDecoration).toContain("background-clip: text;");
  });

  test("dots have a colour of their own, which a theme may choose", () => {
    const runs = [
      { text: "a", probability: 0.5 },
      { text: "···", probability: UNDECIDED },
    ];
    const { textDecoration } = inlineRow({ look: "ghost", runs }, 4, 0);
    const ids = manifest.contributes.colors.map((color) => color.id.replaceAll(".", "-"));
    const used = /var\(--vscode-(\S+)\) 1ch 4ch/.exec(textDecoration)?.[1];
    expect(ids).toContain(used);
  });

  test("what stays in a line that changes has no background, and no line through it", () => {
    const runs = [
      { text: "x = ", probability: 1, stays: true as const },
      { text: "…", probability: 1 },
    ];
    const added = coveringRow({ look: "added", runs }, 4, 0).textDecoration;
    const fill = "var(--vscode-diffEditor-insertedTextBackground)";
    expect(added).toContain(`transparent 0ch 4ch, ${fill} 4ch 5ch, transparent 5ch`);
    expect(coveringRow({ look: "removed", runs }, 4, 0).textDecoration).not.toContain(
      "line-through",
    );
    const all = coveringRow({ look: "removed", runs: runs.slice(1) }, 4, 0).textDecoration;
    expect(all).toContain("line-through");
  });

  test("a row below the end of the document is moved down, and an empty one still covers", () => {
    const empty = coveringRow({ look: "ghost", runs: [] }, 4, 3);
    expect(empty.contentText).toBe(NBSP);
    expect(empty.textDecoration).toContain("top: 3lh");
  });

  test("a pair of surrogates takes one column, and a text cannot leave the rule", () => {
    const { textDecoration } = inlineRow(row("😀b"), 4, 0);
    expect(textDecoration).toContain("0ch 2ch");
    expect(inlineRow(row("'; } * { color: red"), 4, 0).textDecoration).not.toContain("red");
  });
});

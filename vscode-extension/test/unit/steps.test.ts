import { describe, expect, test } from "vitest";
import type { Draft } from "../../src/lspExt";
import { MOST_CHARS, MOST_STEPS, stepOf, Steps } from "../../src/steps";

const step = (text: string) => ({ text, confidence: [], isWhole: true });
const texts = (steps: Steps, run: string) => steps.of(run).map(({ text }) => text);

function filled(...runs: [run: string, texts: string[]][]): Steps {
  const steps = new Steps();
  for (const [run, all] of runs) {
    steps.begin();
    all.forEach((text) => steps.add(run, step(text)));
  }
  return steps;
}

test("each run has the steps of its last time", () => {
  const steps = filled(["0.6", ["a", "b"]], ["0.7", ["c"]]);
  expect([texts(steps, "0.6"), texts(steps, "0.7")]).toEqual([["a", "b"], ["c"]]);
  steps.begin();
  expect(texts(steps, "0.6")).toEqual(["a", "b"]);
  steps.add("0.6", step("x"));
  expect(texts(steps, "0.6")).toEqual(["x"]);
  expect(steps.of("0.8")).toEqual([]);
});

test("a last step that is the result is not kept", () => {
  const steps = filled(["run", ["a", "b"]]);
  steps.finish("run", "b");
  expect(texts(steps, "run")).toEqual(["a"]);
  steps.finish("run", "c");
  steps.finish("other", "c");
  expect(texts(steps, "run")).toEqual(["a"]);
});

describe("what is kept is limited", () => {
  test("the oldest runs go first", () => {
    const many = Array.from({ length: MOST_STEPS - 1 }, (_, index) => `${index}`);
    const steps = filled(["old", ["a", "b"]], ["new", many]);
    expect(texts(steps, "old")).toEqual([]);
    expect(texts(steps, "new")).toEqual(many);
  });

  test("of a long run every other step stays, from its beginning to its end", () => {
    const many = Array.from({ length: 5 * MOST_STEPS }, (_, index) => `${index}`);
    const kept = filled(["run", many])
      .of("run")
      .map(({ text }) => Number(text));
    expect(kept.length).toBeLessThanOrEqual(MOST_STEPS);
    expect(kept.length).toBeGreaterThan(MOST_STEPS / 4);
    expect(kept).toEqual([...kept].sort((a, b) => a - b));
    expect(kept[0]).toBeLessThan(MOST_STEPS / 4);
    expect(kept.at(-1)).toBe(many.length - 1);
  });

  test("by their characters too", () => {
    const size = MOST_CHARS / 4;
    const many = Array.from({ length: 11 }, (_, index) => `${index}`.padEnd(size));
    const kept = texts(filled(["run", many]), "run");
    expect(kept.length).toBeGreaterThan(1);
    expect(kept.join("").length).toBeLessThanOrEqual(MOST_CHARS);
    expect(kept.at(-1)?.trim()).toBe("10");
  });
});

test.each([
  ["a + b", [], true, "a + b"],
  ["a + ", [[4, 2]], false, "a + ··"],
  ["a + \ufffd", [], false, "a + \ufffd"],
] as const)("a step of %j with the gaps %j", (text, masked, isWhole, drawn) => {
  const draft = { text, masked, confidence: [[1, text.length]] } as unknown as Draft;
  expect(stepOf(draft)).toMatchObject({ text: drawn, isWhole });
});

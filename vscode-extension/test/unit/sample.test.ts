import { afterEach, expect, test } from "vitest";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { openSample, withGaps } from "../../src/sample";
import { newContext } from "./fake/context";
import { workbench } from "./fake/workbench";

const FILES = fileURLToPath(new URL("../..", import.meta.url));

afterEach(() => workbench.focus(undefined));

test("gaps are taken out, and where they were is known", () => {
  expect(withGaps("a«b»c«»d«e»")).toEqual({ text: "acd", gaps: [1, 2, 3] });
});

test("the sample opens with the cursor in its first gap, and something is asked for", async () => {
  await openSample(newContext(path.join(FILES, "none"), FILES));
  const { document, selection } = workbench.active ?? {};
  expect(document?.getText()).not.toMatch(/[«»]/);
  const line = document?.lineAt(selection?.active.line ?? 0).text;
  expect(line?.slice(0, selection?.active.character)).toBe("        if name not in self.");
  expect(workbench.executed).toEqual([["editor.action.inlineSuggest.trigger"]]);
});

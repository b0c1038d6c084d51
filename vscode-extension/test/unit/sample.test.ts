import { afterEach, expect, test } from "vitest";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { openSample } from "../../src/sample";
import { newContext } from "./fake/context";
import { workbench } from "./fake/workbench";

const FILES = fileURLToPath(new URL("../..", import.meta.url));

afterEach(() => workbench.focus(undefined));

test("the sample opens at its unfinished line, and a suggestion is requested", async () => {
  await openSample(newContext(path.join(FILES, "none"), FILES));
  const { document, selection } = workbench.active ?? {};
  const line = document?.lineAt(selection?.active.line ?? 0).text;
  expect(line).toBe("        self.reserved[name] =");
  expect(selection?.active.character).toBe(line?.length);
  expect(workbench.executed).toEqual([["editor.action.inlineSuggest.trigger"]]);
});

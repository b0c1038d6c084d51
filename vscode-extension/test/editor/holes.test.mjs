/** Several holes are filled together: from marks and from several cursors. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until, Workplace } from "./harness.mjs";

const MARKED = `def area(width):
    side = …
    return …
`;
const FILLED = `def area(width):
    side = width + 1
    return side
`;
const OPEN = MARKED.replaceAll("…", "");

let workplace;
let window;

before(async () => {
  workplace = new Workplace({ "dgLsp.draftIntervalMs": 0, "dgLsp.trigger": "manual" });
  const answers = { "    side = ": ["width + 1|side"] };
  const scripted = workplace.scripted({ answers, num_drafts: 4, step_s: 0.1 });
  workplace.set({ "dgLsp.server.path": scripted });
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", MARKED));
});

// What a failed test has left on the screen.
afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

async function shown() {
  await window.previewReady();
  await until(async () => (await window.drafts()).includes("    return side"));
}

async function accepted(file, before) {
  assert.equal(await window.saved(file), before, "the document is as it was");
  await window.page.keyboard.press("Control+Enter");
  await until(async () => (await window.lenses()) === "");
  await window.holds(file, FILLED);
  await window.page.keyboard.press("Control+z");
  await window.holds(file, before);
}

test("all marks are filled with one preview, one accept and one undo", async () => {
  const file = workplace.file("marked.py", MARKED);
  await window.openFile("marked.py");
  await window.command("dg-lsp: Fill the Holes");
  await shown();
  await window.picture("vscode-holes");
  await accepted(file, MARKED);
});

test("the places of several cursors are filled together", async () => {
  const file = workplace.file("cursors.py", OPEN);
  await window.openFile("cursors.py");
  await window.goTo(2, 12);
  await window.command("Add Cursor Below");
  await window.page.keyboard.press("End");
  await window.command("dg-lsp: Fill the Holes");
  await shown();
  await accepted(file, OPEN);
});

test("all marks are filled from the menu at one of them", async () => {
  const file = workplace.file("menu.py", MARKED);
  await window.openFile("menu.py");
  await window.goTo(3, 12);
  await window.page.keyboard.press("Control+.");
  await until(async () => (await window.actions()).includes("Fill the holes"));
  await window.page.locator(".action-widget .action", { hasText: "Fill the holes" }).click();
  await shown();
  await accepted(file, MARKED);
});

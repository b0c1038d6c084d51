/** Doubt, alternatives and kept words in the real editor, with an engine that follows a script. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until, Workplace } from "./harness.mjs";

const TEXT = "def f(width, height):\n    return\n";
const TAKEN = TEXT.replace("return", "return width * height + 1");

let workplace;
let window;

before(async () => {
  workplace = new Workplace({ "dgLsp.doubt.show": true });
  const scripted = workplace.scripted({
    answers: { "return ": ["width * height + 1"], "width * ": ["depth", "length"] },
    pinned: ["2 * ", " + depth"],
    confidences: [0.4, 0.3, 0.1],
  });
  workplace.set({ "dgLsp.server.path": scripted });
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", TEXT));
  await until(async () => !/starting/.test(await window.tooltip()));
});

// What a failed test has left on the screen.
afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

/** A new file in which the suggestion was accepted. */
async function accepted(name) {
  const file = workplace.file(name, TEXT);
  await window.openFile(name);
  await window.goTo(2, 11);
  await window.page.keyboard.type(" ");
  await until(async () => (await window.ghost()) === "width * height + 1");
  await window.page.keyboard.press("Tab");
  await window.holds(file, TAKEN);
  return file;
}

/** Whether a dotted line is drawn below any text. */
const isUnderlined = () =>
  window.page.evaluate(() =>
    [...document.querySelectorAll(".view-overlays *, .view-line *")].some(
      (one) => getComputedStyle(one).borderBottomStyle === "dotted",
    ),
  );

test("what the model is unsure of is underlined until it is edited", async () => {
  const file = await accepted("unsure.py");
  await until(isUnderlined);
  await window.goTo(2, 21);
  await window.page.keyboard.type("x");
  await until(async () => !(await isUnderlined()));
  assert.match(await window.saved(file), /hexight|hxeight|xheight/);
});

test("a word stays, and the rest is written around it; one undo takes it back", async () => {
  const file = await accepted("kept.py");
  await window.goTo(2, 22);
  await window.page.keyboard.press("Control+Alt+k");
  await window.previewReady();
  assert.equal(await window.saved(file), TAKEN, "the document is as it was");
  await window.page.keyboard.press("Control+Enter");
  await until(async () => (await window.lenses()) === "");
  const after = TEXT.replace("return", "return 2 * height + depth");
  await window.holds(file, after);
  await window.page.keyboard.press("Control+z");
  await window.holds(file, TAKEN);
});

test("another word is chosen from the list of alternatives", async () => {
  const file = workplace.file("other.py", TAKEN);
  await window.openFile("other.py");
  await window.goTo(2, 22);
  await window.page.keyboard.press("Control+Alt+w");
  await window.box();
  await until(async () => (await window.entries()).some((one) => /depth/.test(String(one))));
  await window.page.keyboard.press("ArrowDown");
  await window.page.keyboard.press("Enter");
  const after = TAKEN.replace("height + 1", "length + 1");
  await window.holds(file, after);
});

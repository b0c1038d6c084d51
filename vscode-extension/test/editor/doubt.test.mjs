/**
 * Doubt, alternatives and kept words in the real editor, with an engine that follows a script, and
 * at the end with the bundled model.
 */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { DG_LSP, until, Workplace } from "./harness.mjs";

const TEXT = "def f(width, height):\n    return\n";
const TAKEN = TEXT.replace("return", "return width * height + 1");

let workplace;
let window;

before(async () => {
  workplace = new Workplace({
    "dgLsp.doubt.show": true,
    // What one test has saved would be what the next one is suggested.
    "dgLsp.context.workspaceFiles": false,
    "dgLsp.context.relatedFiles": false,
  });
  const scripted = workplace.scripted({
    answers: { "return ": ["width * height + 1"], "width * ": ["depth", "length"] },
    pinned: ["2 * ", " + depth"],
    confidences: [0.4, 0.3, 0.1],
  });
  workplace.set({ "dgLsp.server.path": scripted });
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", TEXT));
  await window.page.keyboard.press("Control+b");
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

/** What the bundled model suggests where a blank is typed. */
async function suggestedByModel(name, text, line, column, ghost) {
  const file = workplace.file(name, text);
  await window.openFile(name);
  await window.goTo(line, column);
  await window.page.keyboard.type(" ");
  await until(async () => (await window.settledGhost()) === ghost);
  return file;
}

const TIMER = `class Timer:
    def __init__(self, limit=None):
        self.limit = limit
        self.time = 0

`;

test("with the bundled model another exception is chosen from the list", async () => {
  workplace.set({ "dgLsp.server.path": DG_LSP });
  await until(() => workplace.pids("serve").length === 1);
  const text = `def number(text):
    try:
        return int(text)
    except:
        return None
`;
  const file = await suggestedByModel("number.py", text, 4, 11, "ImportError");
  await window.picture("vscode-alternatives-1", 220);
  await window.page.keyboard.press("Tab");
  await window.page.keyboard.press("Control+Alt+w");
  await window.box();
  await until(async () => (await window.entries()).some((one) => /ValueError/.test(String(one))));
  await window.page.waitForTimeout(500);
  await window.picture("vscode-alternatives-2", 320);
  await window.page.keyboard.type("Val");
  await window.page.keyboard.press("Enter");
  await until(async () => /except ValueError:/.test(await window.saved(file)));
  await window.picture("vscode-alternatives-3", 220);
});

test("with the bundled model what it is unsure of is underlined", async () => {
  const text = `${TIMER}    def reset(self):\n        self.time =\n`;
  await suggestedByModel("stopwatch.py", text, 7, 20, "0");
  await window.page.keyboard.press("Tab");
  await until(isUnderlined);
  await window.picture("vscode-doubt", 220);
});

test("with the bundled model the rest of a suggestion follows a corrected word", async () => {
  const text = `${TIMER}    def is_over(self):
        if self.limit
            return self.time > self.limit
        return False
`;
  const file = await suggestedByModel("timer.py", text, 7, 22, "< 0:");
  await window.picture("vscode-keep-1", 240);
  await window.page.keyboard.press("Tab");
  await until(async () => /limit < 0:/.test(await window.saved(file)));
  await window.goTo(7, 23);
  await window.page.keyboard.press("Shift+ArrowRight");
  await window.page.keyboard.type("is not");
  await until(async () => /limit is not 0:/.test(await window.saved(file)));
  await window.picture("vscode-keep-2", 240);
  await window.page.keyboard.press("Control+Alt+k");
  await window.previewReady();
  await window.page.waitForTimeout(500);
  await window.picture("vscode-keep-3", 240);
  await window.page.keyboard.press("Control+Enter");
  await until(async () => (await window.lenses()) === "");
  await until(async () => /limit is not None:/.test(await window.saved(file)));
});

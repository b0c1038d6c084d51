/** The strength dial and the steps of a rewrite, with an engine that follows a script. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { becomes, DG_LSP, until, Workplace } from "./harness.mjs";

const OLD = `def total(items):
    result = 0
    return result
`;
const TAIL = `

def add(items, name):
    items.append(name)
`;
const TEXT = OLD + TAIL;

let workplace;
let window;

before(async () => {
  workplace = new Workplace({ "dgLsp.draftIntervalMs": 0 });
  const rewrites = { "which strength": "# seed {seed}, strength {strength}" };
  const scripted = workplace.scripted({ rewrites, num_drafts: 6, step_s: 0.15 });
  workplace.set({ "dgLsp.server.path": scripted });
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", TEXT));
});

// What a failed test has left on the screen.
afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

/** A new file whose first function is rewritten. */
async function rewritten(name) {
  const file = workplace.file(name, TEXT);
  await window.openFile(name);
  await window.select(1, 3);
  await window.page.keyboard.press("Control+Alt+r");
  await window.box();
  await window.page.keyboard.type("which strength");
  await window.page.keyboard.press("Enter");
  await shows("# seed 0, strength 0.6");
  return file;
}

async function shows(line) {
  await window.previewReady();
  await until(async () => (await window.drafts()).includes(line));
}

const lens = (text) => window.page.locator(".codelens-decoration a", { hasText: text });

async function ended() {
  await until(async () => (await window.lenses()) === "" && (await window.drafts()).length === 0);
}

test("the strength is turned with keys and buttons, the seed stays, and one undo reverts", async () => {
  const file = await rewritten("turned.py");
  await window.page.keyboard.press("Alt+=");
  await until(async () => /Rewriting/.test(await window.lenses()));
  assert.ok((await window.drafts()).length > 0, "the old text stays until there is another");
  await shows("# seed 0, strength 0.7");
  await lens("70%").click();
  await shows("# seed 0, strength 0.6");
  await window.page.keyboard.press("Alt+-");
  await shows("# seed 0, strength 0.5");
  assert.equal(await window.saved(file), TEXT, "the document is as it was");
  await window.page.keyboard.press("Control+Enter");
  await ended();
  await window.holds(file, `# seed 0, strength 0.5\n${TAIL}`);
  await window.page.keyboard.press("Control+z");
  await window.holds(file, TEXT);
});

test("keys pressed in a row turn it on, and the last one counts", async () => {
  const file = await rewritten("quickly.py");
  for (let times = 0; times < 4; times += 1) {
    await window.page.keyboard.press("Alt+=");
  }
  await shows("# seed 0, strength 1.0");
  await lens("100%").waitFor();
  await window.page.keyboard.press("Escape");
  await ended();
  await window.holds(file, TEXT);
});

test("the steps are walked with keys and buttons, and what is shown is accepted", async () => {
  const file = await rewritten("walked.py");
  const added = async () => (await window.drafts()).filter((line) => line.startsWith("#")).at(-1);
  const result = await added();
  await window.page.keyboard.press("Alt+[");
  await until(async () => (await added()) !== result);
  const step = await added();
  await lens("/7").click();
  await until(async () => (await added()) !== step);
  await lens("5/7").waitFor();
  await window.page.keyboard.press("Alt+]");
  await until(async () => (await added()) === step);
  await window.page.keyboard.press("Control+Enter");
  await ended();
  await window.holds(file, `${step}\n${TAIL}`);
  await window.page.keyboard.press("Control+z");
  await window.holds(file, TEXT);
});

test("outside the rewrite the keys are the editor's own", async () => {
  const file = await rewritten("elsewhere.py");
  await window.goTo(6, 1);
  await window.page.waitForTimeout(1000);
  await window.page.keyboard.press("Alt+=");
  await window.page.waitForTimeout(300);
  await lens("60%").waitFor();
  // An edit of the selection ends it.
  await window.goTo(2, 1);
  await window.page.keyboard.type("    x = 1\n");
  await ended();
  await window.page.keyboard.press("Alt+=");
  await window.page.waitForTimeout(300);
  assert.equal(await window.lenses(), "");
  assert.match(await window.saved(file), /x = 1/);
});

test("with the bundled model the text forms anew at each strength", async () => {
  const text = `class Stock:
    def __init__(self):
        self.items = {}

    def add(self, name, count=1):
        self.items[name] = self.items.get(name, 0) + count
        return self.items[name]

    def remove(self, name):
        return self.items.pop(name, 0)
`;
  const file = workplace.file("bundled.py", text);
  workplace.set({ "dgLsp.server.path": DG_LSP });
  await until(() => workplace.pids("serve").length === 1);
  await window.openFile("bundled.py");
  await window.select(6, 7);
  await window.rewriteAnew();
  await window.previewReady();
  for (const [key, percent] of [
    [undefined, 60],
    ["Alt+-", 50],
    ["Alt+=", 60],
    ["Alt+=", 70],
  ]) {
    if (key !== undefined) {
      await window.page.keyboard.press(key);
    }
    await lens(`${percent}%`).waitFor();
    await window.previewReady();
    await window.page.waitForTimeout(300);
    await window.picture(`vscode-dial-${percent}`, 300);
  }
  const last = await window.drafts();
  await window.page.keyboard.press("Alt+-");
  await lens("60%").waitFor();
  await window.previewReady();
  await window.page.keyboard.press("Alt+=");
  await lens("70%").waitFor();
  await window.previewReady();
  // The text of a strength comes back.
  await becomes(() => window.drafts(), last);
  await window.page.keyboard.press("Alt+[");
  await window.page.keyboard.press("Alt+[");
  await until(async () => (await window.drafts()).join() !== last.join());
  await window.page.waitForTimeout(1000);
  await window.picture("vscode-dial-step", 300);
  await window.page.keyboard.press("Escape");
  await ended();
  await window.holds(file, text);
});

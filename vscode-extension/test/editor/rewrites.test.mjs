/** Rewrites in words, with the real server and an engine that follows a script. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until, Workplace } from "./harness.mjs";

const OLD = `def total(items):
    result = 0
    for name, price in items:
        result += price
    return result
`;
const HEAD = `def names(items):
    return [name for name, price in items]


`;
const TAIL = `

def add(items, name, price):
    items.append((name, price))
    return items
`;
const TEXT = HEAD + OLD + TAIL;
const [FIRST, LAST] = [5, 9];

const SUMMED = `def total(items):
    return sum(price for name, price in items)`;
const LONGER = `def total(items):
    """What all the items cost together.

    Items are pairs of a name and a price.
    """
    result = 0
    for name, price in items:
        if price < 0:
            raise ValueError(f"{name} has a price below zero")
        result += price
    return result`;
const REWRITES = {
  "use sum": SUMMED,
  docstring: LONGER,
  "which attempt": "# seed {seed}, noise {noise}",
  "Trailing comma": '  "prices": [1, 2, 3]',
};

let workplace;
let window;

before(async () => {
  workplace = new Workplace({
    "editor.lightbulb.enabled": "on",
    "dgLsp.draftIntervalMs": 0,
  });
  const answers = { "return ": ["number / 2"] };
  const scripted = workplace.scripted({ rewrites: REWRITES, answers, num_drafts: 8, step_s: 0.2 });
  workplace.set({ "dgLsp.server.path": scripted });
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", TEXT));
  await window.page.keyboard.press("Control+b");
});

// What a failed test has left on the screen.
afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

/** A new file in the window with the function selected. */
async function selected(name) {
  const file = workplace.file(name, TEXT);
  await window.openFile(name);
  await window.select(FIRST, LAST);
  return file;
}

/** Opens the box and says what should change. */
async function ask(words) {
  await window.page.keyboard.press("Control+Alt+r");
  await window.box();
  await window.page.keyboard.type(words);
  await window.page.keyboard.press("Enter");
}

async function ended() {
  await until(async () => (await window.lenses()) === "" && (await window.drafts()).length === 0);
}

test("what should change is asked, shown, taken, and undone in one step", async () => {
  const file = await selected("asked.py");
  await window.page.keyboard.press("Control+Alt+r");
  await window.box();
  await window.page.keyboard.type("use sum");
  await window.page.waitForTimeout(300);
  await window.picture("vscode-ask", 320);
  await window.page.keyboard.press("Enter");
  await until(async () => (await window.drafts()).some((line) => line.includes("?")));
  await window.previewReady();
  assert.deepEqual(await window.drafts(), [
    "def total(items):",
    ...OLD.trimEnd().split("\n").slice(1),
    "    return sum(price for name, price in items)",
  ]);
  await window.picture("vscode-instruction", 320);
  assert.equal(await window.saved(file), TEXT, "the document is as it was");
  await window.page.keyboard.press("Control+Enter");
  await ended();
  assert.equal(await window.saved(file), `${HEAD}${SUMMED}\n${TAIL}`);
  await window.page.keyboard.press("Control+z");
  await until(async () => (await window.saved(file)) === TEXT);
});

test("what was asked before is offered again, and Escape asks for nothing", async () => {
  const file = await selected("again.py");
  await window.page.keyboard.press("Control+Alt+r");
  await window.box();
  await until(async () =>
    (await window.entries()).some((row) => /use sum, asked before/.test(row)),
  );
  await window.page.keyboard.press("Escape");
  await ended();
  await window.page.keyboard.press("Control+Alt+r");
  await window.box();
  await until(async () => (await window.entries()).length > 1);
  await window.page.keyboard.press("ArrowDown");
  await window.page.keyboard.press("Enter");
  await window.previewReady();
  await window.page.keyboard.press("Escape");
  await ended();
  assert.equal(await window.saved(file), TEXT);
});

test("another attempt has another seed, and is more or less free", async () => {
  await selected("attempts.py");
  await ask("which attempt");
  const attempt = async (seed, noise) =>
    until(async () => (await window.drafts()).includes(`# seed ${seed}, noise ${noise}`));
  await window.previewReady();
  await attempt(0, 0.6);
  await window.page.keyboard.press("Alt+Enter");
  await attempt(1, 0.6);
  await window.page.keyboard.press("Alt+=");
  await attempt(2, 0.8);
  await window.page.locator(".codelens-decoration a", { hasText: "Closer" }).click();
  await attempt(3, 0.6);
  await window.page.locator(".codelens-decoration a", { hasText: "Discard" }).click();
  await ended();
});

test("a rewrite that is longer than its selection is compared where nothing is covered", async () => {
  const file = await selected("longer.py");
  await ask("docstring");
  await window.previewReady();
  await window.page.locator(".codelens-decoration a", { hasText: "Compare" }).click();
  const modified = window.page.locator(".modified-in-monaco-diff-editor .view-lines");
  const shows = (text) => async () =>
    ((await modified.textContent()) ?? "").replaceAll("\u00a0", " ").includes(text);
  await until(shows("has a price below zero"));
  await until(shows("def add(items, name, price):"));
  await window.picture("vscode-compare", 420);
  await window.page.keyboard.press("Control+Enter");
  await until(async () => (await window.page.locator(".monaco-diff-editor").count()) === 0);
  await until(async () => (await window.page.locator(".tab.active.dirty").count()) === 1);
  assert.equal(await window.saved(file), `${HEAD}${LONGER}\n${TAIL}`);
});

test("the menu at a selection has rewrites in words of its own", async () => {
  const file = await selected("menu.py");
  await window.page.keyboard.press("Control+.");
  await until(async () => (await window.actions()).includes("Rewrite selection…"));
  await window.page.waitForTimeout(300);
  await window.picture("vscode-actions", 420);
  await window.page.locator(".action-widget .action", { hasText: "Add a docstring" }).click();
  await window.previewReady();
  await window.page.keyboard.press("Control+Enter");
  await ended();
  assert.equal(await window.saved(file), `${HEAD}${LONGER}\n${TAIL}`);
});

test("a gap is filled from the menu at the cursor", async () => {
  const file = workplace.file("gap.py", "def half(number):\n    return \n");
  await window.openFile("gap.py");
  await window.goTo(2, 12);
  await window.page.keyboard.press("Control+.");
  await until(async () => (await window.actions()).includes("Fill here"));
  await window.page.locator(".action-widget .action", { hasText: "Fill here" }).click();
  await until(async () => (await window.page.locator(".tab.active.dirty").count()) === 1);
  assert.equal(await window.saved(file), "def half(number):\n    return number / 2\n");
});

test("a problem that the editor reports is fixed", async () => {
  const text = '{\n  "name": "cart",\n  "prices": [1, 2, 3],\n}\n';
  const file = workplace.file("cart.json", text);
  await window.openFile("cart.json");
  await until(async () => !/starting/.test(await window.tooltip()));
  await until(async () => (await window.page.locator(".squiggly-error").count()) > 0);
  await window.goTo(3, 22);
  await window.page.keyboard.press("Control+.");
  await until(async () => (await window.actions()).includes("Fix this problem"));
  await window.page.waitForTimeout(300);
  await window.picture("vscode-fix", 320);
  await window.page.locator(".action-widget .action", { hasText: "Fix this problem" }).click();
  await window.previewReady();
  await window.page.keyboard.press("Control+Enter");
  await ended();
  assert.deepEqual(JSON.parse(await window.saved(file)), { name: "cart", prices: [1, 2, 3] });
});

test("a server that hangs in mid-rewrite is ended, and the user is told", async () => {
  const file = await selected("hangs.py");
  const [hanging] = workplace.pids("serve");
  await ask("use sum");
  await until(async () => /Rewriting/.test(await window.lenses()));
  process.kill(hanging, "SIGSTOP");
  await until(async () =>
    (await window.notifications()).some((text) => /the server is not running/.test(text)),
  );
  await ended();
  await until(() => workplace.pids("serve").some((pid) => pid !== hanging));
  await window.page.keyboard.press("Escape");
  await window.select(FIRST, LAST);
  await ask("use sum");
  await window.previewReady();
  await window.page.keyboard.press("Control+Enter");
  await ended();
  assert.equal(await window.saved(file), `${HEAD}${SUMMED}\n${TAIL}`);
});

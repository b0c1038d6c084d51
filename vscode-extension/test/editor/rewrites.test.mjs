/** Rewrites in words, with the real server and an engine that follows a script. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { becomes, until, Workplace } from "./harness.mjs";

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
  "write the docs": LONGER,
  "which attempt": "# seed {seed}, strength {strength}",
  "Trailing comma": '  "prices": [1, 2, 3]',
};

let workplace;
let window;

before(async () => {
  workplace = new Workplace({
    "editor.lightbulb.enabled": "on",
    "dgLsp.draftIntervalMs": 0,
  });
  const answers = {
    "return ": ["number / 2"],
    "import math\n\nprint(math.": ["pi)"],
  };
  const blocks = { "write the docs": 5 };
  const engine = { rewrites: REWRITES, answers, blocks, num_drafts: 8, step_s: 0.2 };
  const scripted = workplace.scripted(engine);
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
  await becomes(
    () => window.drafts(),
    [
      "def total(items):",
      ...OLD.trimEnd().split("\n").slice(1),
      "    return sum(price for name, price in items)",
    ],
  );
  await window.picture("vscode-instruction", 320);
  assert.equal(await window.saved(file), TEXT, "the document is as it was");
  await window.page.keyboard.press("Control+Enter");
  await ended();
  await window.holds(file, `${HEAD}${SUMMED}\n${TAIL}`);
  await window.page.keyboard.press("Control+z");
  await window.holds(file, TEXT);
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
  await window.holds(file, TEXT);
});

test("another attempt has another seed", async () => {
  await selected("attempts.py");
  await ask("which attempt");
  const attempt = async (seed, strength) =>
    until(async () => (await window.drafts()).includes(`# seed ${seed}, strength ${strength}`));
  await window.previewReady();
  await attempt(0, 0.6);
  await window.page.keyboard.press("Alt+Enter");
  await attempt(1, 0.6);
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
  await window.holds(file, `${HEAD}${LONGER}\n${TAIL}`);
});

test("the diff editor has buttons to accept and to discard", async () => {
  const file = await selected("buttons.py");
  await ask("use sum");
  await window.previewReady();
  const compare = window.page.locator(".codelens-decoration a", { hasText: "Compare" });
  const button = (title) =>
    window.page.locator(`.editor-actions .action-item a[aria-label^="${title}"]`);
  await compare.click();
  await button("dg-lsp: Discard Rewrite").or(button("Discard Rewrite")).first().waitFor();
  await button("Accept Rewrite").first().click();
  await until(async () => (await window.page.locator(".monaco-diff-editor").count()) === 0);
  await window.holds(file, `${HEAD}${SUMMED}\n${TAIL}`);
});

test("each change of a rewrite can be accepted alone", async () => {
  const file = await selected("changes.py");
  await ask("docstring");
  await window.previewReady();
  const one = window.page.locator(".codelens-decoration a", { hasText: "Accept This Change" });
  await until(async () => (await one.count()) === 2);
  await window.page.waitForTimeout(500);
  await window.picture("vscode-changes", 420);
  await one.nth(1).click();
  const checked = LONGER.replace(/    """.*"""\n/s, "");
  await until(async () => (await one.count()) === 0);
  await window.holds(file, `${HEAD}${checked}\n${TAIL}`);
  // The other one is pending.
  await window.previewReady();
  await window.page.keyboard.press("Control+z");
  await until(async () => (await one.count()) === 2);
  await window.holds(file, TEXT);
  await one.first().click();
  await until(async () => (await one.count()) === 0);
  await window.page.keyboard.press("Control+Enter");
  await ended();
  await window.holds(file, `${HEAD}${LONGER}\n${TAIL}`);
  await window.page.keyboard.press("Control+z");
  await window.page.keyboard.press("Control+z");
  await window.holds(file, TEXT);
});

test("keys typed at once after the command go into the box, and replace nothing", async () => {
  const file = await selected("keys.py");
  await window.page.keyboard.press("Control+Alt+r");
  await window.page.keyboard.type("use sum", { delay: 15 });
  await window.box();
  const box = window.page.locator(".quick-input-widget input").first();
  // A letter that was typed while the box was given others may be lost, the code never is.
  await until(async () => /^u?s?e? ?s?u?m?$/.test(await box.inputValue()));
  await window.page.keyboard.press("Escape");
  await window.holds(file, TEXT);
});

test("the keys act on a rewrite only with the cursor in it", async () => {
  const file = await selected("elsewhere.py");
  await ask("use sum");
  await window.previewReady();
  await window.goTo(1, 1);
  // Until VS Code has heard from the extension that the keys are its own again, they do nothing.
  await window.page.waitForTimeout(1000);
  await window.page.keyboard.press("Escape");
  await window.page.keyboard.press("Control+Enter");
  await until(async () => /^def names\(items\):\n *\n/.test(await window.saved(file)));
  await window.previewReady();
  await window.page.keyboard.press("Control+z");
  await window.goTo(FIRST, 1);
  await window.page.waitForTimeout(1000);
  await window.page.keyboard.press("Control+Enter");
  await ended();
  await window.holds(file, `${HEAD}${SUMMED}\n${TAIL}`);
});

test("what can be done is in view beside deep indentation, in a narrow editor", async () => {
  const deep = " ".repeat(28);
  const text = `def f(x):\n${deep}y = x\n${deep}return y\n`;
  workplace.file("deep.py", text);
  await window.openFile("deep.py");
  await window.command("View: Split Editor Right");
  await window.select(2, 3);
  await ask("use sum");
  await window.previewReady();
  await window.page.waitForTimeout(500);
  await window.picture("vscode-narrow", 320);
  const cut = await window.page.$$eval(".monaco-editor", (editors) =>
    editors.flatMap((editor) => {
      const right = editor.getBoundingClientRect().right;
      const links = [...editor.querySelectorAll(".codelens-decoration a")];
      return links.filter((one) => one.getBoundingClientRect().right > right).length;
    }),
  );
  assert.ok(
    cut.every((number) => number === 0),
    `${cut}`,
  );
  await window.page.keyboard.press("Escape");
  await ended();
  await window.command("View: Close All Editor Groups");
});

test("a long rewrite says how far it is and can be stopped", async () => {
  const file = await selected("long.py");
  await ask("write the docs");
  await until(async () => (await window.notifications()).some((text) => /rewriting/.test(text)));
  await until(async () => /Rewriting [2-5]\/5/.test(await window.lenses()));
  await until(async () =>
    (await window.notifications()).some((text) => /block \d of 5, step \d of 9/.test(text)),
  );
  await window.picture("vscode-long", 560);
  await window.page
    .locator(".notification-list-item a.monaco-button", { hasText: "Cancel" })
    .click();
  await ended();
  await until(async () => (await window.notifications()).length === 0);
  await window.holds(file, TEXT);
});

test("a cell of a notebook sees the code cells above it", async () => {
  const cell = (cell_type, source) => ({ cell_type, metadata: {}, source: [source] });
  const code = (source) => ({ ...cell("code", source), execution_count: null, outputs: [] });
  const notebook = {
    cells: [code("import math"), cell("markdown", "# Circles"), code("print(math")],
    metadata: { language_info: { name: "python" } },
    nbformat: 4,
    nbformat_minor: 5,
  };
  workplace.file("circles.ipynb", JSON.stringify(notebook));
  await window.openFile("circles.ipynb");
  await window.page.locator(".cell .view-line", { hasText: "print" }).first().click();
  await window.page.keyboard.press("End");
  await window.page.keyboard.type(".");
  await until(async () => {
    await window.page.keyboard.press("Alt+\\");
    return (await window.settledGhost(2000)) === "pi)";
  });
  await window.picture("vscode-cells", 420);
  await window.page.keyboard.press("Tab");
  await window.save(".tab.active.dirty");
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
  await window.holds(file, `${HEAD}${LONGER}\n${TAIL}`);
});

test("a gap is filled from the menu at the cursor", async () => {
  const file = workplace.file("gap.py", "def half(number):\n    return \n");
  await window.openFile("gap.py");
  await window.goTo(2, 12);
  await window.page.keyboard.press("Control+.");
  await until(async () => (await window.actions()).includes("Fill here"));
  await window.page.locator(".action-widget .action", { hasText: "Fill here" }).click();
  await until(async () => (await window.page.locator(".tab.active.dirty").count()) === 1);
  await window.holds(file, "def half(number):\n    return number / 2\n");
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
  await window.holds(file, `${HEAD}${SUMMED}\n${TAIL}`);
});

/** Where text is: folders that are not trusted, and editors of all kinds. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { DG_LSP, until, Workplace } from "./harness.mjs";

const HEAD = `class Cart:
    def __init__(self):
        self.items = []

    def total(self):
        result = 0
        for name, price in self`;
const TAIL = `
            result += price
        return result
`;
const TEXT = HEAD + TAIL;

let workplace;
let window;
/** Written by the program that the folder wants to be run. */
let trace;

before(async () => {
  workplace = new Workplace({
    // The small model is seldom sure, and what it writes is to be seen.
    "dgLsp.minConfidence": 0,
    "security.workspace.trust.enabled": true,
    "security.workspace.trust.startupPrompt": "never",
    "security.workspace.trust.banner": "never",
    "files.readonlyInclude": { "**/locked.py": true },
    "files.defaultLanguage": "python",
    // Whole texts are typed at once.
    "editor.autoIndent": "none",
  });
  trace = path.join(workplace.directory, "was-run");
  const own = workplace.program("own-server", `touch ${trace}; exec ${DG_LSP} "$@"`);
  workplace.file(".vscode/settings.json", JSON.stringify({ "dgLsp.server.path": own }));
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", TEXT));
  await window.page.keyboard.press("Control+b");
});

afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

async function modelIsThere() {
  await until(async () => (await window.status()) === "dg-lsp: small model");
}

/**
 * Types a dot and asks for a suggestion: what comes by itself is kept back where the code would
 * not be valid with it. An editor that was just made may not ask yet: VS Code makes that part of
 * it when there is nothing else to do.
 */
async function ghostAfterDot() {
  await window.page.keyboard.type(".");
  return until(async () => {
    await window.page.keyboard.press("Alt+\\");
    return window.settledGhost(2000);
  });
}

/** The suggestion after a dot, which is taken. */
async function suggestion() {
  const ghost = await ghostAfterDot();
  await window.page.keyboard.press("Tab");
  await until(async () => (await window.ghost()) === "");
  return `.${ghost}`;
}

test("a folder that is not trusted does not choose the server, and that is said", async () => {
  await modelIsThere();
  assert.match(
    await window.tooltip(),
    /This folder is not trusted, so it cannot choose the server/,
  );
  await window.page.locator("[id*='dgLsp.status'] a").first().hover();
  await window.page.waitForSelector(".monaco-hover:visible");
  await window.picture("vscode-restricted", 560);
  await window.goTo(7, 200);
  const taken = await suggestion();
  await window.holds(path.join(workplace.folder, "first.py"), HEAD + taken + TAIL);
  assert.ok(!existsSync(trace), "what the folder names was run");
});

test("once it is trusted it does, without a reload", async () => {
  await window.command("Workspaces: Manage Workspace Trust");
  await window.page
    .locator(".workspace-trust-editor a.monaco-button", { hasText: /^Trust$/ })
    .click();
  await until(() => existsSync(trace));
  await until(async () => !/not trusted/.test(await window.tooltip()));
  await window.openFile("first.py");
  await modelIsThere();
});

test("the instruction box opens, and says that the small model follows no words", async () => {
  const file = path.join(workplace.folder, "first.py");
  await window.select(5, 7);
  await window.page.keyboard.press("Control+Alt+r");
  await window.box();
  await until(async () => (await window.entries()).some((row) => /Get a model/.test(row)));
  await window.page.keyboard.type("use sum");
  await until(async () => (await window.entries()).some((row) => /without these words/.test(row)));
  await window.page.waitForTimeout(300);
  await window.picture("vscode-ask-small", 320);
  await window.page.keyboard.press("Escape");
  const before = readFileSync(file, "utf8");
  // More than it rewrites at once is refused with the lines that it would take.
  const long = workplace.file("long.py", TEXT.repeat(12));
  await window.openFile("long.py");
  await window.select(10, 90);
  await window.rewriteAnew();
  await until(async () =>
    (await window.notifications()).some((text) => /select lines 10 to \d+/.test(text)),
  );
  await window.command("Notifications: Clear All Notifications");
  await window.holds(long, TEXT.repeat(12));
  assert.equal(readFileSync(file, "utf8"), before);
});

test("a file that is read-only is left alone", async () => {
  const file = workplace.file("locked.py", TEXT);
  await window.openFile("locked.py");
  await window.select(5, 7);
  await window.page.keyboard.press("Control+Alt+r");
  await window.page.keyboard.press("F1");
  await window.box();
  await window.page.keyboard.type("dg-lsp: ");
  // Only the rows in view are drawn; they are in the order of the alphabet.
  const offered = new Set();
  await until(async () => {
    for (const row of await window.entries()) {
      offered.add(row);
    }
    await window.page.keyboard.press("PageDown");
    return [...offered].some((row) => /Unload the Model/.test(row));
  });
  assert.deepEqual(
    [...offered].filter((row) => /Rewrite Selection|Suggest/.test(row)),
    [],
  );
  await window.page.keyboard.press("Escape");
  await window.goTo(7, 200);
  await window.page.keyboard.type(".");
  await window.page.waitForTimeout(1000);
  assert.deepEqual(await window.shown(), { drafts: [], ghost: "" });
  assert.equal(await window.lenses(), "");
  assert.equal(readFileSync(file, "utf8"), TEXT);
});

test("a file whose permissions forbid writing gets suggestions and is not written", async () => {
  const file = workplace.file("forbidden.py", TEXT);
  chmodSync(file, 0o444);
  await window.openFile("forbidden.py");
  await window.goTo(7, 200);
  await suggestion();
  assert.equal(readFileSync(file, "utf8"), TEXT);
  await window.command("File: Revert File");
  await until(async () => (await window.page.locator(".tab.dirty").count()) === 0);
});

test("a file that has no name yet", async () => {
  await window.command("File: New Untitled Text File");
  await window.page.locator(".tab.active[data-resource-name^=Untitled]").waitFor();
  await window.page.waitForFunction(
    () => document.activeElement?.closest(".monaco-editor") !== null,
  );
  // Where the whole text comes before VS Code has made all parts of the editor, it never asks.
  await window.page.keyboard.type("x");
  await window.page.waitForTimeout(2000);
  await window.page.keyboard.press("Backspace");
  await window.page.keyboard.insertText(TEXT);
  await window.goTo(7, 200);
  const ghost = await ghostAfterDot();
  await window.page.keyboard.press("Tab");
  const lines = window.page.locator(".monaco-editor .view-line");
  const line = (text) => text.replaceAll("\u00a0", " ");
  await until(async () =>
    (await lines.allTextContents()).map(line).includes(`${HEAD.split("\n").at(-1)}.${ghost}`),
  );
  await window.command("View: Revert and Close Editor");
  await until(async () => (await window.page.locator(".tab.dirty").count()) === 0);
});

test("a cell of a notebook", async () => {
  const cell = (source) => ({
    cell_type: "code",
    execution_count: null,
    metadata: {},
    outputs: [],
    source: source.split(/(?<=\n)/),
  });
  const notebook = {
    cells: [cell(TEXT), cell("cart = Cart()\n")],
    metadata: { language_info: { name: "python" } },
    nbformat: 4,
    nbformat_minor: 5,
  };
  const file = workplace.file("cart.ipynb", JSON.stringify(notebook));
  await window.openFile("cart.ipynb");
  await window.page.locator(".cell .view-line", { hasText: "for" }).first().click();
  await window.page.keyboard.press("End");
  const ghost = await ghostAfterDot();
  await window.picture("vscode-notebook", 420);
  await window.page.keyboard.press("Tab");
  const saved = JSON.parse(await window.saved(file));
  assert.equal(saved.cells[0].source.join(""), `${HEAD}.${ghost}${TAIL}`);
  assert.equal(saved.cells[1].source.join(""), "cart = Cart()\n");
});

test("the side of a comparison that can be edited", async () => {
  const file = workplace.file("compared.py", TEXT);
  await window.openFile("compared.py");
  await window.goTo(6, 200);
  await window.page.keyboard.type("  # of all");
  await window.command("File: Compare Active File with Saved");
  await window.page.locator(".monaco-diff-editor .modified .view-line").first().waitFor();
  // Once the files are compared the cursor is taken to the beginning of the first change.
  await window.isAt(6, 1);
  await window.goTo(7, 200);
  const taken = await suggestion();
  await window.select(5, 5);
  await window.rewriteAnew();
  await until(async () => (await window.drafts()).length > 0);
  await window.page.keyboard.press("Escape");
  await until(async () => (await window.drafts()).length === 0);
  const edited = `${HEAD}${taken}${TAIL}`.replace("result = 0", "result = 0  # of all");
  await window.holds(file, edited);
});

test("the walkthrough", async () => {
  await window.command("dg-lsp: Open Walkthrough");
  await window.page
    .locator(".gettingStartedContainer", { hasText: "Get started with dg-lsp" })
    .waitFor();
  for (const step of [
    "Install the server",
    "Type, and watch",
    "Get a model that helps",
    "Rewrite a selection",
    "Pause it, or ask why",
  ]) {
    await window.page.locator(".gettingStartedContainer h3", { hasText: step }).waitFor();
  }
  // While it is open, keys may go to a frame within it.
  await window.page.locator(".tab.active .tab-actions a.action-label").first().click();
});

test("set up for a screen reader: no drafts, but the suggestion", async () => {
  const file = workplace.file("heard.py", TEXT);
  await window.command("Toggle Screen Reader Accessibility Mode");
  await window.page.locator("[id='status.editor.screenReaderMode']:visible").waitFor();
  await window.openFile("heard.py");
  await window.goTo(7, 200);
  await window.record();
  const ghost = await ghostAfterDot();
  const drafts = (await window.recorded()).flatMap((frame) => frame.drafts);
  assert.deepEqual(drafts, []);
  await window.page.keyboard.press("Tab");
  await window.holds(file, `${HEAD}.${ghost}${TAIL}`);
});

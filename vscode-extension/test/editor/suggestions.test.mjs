/** Suggestions and rewrites with the bundled model, as a user sees them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, afterEach, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { becomes, DG_LSP, until, Workplace } from "./harness.mjs";

const CART = `class Cart:
    def __init__(self):
        self.items = []
        self.discount = None

    def add(self, name, price):
        self.items.append((name, price))

`;
const TOTAL = `    def total(self):
        result = 0
        for name, price in self
            result += price
        return result
`;

/**
 * Nothing in it stands between similar neighbours twice, so that the model starts from noise and
 * takes several steps, whose drafts can be seen.
 */
const UNLIKE = `def read(file):
    with open(file) as text:
        return text|
`;

/** Three frames. */
const KEYSTROKE_BLANK_MS = 50;

let workplace;
let window;

before(async () => {
  // The small model is seldom sure, and what it writes is to be seen.
  workplace = new Workplace({
    "dgLsp.minConfidence": 0,
    // What one test has saved would be what the next one is suggested, at once.
    "dgLsp.context.workspaceFiles": false,
    "dgLsp.context.relatedFiles": false,
    // For a list of completions that is opened by hand.
    "editor.wordBasedSuggestions": "currentDocument",
  });
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", CART));
  await window.page.keyboard.press("Control+b");
});

// What a failed test has left on the screen.
afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

/** A new file in the window, and the cursor where the text has a bar. */
async function at(name, marked) {
  const offset = marked.indexOf("|");
  const text = marked.replace("|", "");
  const file = workplace.file(name, text);
  await window.openFile(name);
  await until(async () => (await window.status()) === "dg-lsp: small model");
  const lines = text.slice(0, offset).split("\n");
  await window.goTo(lines.length, lines.at(-1).length + 1);
  return { file, text, offset };
}

/** How long nothing was shown between two frames that showed something. */
function longestBlankMs(frames) {
  const isBlank = ({ drafts, ghost }) => drafts.length === 0 && ghost === "";
  const blanks = frames
    .slice(0, -1)
    .flatMap((frame, index) => (isBlank(frame) ? [frames[index + 1].atMs - frame.atMs] : []));
  return Math.max(0, ...blanks);
}

function inserted({ text, offset }, addition) {
  return text.slice(0, offset) + addition + text.slice(offset);
}

test("the status bar tells of the loading and then of the model", async () => {
  const seen = new Set();
  await until(async () => {
    seen.add(await window.status());
    return seen.has("dg-lsp: small model");
  }, 120_000);
  assert.ok(
    [...seen].some((text) => text.startsWith("dg-lsp: loading")),
    [...seen].join(", "),
  );
  await until(async () => /Model: bundled/.test(await window.tooltip()));
  await until(async () => /only a demonstration/.test(await window.tooltip()));
});

test("a suggestion comes into focus, settles and is taken with Tab", async () => {
  const place = await at("settles.py", UNLIKE);
  await window.record();
  await window.page.keyboard.type(".");
  const ghost = await window.settledGhost();
  const frames = await window.recorded();
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, `.${ghost}`));
  const start = frames.findIndex(({ drafts }) => drafts.length > 0);
  assert.ok(start >= 0, "no draft was seen");
  for (const frame of frames.slice(start)) {
    assert.ok(frame.drafts.length > 0 || frame.ghost !== "", `a blank: ${JSON.stringify(frames)}`);
  }
  // Few texts on the way, as each of them was worth it.
  assert.ok(new Set(frames.flatMap((frame) => frame.drafts)).size <= 3, JSON.stringify(frames));
});

test("a draft is shaded, and Escape discards it", async () => {
  const place = await at("escape.py", UNLIKE);
  await window.page.keyboard.type(".");
  await window.heldDraft();
  await window.picture("vscode-draft", 560);
  await window.page.keyboard.press("Escape");
  await until(async () => (await window.drafts()).length === 0);
  workplace.signalEngine("SIGCONT");
  await until(async () => (await window.status()) === "dg-lsp: small model");
  assert.equal(await window.ghost(), "");
  await window.holds(place.file, inserted(place, "."));
});

test("Tab indents a blank line, whatever draft is drawn there", async () => {
  const place = await at("blank.py", "def area(width, height):\n    size = width * height\n|\n");
  await window.page.keyboard.type("    ");
  await window.heldDraft();
  await window.picture("vscode-blank");
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, " ".repeat(8)));
  workplace.signalEngine("SIGCONT");
});

test("a draft yields to the list of completions", async () => {
  const place = await at("list.py", UNLIKE);
  await window.page.keyboard.type(".");
  await window.heldDraft();
  await window.page.keyboard.press("Control+Space");
  await window.page.locator(".suggest-widget.visible .monaco-list-row.focused").waitFor();
  await until(async () => (await window.drafts()).length === 0);
  workplace.signalEngine("SIGCONT");
  await window.page.waitForTimeout(1500);
  assert.deepEqual(await window.drafts(), []);
  await window.picture("vscode-list");
  await window.page.keyboard.press("Escape");
  await window.holds(place.file, inserted(place, "."));
});

test("what is typed along is taken from the draft, and from the suggestion", async () => {
  const place = await at("along.py", UNLIKE);
  await window.page.keyboard.type(".");
  const [draft] = await window.heldDraft();
  await window.record();
  await window.page.keyboard.type(draft[0]);
  await until(async () => (await window.drafts())[0] === draft.slice(1));
  workplace.signalEngine("SIGCONT");
  const ghost = await window.settledGhost();
  const frames = await window.recorded();
  // The character is there before the extension hears of it and moves what it has drawn.
  assert.ok(longestBlankMs(frames) < KEYSTROKE_BLANK_MS, `a blank: ${JSON.stringify(frames)}`);
  await window.page.keyboard.type(ghost[0]);
  await until(async () => (await window.ghost()) === ghost.slice(1));
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, `.${draft[0]}${ghost}`));
});

test("Escape discards a settled suggestion", async () => {
  const place = await at("discard.py", CART + TOTAL.replace("self\n", "self|\n"));
  await window.page.keyboard.type(".");
  await window.settledGhost();
  await window.picture("vscode-settled");
  await window.page.keyboard.press("Escape");
  await until(async () => (await window.ghost()) === "");
  await window.holds(place.file, inserted(place, "."));
});

test("a word of it can be taken", async () => {
  const place = await at("word.py", CART + TOTAL.replace("self\n", "self|\n"));
  await window.page.keyboard.type(".");
  const ghost = await window.settledGhost();
  await window.page.keyboard.press("Control+ArrowRight");
  await until(async () => (await window.ghost()).length < ghost.length);
  const rest = await window.ghost();
  const taken = ghost.slice(0, ghost.length - rest.length);
  assert.ok(taken !== "" && ghost.endsWith(rest));
  await window.page.keyboard.press("Escape");
  await window.holds(place.file, inserted(place, `.${taken}`));
});

test("a span between brackets", async () => {
  const text = `${CART}    def extend(self, items):
        for name, price in items:
            self.add|
`;
  const place = await at("middle.py", text);
  // The editor closes the bracket.
  await window.page.keyboard.type("(");
  const ghost = await window.settledGhost();
  await window.picture("vscode-middle", 320);
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, `(${ghost})`));
});

test("several lines", async () => {
  const text = `${CART}    def find(self, name):
        if name not in self.items|
        else:
            return self.items[name]
`;
  const place = await at("lines.py", text);
  await window.page.keyboard.type(":");
  const ghost = await window.settledGhost();
  await window.picture("vscode-lines", 320);
  await window.page.keyboard.press("Tab");
  const saved = await window.saved(place.file);
  const added = saved.slice(place.offset + 1, saved.length - (place.text.length - place.offset));
  assert.ok(added.startsWith("\n"), JSON.stringify(added));
  assert.equal(added.trim(), ghost.trim());
});

const SUM = `${CART}    def total(self):
        total = 0
        for name, price in self.items:
            total += price
        return total

    def clear(self):
        self.items = []
`;

test("a rewrite is shown as a diff, taken, and undone in one step", async () => {
  const place = await at("rewrite.py", `|${SUM}`);
  await window.select(11, 12);
  await window.rewriteAnew();
  await window.heldDraft();
  await until(async () => /Rewriting/.test(await window.lenses()));
  await window.picture("vscode-rewriting", 420);
  workplace.signalEngine("SIGCONT");
  await window.previewReady();
  await window.picture("vscode-rewrite", 420);
  const first = await window.drafts();
  assert.equal(await window.saved(place.file), SUM, "the document is as it was");
  await window.page.keyboard.press("Alt+Enter");
  await until(async () => !(await window.lenses()).includes("Accept"));
  await window.previewReady();
  // Another attempt gives another text.
  await until(async () => !isDeepStrictEqual(await window.drafts(), first));
  await window.page.keyboard.press("Alt+=");
  await window.page.locator(".codelens-decoration a", { hasText: "70%" }).first().waitFor();
  await window.previewReady();
  await window.goTo(12, 9);
  await window.page.waitForTimeout(1000);
  await window.page.keyboard.press("Control+Enter");
  await until(async () => (await window.drafts()).length === 0);
  const rewritten = await window.saved(place.file);
  assert.notEqual(rewritten, SUM);
  const head = SUM.split("\n").slice(0, 10).join("\n");
  assert.ok(rewritten.startsWith(head) && rewritten.includes("    def clear(self):"));
  await window.page.keyboard.press("Control+z");
  await window.holds(place.file, SUM);
});

test("typing elsewhere does not disturb a rewrite, typing in it ends it", async () => {
  const place = await at("elsewhere.py", `|${SUM}`);
  await window.select(11, 12);
  await window.rewriteAnew();
  await window.heldDraft();
  await window.goTo(1, 1);
  await window.page.keyboard.type("# more\n");
  workplace.signalEngine("SIGCONT");
  await window.previewReady();
  await window.goTo(12, 9);
  await window.page.waitForTimeout(1000);
  await window.page.keyboard.press("Control+Enter");
  await until(async () => (await window.drafts()).length === 0);
  const rewritten = await window.saved(place.file);
  assert.ok(
    rewritten.startsWith(`# more\n${CART}    def total(self):\n        total = 0\n`),
    rewritten,
  );
  assert.ok(
    rewritten.endsWith("\n        return total\n\n    def clear(self):\n        self.items = []\n"),
    rewritten,
  );
  await window.select(11, 12);
  await window.rewriteAnew();
  await window.heldDraft();
  await window.goTo(11, 9);
  await window.page.keyboard.type("x");
  workplace.signalEngine("SIGCONT");
  await until(async () => (await window.lenses()) === "");
});

test("a rewrite can be discarded", async () => {
  const place = await at("discarded.py", `|${SUM}`);
  await window.select(11, 12);
  await window.rewriteAnew();
  await window.previewReady();
  await window.page.keyboard.press("Escape");
  await until(async () => (await window.drafts()).length === 0);
  await window.holds(place.file, SUM);
});

test("it is paused in a file and resumed", async () => {
  const place = await at("paused.py", CART + TOTAL.replace("self\n", "self|\n"));
  await window.command("dg-lsp: Pause or Resume in This File");
  await until(async () => (await window.status()) === "dg-lsp");
  await until(async () => /Paused in this file/.test(await window.tooltip()));
  await window.goTo(11, 32);
  await window.page.keyboard.type(".");
  await window.page.waitForTimeout(1500);
  assert.deepEqual(await window.shown(), { drafts: [], ghost: "" });
  await window.command("dg-lsp: Pause or Resume in This File");
  await window.goTo(11, 33);
  await window.page.keyboard.press("Backspace");
  await window.page.keyboard.type(".");
  const ghost = await window.settledGhost();
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, `.${ghost}`));
});

/** How the last request was made that was answered with text: automatic, or invoked. */
async function lastAnswered() {
  const env = workplace.environment;
  const told = execFileSync(DG_LSP, ["trace", "--json"], { env, encoding: "utf8" });
  const requests = told
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  requests.sort((a, b) => a.time - b.time);
  return requests.findLast(({ outcome }) => outcome === "suggested")?.trigger;
}

test("by hand, with the key and from the palette, where nothing comes by itself", async (context) => {
  context.after(() => workplace.set({ "dgLsp.trigger": "automatic" }));
  const place = await at("byhand.py", CART + TOTAL.replace("self\n", "self|\n"));
  workplace.set({ "dgLsp.trigger": "manual" });
  // The server is told of the setting at its own time.
  await until(async () => {
    await window.page.keyboard.type(".");
    await window.page.waitForTimeout(1500);
    const { drafts, ghost } = await window.shown();
    const isQuiet = drafts.length === 0 && ghost === "";
    return isQuiet || (await window.page.keyboard.press("Backspace"), false);
  });
  await window.page.keyboard.press("Alt+\\");
  const ghost = await window.settledGhost();
  assert.equal(await lastAnswered(), "invoked");
  await window.page.keyboard.press("Alt+]");
  await until(async () => ![ghost, ""].includes(await window.ghost()));
  await window.page.keyboard.press("Escape");
  await until(async () => (await window.ghost()) === "");
  await window.command("dg-lsp: Suggest Here");
  await becomes(() => window.ghost(), ghost);
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, `.${ghost}`));
});

test("by hand while one is on its way by itself, and in a file that is paused", async () => {
  const place = await at("insists.py", UNLIKE);
  await window.page.keyboard.type(".");
  await window.heldDraft();
  await window.page.keyboard.press("Alt+\\");
  workplace.signalEngine("SIGCONT");
  await until(async () => (await window.settledGhost()) && (await lastAnswered()) === "invoked");
  await window.page.keyboard.press("Escape");
  await window.command("dg-lsp: Pause or Resume in This File");
  await window.goTo(3, 21);
  await window.page.keyboard.press("Alt+\\");
  const ghost = await window.settledGhost();
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, `.${ghost}`));
  await window.command("dg-lsp: Pause or Resume in This File");
});

test("the menu has everything", async () => {
  await at("menu.py", `${CART}|`);
  await window.command("dg-lsp: Show Menu");
  await window.box();
  const rows = await window.entries();
  for (const entry of ["in this file", "for python", "everywhere", "Restart the server", "Trace"]) {
    assert.ok(
      rows.some((row) => row.includes(entry)),
      `${entry}: ${rows}`,
    );
  }
  await window.page.keyboard.press("Escape");
});

test("a server that is killed comes back, and so does an engine", async () => {
  const place = await at("killed.py", CART + TOTAL.replace("self\n", "self|\n"));
  const before = workplace.pids("serve");
  assert.ok(before.length > 0);
  before.forEach((pid) => process.kill(pid, "SIGKILL"));
  await until(() => workplace.pids("serve").some((pid) => !before.includes(pid)));
  await window.page.keyboard.type(".");
  const ghost = await window.settledGhost();
  workplace.signalEngine("SIGKILL");
  await window.page.keyboard.press("Escape");
  await window.page.keyboard.press("Backspace");
  await window.page.keyboard.type(".");
  await becomes(() => window.ghost(), ghost);
  // The end of the engine is noticed meanwhile, and may have the ghost text asked for once more.
  await window.page.waitForTimeout(1000);
  await becomes(() => window.ghost(), ghost);
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, `.${ghost}`));
});

test("two windows share one engine, and a reload in mid-job does no harm", async () => {
  const place = await at("one.py", UNLIKE);
  const other = await workplace.open(workplace.file("two.py", CART));
  await until(async () => (await other.status()) === "dg-lsp: small model");
  assert.equal(workplace.pids("engine run").length, 1);
  await other.page.context().close();
  await window.page.bringToFront();
  await window.page.keyboard.type(".");
  await window.heldDraft();
  await window.go(place.file, workplace.folder);
  workplace.signalEngine("SIGCONT");
  await until(async () => (await window.status()) === "dg-lsp: small model");
  // What was not saved may have been kept, or not.
  await window.goTo(3, 200);
  if ((await window.saved(place.file)).includes("text.\n")) {
    await window.page.keyboard.press("Backspace");
  }
  await window.page.keyboard.type(".");
  const ghost = await window.settledGhost();
  await window.page.keyboard.press("Tab");
  await window.holds(place.file, inserted(place, `.${ghost}`));
});

test("how long it takes from opening a folder to the first suggestion", async () => {
  const file = workplace.file("timed.py", CART + TOTAL);
  await window.page.context().close();
  const start = Date.now();
  window = await workplace.open(file);
  const opened = Date.now();
  await window.goTo(11, 32);
  // What is typed before the extension is there asks nobody.
  await until(async () => (await window.page.locator("[id*='dgLsp.status']").count()) > 0);
  const origin = await window.page.evaluate(() => performance.timeOrigin);
  let typed;
  await until(async () => {
    await window.record();
    await window.page.keyboard.type(".");
    typed = Date.now();
    try {
      return await window.settledGhost(5000);
    } catch (error) {
      // Nobody was asked yet: VS Code makes that part of an editor when it has nothing else to do.
      await window.page.keyboard.press("Backspace");
      throw error;
    }
  });
  const seen = (await window.recorded()).filter(({ drafts, ghost }) => ghost || drafts.length > 0);
  const host = workplace.logged("remoteexthost.log", /Extension host with pid/, start).atMs;
  const own = (pattern) => workplace.logged("dg-lsp.log", pattern, start);
  const moments = {
    "the text is on the screen": opened,
    [`the extension is ${own(/activated in/).says}`]: own(/activated in/).atMs,
    "the server is found and started": own(/the server is/).atMs,
    "a key is typed": typed,
    "the server answers": own(/the server answers/).atMs,
    "the first draft is drawn": origin + seen[0].atMs,
    "the suggestion has settled": origin + seen.find(({ ghost }) => ghost).atMs,
  };
  console.log(`warm engine; extension host started ${host - start} ms after the folder was opened`);
  for (const [what, time] of Object.entries(moments)) {
    console.log(`${String(Math.round(time - host)).padStart(6)} ms after that, ${what}`);
  }
});

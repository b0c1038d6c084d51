/** Drafts of a masked model: dots for what it has not decided, which are never inserted. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { PYTHON, ROOT, until, Workplace } from "./harness.mjs";

const TEXT = "def area(self, radius):\n    retur\n";
const REST = " 3.14 * radius ** 2";
const COLOR = "#12ab34";

let workplace;
let window;
let file;

before(async () => {
  workplace = new Workplace({
    "dgLsp.minConfidence": 0,
    "workbench.colorCustomizations": { "dgLsp.undecidedForeground": COLOR },
  });
  const model = path.join(workplace.directory, "reciting");
  execFileSync(PYTHON, ["-m", "tests.masked", model], { cwd: ROOT, stdio: "ignore" });
  workplace.set({ "dgLsp.engine.model": model });
  await workplace.start();
  file = workplace.file("area.py", TEXT);
  window = await workplace.open(file);
  await until(async () => (await window.status()) === "dg-lsp: reciting");
});

afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

test("code condenses from dots that are never inserted", async () => {
  await window.goTo(2, 10);
  await window.record();
  await window.page.keyboard.type("n");
  const [held] = await window.heldDraft();
  assert.match(held, /·$/);
  assert.equal(await window.undecidedColor(), COLOR);
  await window.picture("vscode-masked", 200);
  workplace.signalEngine("SIGCONT");
  assert.equal(await window.settledGhost(), REST);
  const frames = (await window.recorded()).flatMap(({ drafts }) => drafts);
  const decided = frames.map((text) => text.replaceAll("·", "").replaceAll("\u00a0", " "));
  assert.ok(
    decided.every((text) => REST.startsWith(text)),
    JSON.stringify(frames),
  );
  await window.page.keyboard.press("Tab");
  await window.holds(file, TEXT.replace("retur", `return${REST}`));
});

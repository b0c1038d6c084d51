/** A new user: no server, the first suggestion, the small model, and the way to a larger one. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { BUNDLED, until, Workplace } from "./harness.mjs";

/** What the sample's unfinished line lacks. */
const FINISHED = "self.reserved.get(name, 0) + count";

let workplace;
let window;

before(async () => {
  workplace = new Workplace({ "dgLsp.server.path": "" });
  workplace.offerPackages();
  await workplace.start();
  window = await workplace.open(workplace.file("a.py", "def add(a, b):\n    return a\n"));
  await window.page.keyboard.press("Control+b");
});

// What a failed test has left on the screen.
afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

async function said(pattern) {
  await until(async () => (await window.notifications()).some((text) => pattern.test(text)));
}

async function entry(pattern) {
  return until(async () => (await window.entries()).find((text) => pattern.test(text)));
}

/** Pick an entry of the list that is open. */
async function pick(pattern) {
  await entry(pattern);
  await window.page.locator(".quick-input-list .monaco-list-row", { hasText: pattern }).click();
}

test("the walkthrough leads from nothing to the first suggestion", async () => {
  await said(/has not been installed for VS Code yet/);
  await window.command("Notifications: Clear All Notifications");
  await until(async () => (await window.notifications()).length === 0);
  await window.command("dg-lsp: Open Walkthrough");
  await window.page.locator(".getting-started-step", { hasText: "Get a model" }).waitFor();
  await window.page.setViewportSize({ width: 1200, height: 640 });
  await window.page.getByRole("button", { name: /Type, and watch/ }).click();
  await window.page.mouse.move(600, 20);
  await window.page.waitForTimeout(1000);
  await window.picture("vscode-walkthrough", 640, 1200);
  await window.page.setViewportSize({ width: 900, height: 560 });
});

test("the server that the extension carries is installed, from no other place", async () => {
  await window.page.getByRole("button", { name: /Install the server/ }).click();
  await window.page.getByRole("button", { name: "Install dg-lsp" }).click();
  assert.match(await entry(/For the CPU/), /350 MB to download, 1\.3 GB on disk/);
  await entry(/For an NVIDIA GPU/);
  await window.picture("vscode-install", 300);
  await pick(/For the CPU/);
  await said(/Installing dg-lsp/);
  await window.picture("vscode-installing", 560);
  await until(async () => (await window.status()) === "dg-lsp: small model", 240_000);
  const [pid] = workplace.pids("serve");
  const [python, , command] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  const own = path.join(workplace.data, "User", "globalStorage", "dg-lsp.dg-lsp", "server");
  assert.ok(python.startsWith(own) && (command ?? own), `${python} is not in ${own}`);
  const environment = path.dirname(path.dirname(python));
  const site = path.join(environment, "lib", "python3.11", "site-packages", "dg_lsp");
  assert.ok(existsSync(path.join(site, "models", "bundled", "config.json")));
});

test("the sample's method is finished after the pattern of another, and Tab takes it", async () => {
  await window.command("dg-lsp: Open a Sample File");
  assert.equal(await window.settledGhost(), ` ${FINISHED}`);
  await window.picture("vscode-sample", 560);
  await window.page.keyboard.press("Tab");
  const lines = window.page.locator(".monaco-editor .view-lines").first();
  await until(async () =>
    ((await lines.textContent()) ?? "")
      .replaceAll("\u00a0", " ")
      .includes(`self.reserved[name] = ${FINISHED}`),
  );
});

test("the small model is named, and its item leads to a model that helps", async () => {
  await until(async () => /only a demonstration/.test(await window.tooltip()));
  const item = window.page.locator("[id*='dgLsp.status'] a").first();
  const link = window.page.locator(".monaco-hover a", { hasText: "Get a model that helps" });
  // VS Code shows no hover of an item that has just changed, here by the job after Tab, before
  // the mouse comes to it again.
  await until(async () => {
    await window.page.mouse.move(450, 300);
    await item.hover();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return link.isVisible();
  });
  await window.picture("vscode-small-model", 560);
  await window.page.mouse.move(450, 300);
  await window.command("dg-lsp: Show Menu");
  const lead = await entry(/Get a model that helps/);
  assert.equal((await window.entries())[0], lead);
  await window.picture("vscode-menu", 560);
  await pick(/Get a model that helps/);
});

test("models are offered with size, licence and an honest word on this machine", async () => {
  const offered = await entry(/DiffusionGemma 26B(?! in)/);
  assert.match(offered, /52\.0 GB to download/);
  assert.match(offered, /needs an NVIDIA GPU|Fits this machine/);
  assert.match(offered, /Licence/);
  await window.picture("vscode-models", 400);
  await pick(/DiffusionGemma 26B(?! in)/);
  const dialog = window.page.locator(".monaco-dialog-box");
  await dialog.waitFor();
  assert.match((await dialog.textContent()) ?? "", /will not help on this machine/);
  await window.picture("vscode-model-warning", 560);
  await window.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
});

test("a model that was got is used at once", async () => {
  const source = path.join(workplace.directory, "my-model");
  cpSync(BUNDLED, source, { recursive: true });
  await window.command("dg-lsp: Get or Choose a Model…");
  await entry(/DiffusionGemma/);
  // The list is longer than the window.
  await window.page.keyboard.type("checkpoint on this");
  await pick(/A checkpoint on this disk/);
  const box = window.page.locator(".quick-input-widget input");
  await until(async () => (await box.inputValue()).startsWith("/"));
  // The dialog fills in the folder a moment after it opens, and joins it with what is there.
  await until(async () => {
    await box.fill(source);
    await window.page.waitForTimeout(1000);
    return (await box.inputValue()).replace(/\/$/, "") === source;
  });
  await window.page.locator(".quick-input-widget").getByRole("button", { name: "OK" }).click();
  await until(async () => (await window.status()) === "dg-lsp: my-model", 240_000);
  await window.command("dg-lsp: Show Menu");
  await entry(/Get or choose a model/);
  assert.ok(!(await window.entries()).some((one) => /that helps/.test(one)));
  await window.page.keyboard.press("Escape");
});

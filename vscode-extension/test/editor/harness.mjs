/**
 * Visual Studio Code for real: code-server with the packaged extension, in Chromium, with the
 * server and the engine of this checkout and the bundled model. Everything it writes is under one
 * temporary directory.
 */
import assert from "node:assert/strict";
import { spawn, execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { chromium } from "playwright-core";

const EXTENSION = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
export const ROOT = path.join(EXTENSION, "..");
const TOOLS = process.env.DG_LSP_VSCODE_TOOLS ?? path.join(homedir(), ".cache", "dg-lsp-vscode");
const NODE = path.join(TOOLS, "node/node_modules/node/bin/node");
const CODE_SERVER = path.join(TOOLS, "server/node_modules/code-server/out/node/entry.js");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const PATIENCE_MS = Number(process.env.DG_LSP_PATIENCE_MS ?? 90_000);
export const DG_LSP = path.join(ROOT, ".venv/bin/dg-lsp");
export const BUNDLED = path.join(ROOT, "dg_lsp/models/bundled");
export const PYTHON = path.join(ROOT, ".venv/bin/python");
const SCRIPTED = `${PYTHON} ${path.join(ROOT, "tests/e2e/serve_scripted.py")}`;

export const SETTINGS = {
  "dgLsp.server.path": DG_LSP,
  "chat.disableAIFeatures": true,
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "workbench.activityBar.location": "hidden",
  "workbench.sideBar.location": "right",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.layoutControl.enabled": false,
  "editor.minimap.enabled": false,
  "editor.fontFamily": "'DejaVu Sans Mono'",
  "editor.wordBasedSuggestions": "off",
  "editor.quickSuggestions": { other: "off", comments: "off", strings: "off" },
  "editor.parameterHints.enabled": false,
  "editor.lightbulb.enabled": "off",
  "editor.cursorBlinking": "solid",
  "editor.occurrencesHighlight": "off",
  "breadcrumbs.enabled": false,
  "workbench.tips.enabled": false,
  "git.enabled": false,
  "python.terminal.activateEnvironment": false,
  "window.commandCenter": false,
  "files.autoSave": "off",
};

/** A machine of its own: home, settings, one code-server. */
export class Workplace {
  constructor(settings = {}) {
    this.directory = mkdtempSync(path.join(tmpdir(), "dg-lsp-vscode-"));
    this.folder = this.make("work");
    this.settings = { ...SETTINGS, ...settings };
    this.data = this.make("data");
    this.environment = {
      ...process.env,
      HOME: this.make("home"),
      XDG_RUNTIME_DIR: this.make("run"),
      XDG_CACHE_HOME: this.make("cache"),
      XDG_STATE_HOME: this.make("state"),
      XDG_CONFIG_HOME: this.make("config"),
      XDG_DATA_HOME: this.make("share"),
      // Threads that wait for each other come to a standstill on a machine that is busy.
      OMP_NUM_THREADS: "1",
      MKL_NUM_THREADS: "1",
      PATH: "/usr/bin:/bin",
      NODE_OPTIONS: "",
    };
    // Pythons of the machine that no new user of it would have.
    delete this.environment.PYENV_ROOT;
    this.set({});
  }

  make(name) {
    const made = path.join(this.directory, name);
    mkdirSync(made, { recursive: true, mode: 0o700 });
    return made;
  }

  file(name, text) {
    const made = path.join(this.folder, name);
    mkdirSync(path.dirname(made), { recursive: true });
    writeFileSync(made, text);
    return made;
  }

  /** A program of this workplace. */
  program(name, text) {
    const file = path.join(this.directory, name);
    writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return file;
  }

  /**
   * What is installed beside this checkout, without dg-lsp itself, for environments that are made
   * in this workplace: they need not download it again, and get dg-lsp from nowhere else.
   */
  offerPackages() {
    const code = "import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))";
    const site = execFileSync(PYTHON, ["-c", code], { encoding: "utf8" }).trim();
    const packages = this.make("packages");
    for (const name of readdirSync(site)) {
      if (!/^(dg_lsp|_*editable|__pycache__)|\.pth$/.test(name)) {
        symlinkSync(path.join(site, name), path.join(packages, name));
      }
    }
    Object.assign(this.environment, { PYTHONPATH: packages, PIP_NO_INDEX: "1" });
  }

  /** The real server with an engine that follows a script (tests/e2e/serve_scripted.py). */
  scripted(options) {
    const given = JSON.stringify(options).replaceAll("'", "'\\''");
    return this.program("scripted", `exec ${SCRIPTED} '${given}' "$@"`);
  }

  /** Change the settings; those of the machine are noticed while the editor runs. */
  set(changes) {
    Object.assign(this.settings, changes);
    const entries = Object.entries(this.settings);
    // In a remote window those of the machine are the remote machine's; what a test changes
    // while the editor runs has to be there.
    const isMachine = ([name]) => /^dgLsp\.(server\.|engine\.|trigger$)/.test(name);
    this.write(
      "User",
      entries.filter((entry) => !isMachine(entry)),
    );
    this.write("Machine", entries.filter(isMachine));
  }

  write(whose, entries) {
    const directory = path.join(this.data, whose);
    mkdirSync(directory, { recursive: true });
    const text = JSON.stringify(Object.fromEntries(entries), undefined, 2);
    writeFileSync(path.join(directory, "settings.json"), text);
  }

  async start() {
    this.port = await freePort();
    const places = ["--user-data-dir", this.data, "--extensions-dir", this.make("extensions")];
    const config = ["--config", path.join(this.directory, "config.yaml")];
    const vsix = path.join(EXTENSION, "dist", "dg-lsp.vsix");
    const base = [CODE_SERVER, ...places, ...config];
    execFileSync(NODE, [...base, "--install-extension", vsix], { env: this.environment });
    const flags = ["--bind-addr", `127.0.0.1:${this.port}`, "--auth", "none"];
    const quiet = ["--disable-telemetry", "--disable-update-check"];
    quiet.push("--disable-getting-started-override");
    if (!this.settings["security.workspace.trust.enabled"]) {
      quiet.push("--disable-workspace-trust");
    }
    this.process = spawn(NODE, [...base, ...flags, ...quiet], {
      env: this.environment,
      stdio: ["ignore", "ignore", "inherit"],
      detached: true,
    });
    await until(async () => (await fetch(`http://127.0.0.1:${this.port}/healthz`)).ok);
    this.browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
        ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
      ],
    });
  }

  /** A window with a file open in it. */
  async open(file, { folder = this.folder } = {}) {
    const context = await this.browser.newContext({ viewport: { width: 900, height: 560 } });
    await context.addInitScript(readShown);
    const page = await context.newPage();
    const window = new Window(this, page);
    await window.go(file, folder);
    return window;
  }

  /** The last line of this kind in a log after that time: when it was written, and what it says. */
  logged(name, pattern, afterMs) {
    const found = [];
    for (const one of readdirSync(this.data, { recursive: true, encoding: "utf8" })) {
      const text = one.endsWith(name) ? readFileSync(path.join(this.data, one), "utf8") : "";
      for (const line of text.split("\n").filter((each) => pattern.test(each))) {
        const atMs = Date.parse(line.slice(0, "2026-01-01 00:00:00.000".length));
        found.push({ atMs, says: line.replace(/^.*?\] /, "") });
      }
    }
    found.sort((a, b) => a.atMs - b.atMs);
    const last = found.at(-1);
    assert.ok(last?.atMs >= afterMs, `${pattern} is not in ${name}`);
    return last;
  }

  /** Process ids of the servers (`serve`) or the engine (`engine run`) of this workplace. */
  pids(words) {
    const found = [];
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ");
        const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
        const isOurs = environment.includes(`XDG_RUNTIME_DIR=${this.environment.XDG_RUNTIME_DIR}`);
        if (isOurs && /dg[-_]lsp|serve_scripted/.test(line) && line.includes(` ${words} `)) {
          found.push(Number(pid));
        }
      } catch {
        // It has ended, or it is not ours to look at.
      }
    }
    return found;
  }

  signalEngine(signal) {
    this.signal("engine run", signal);
  }

  signal(words, signal) {
    this.pids(words).forEach((pid) => process.kill(pid, signal));
  }

  async close() {
    this.signalEngine("SIGCONT");
    await this.browser?.close();
    if (this.process?.exitCode === null) {
      process.kill(-this.process.pid, "SIGTERM");
      await once(this.process, "exit");
    }
    try {
      execFileSync(DG_LSP, ["engine", "stop"], { env: this.environment, stdio: "ignore" });
    } catch {
      // There may be none.
    }
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class Window {
  constructor(workplace, page) {
    this.workplace = workplace;
    this.page = page;
  }

  async go(file, folder) {
    const { port } = this.workplace;
    const address = new URL(`http://127.0.0.1:${port}/`);
    if (folder) {
      address.searchParams.set("folder", folder);
    }
    const opened = `vscode-remote://127.0.0.1:${port}${file}`;
    address.searchParams.set("payload", JSON.stringify([["openFile", opened]]));
    await this.page.goto(address.href);
    await this.page.waitForSelector(".monaco-editor .view-lines", { timeout: PATIENCE_MS });
  }

  /** What is drawn at the moment: lines of a draft or a preview, and ghost text. */
  async shown() {
    return this.page.evaluate(() => globalThis.dgLspShown());
  }

  async drafts() {
    return (await this.shown()).drafts;
  }

  async ghost() {
    return (await this.shown()).ghost;
  }

  /** Note what each frame shows from now on. */
  async record() {
    await this.page.evaluate(() => {
      const frames = (globalThis.dgLspFrames = []);
      let last = "";
      const note = () => {
        if (globalThis.dgLspFrames !== frames) {
          return;
        }
        const shown = globalThis.dgLspShown();
        const text = JSON.stringify(shown);
        if (text !== last) {
          last = text;
          frames.push({ atMs: performance.now(), ...shown });
        }
        // After the frame was painted: before it, half of a change may be made.
        requestAnimationFrame(() => setTimeout(note));
      };
      note();
    });
  }

  /** The frames so far, each that differs from the one before. */
  async recorded() {
    return this.page.evaluate(() => {
      const frames = globalThis.dgLspFrames;
      globalThis.dgLspFrames = undefined;
      return frames;
    });
  }

  async status() {
    const item = this.page.locator("[id*='dgLsp.status'] a").first();
    return ((await item.textContent()) ?? "").trim();
  }

  async tooltip() {
    return (
      (await this.page.locator("[id*='dgLsp.status']").first().getAttribute("aria-label")) ?? ""
    );
  }

  /** Wait for the box at the top, and until it is what keys go to. */
  async box() {
    await this.page.waitForFunction(() =>
      document.activeElement?.matches(".quick-input-widget input"),
    );
  }

  /** The entries of its list. */
  async entries() {
    return this.page.$$eval(".quick-input-list .monaco-list-row", (all) =>
      all.map((one) => one.getAttribute("aria-label") ?? ""),
    );
  }

  /** Run a command by its title. */
  async command(title) {
    await this.page.keyboard.press("F1");
    await this.box();
    await this.page.keyboard.type(title);
    // The best match is not always the first, and a hover may lie over it.
    await until(async () => {
      const chosen = this.page.locator(".quick-input-list .monaco-list-row.focused").first();
      if ((await chosen.getAttribute("aria-label", { timeout: 1000 }))?.startsWith(title)) {
        return true;
      }
      if ((await this.entries()).some((entry) => entry.startsWith(title))) {
        await this.page.keyboard.press("ArrowDown");
      }
      return false;
    });
    await this.page.keyboard.press("Enter");
  }

  /** Open another file of the folder in this window, and nothing else. */
  async openFile(name) {
    // A file that is not saved would be asked about.
    await this.save(".tab.dirty");
    await this.page.keyboard.press("Control+k");
    await this.page.keyboard.press("Control+w");
    await until(async () => (await this.page.locator(".tab").count()) === 0);
    // The list of files is made when it is first looked at, and this one may be new.
    await until(async () => {
      await this.page.keyboard.press("Escape");
      await this.page.keyboard.press("Control+p");
      await this.box();
      await this.page.keyboard.type(path.join(this.workplace.folder, name));
      const entry = this.page.locator(`.quick-input-list [aria-label^="${name}"]`).first();
      await entry.waitFor({ timeout: 5000 });
      return true;
    });
    await this.page.keyboard.press("Enter");
    await this.page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
    await this.page.locator(".monaco-editor .view-line").first().waitFor();
  }

  /** Go to a line and column, both from 1, with the focus in the text. */
  async goTo(line, column) {
    await this.page.keyboard.press("Control+g");
    await this.box();
    await this.page.keyboard.type(`${line}:${column}`);
    await this.page.keyboard.press("Enter");
    await this.page.waitForFunction(
      () => document.activeElement?.closest(".monaco-editor") !== null,
    );
    await this.isAt(line);
  }

  /** Wait until the status bar has the cursor there; in any column, unless one is given. */
  async isAt(line, column = "\\d+") {
    const item = this.page.locator("[id='status.editor.selection']");
    const place = new RegExp(`^Ln ${line}, Col ${column}\\b`);
    await until(async () => place.test((await item.textContent({ timeout: 1000 })) ?? ""));
  }

  /**
   * What is drawn, once something is and the engine is held there: it must be let go on. Until
   * then the engine works in portions, so that the job is not over before anybody looks.
   */
  async heldDraft() {
    return until(async () => {
      this.workplace.signalEngine("SIGCONT");
      await this.page.waitForTimeout(40);
      this.workplace.signalEngine("SIGSTOP");
      await this.page.waitForTimeout(150);
      const drafts = await this.drafts();
      return drafts.length > 0 && drafts;
    });
  }

  /** The colour in which the theme has the dots of undecided tokens. */
  async undecidedColor() {
    return this.page.evaluate(() => {
      const style = getComputedStyle(document.querySelector(".monaco-workbench"));
      return style.getPropertyValue("--vscode-dgLsp-undecidedForeground").trim();
    });
  }

  async settledGhost(patienceMs = PATIENCE_MS) {
    return until(async () => {
      const { drafts, ghost } = await this.shown();
      return drafts.length === 0 && ghost;
    }, patienceMs);
  }

  async lenses() {
    return this.page.$$eval(".codelens-decoration a, .codelens-decoration span", (all) =>
      all.map((one) => one.textContent ?? "").join(" "),
    );
  }

  /** Rewrite the selection without words. */
  async rewriteAnew() {
    await this.page.keyboard.press("Control+Alt+r");
    await this.box();
    await this.page.keyboard.press("Enter");
  }

  async previewReady() {
    await until(async () => (await this.lenses()).includes("Accept"));
  }

  /** Select lines, both from 1, with the cursor in the last one. */
  async select(first, last) {
    await this.goTo(first, 1);
    for (let line = first; line < last; line += 1) {
      await this.page.keyboard.press("Shift+ArrowDown");
    }
    await this.page.keyboard.press("Shift+End");
  }

  /** The titles of the menu of code actions, where it is open. */
  async actions() {
    return this.page.$$eval(".action-widget .monaco-list-row.action", (all) =>
      all.map((one) => one.textContent ?? ""),
    );
  }

  /** What the pages in the window say: the frames of its webviews. */
  async pageText() {
    const frames = this.page.frames().filter((one) => one !== this.page.mainFrame());
    const texts = await Promise.all(
      frames.map((one) => one.evaluate(() => document.body?.innerText ?? "").catch(() => "")),
    );
    return texts.join("\n");
  }

  /** Click a link of a page. */
  async clickLink(label) {
    for (const frame of this.page.frames()) {
      const link = frame.locator("a", { hasText: label }).first();
      if ((await link.count().catch(() => 0)) > 0) {
        await link.click();
        return;
      }
    }
    throw new Error(`no link ${label}`);
  }

  async notifications() {
    return this.page.$$eval(".notification-list-item-message", (all) =>
      all.map((one) => one.textContent ?? ""),
    );
  }

  /** A picture of the editor's upper part, for the documents. */
  async picture(name, height = 300, width = 900) {
    const directory = process.env.DG_LSP_PICTURES ?? path.join(EXTENSION, "dist", "pictures");
    mkdirSync(directory, { recursive: true });
    await this.page.screenshot({
      path: path.join(directory, `${name}.png`),
      clip: { x: 0, y: 0, width, height },
    });
  }

  /** What a failed test has left on the screen. */
  async pictureOf({ name, passed }) {
    if (!passed) {
      this.workplace.signalEngine("SIGCONT");
      await this.picture(`failed-${name.replaceAll(/\W+/g, "-")}`, 560);
    }
  }

  /** Save; a key that is pressed while the focus moves goes nowhere, and is pressed again. */
  async save(dirty) {
    const isSaved = async () => (await this.page.locator(dirty).count()) === 0;
    await until(async () => {
      await this.page.keyboard.press("Control+s");
      return until(isSaved, 2000);
    });
  }

  /** Save until the file holds this: the editor may still be about to insert it. */
  async holds(file, text) {
    await becomes(() => this.saved(file), text);
  }

  /** Save, and read what the file holds. */
  async saved(file) {
    await this.save(".tab.active.dirty");
    // One that is not changed is written as well, and is empty while that goes on.
    return until(() => readFileSync(file, "utf8"));
  }
}

/** Runs in the page. */
function readShown() {
  const plain = (text) => text.replaceAll("\u00a0", " ");
  globalThis.dgLspShown = () => {
    const drafts = [];
    // Pseudo-elements are in no text of the page.
    for (const span of document.querySelectorAll(".view-line span[class*=ced-]")) {
      for (const side of ["::before", "::after"]) {
        const { content } = getComputedStyle(span, side);
        if (content.startsWith('"')) {
          drafts.push(plain(JSON.parse(content)));
        }
      }
    }
    // The editor may draw a line of ghost text in several pieces.
    const pieces = ".ghost-text-decoration, .ghost-text-decoration-preview";
    const said = (all) => plain([...all].map((one) => one.textContent ?? "").join(""));
    const lines = [...document.querySelectorAll(".view-line")]
      .map((line) =>
        line.closest(".suggest-preview-text") ? [line] : line.querySelectorAll(pieces),
      )
      .filter((all) => all.length > 0);
    return { drafts, ghost: lines.map(said).join("\n") };
  };
}

export async function until(isSo, patienceMs = PATIENCE_MS, what = String(isSo)) {
  const end = Date.now() + patienceMs;
  for (;;) {
    try {
      const value = await isSo();
      if (value) {
        return value;
      }
    } catch (error) {
      if (Date.now() > end) {
        throw error;
      }
    }
    if (Date.now() > end) {
      throw new Error(`not within ${patienceMs / 1000} s: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

/** Wait until what is read is this; a failure shows both. */
export async function becomes(read, expected) {
  let value;
  const isSo = async () => isDeepStrictEqual((value = await read()), expected);
  await until(isSo).catch(() => assert.deepEqual(value, expected));
}

async function freePort() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

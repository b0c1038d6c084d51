/**
 * `npm run replay`: types replay.txt into the real editor as somebody at the keyboard does, and
 * says what became of the suggestions that were drawn meanwhile.
 *
 * A *spell* begins with the first frame that shows suggested text and ends with the first that
 * shows none. It has settled if ghost text was part of it; else it was a draft all the time, and
 * it vanished by itself where no key was pressed between its first frame and its last.
 *
 * In replay.txt `⇥` begins a line that is indented with Tab, from the left margin; all others
 * have the indentation of the editor, taken back where it is too much.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DG_LSP, until, Workplace } from "../test/editor/harness.mjs";

/** A machine that has other work to do is slower, and so may be who types on it. */
const BETWEEN_KEYS_MS = Number(process.env.DG_LSP_KEY_MS ?? 90);
/** Somebody who looks at a blank line before indenting it. */
const BEFORE_TAB_MS = 400;
const INDENTATION = 4;

/** The editor as it comes: the harness switches much of it off. */
const AS_IT_COMES = {
  "editor.wordBasedSuggestions": "matchingDocuments",
  "editor.quickSuggestions": { other: "on", comments: "off", strings: "off" },
  "editor.parameterHints.enabled": true,
  // But that Enter ends a line also where a list is open.
  "editor.acceptSuggestionOnEnter": "off",
};

/** The keys for a text; blanks at the start of a line are typed by the editor. */
export function keysOf(text) {
  const keys = [];
  let indentation = 0;
  for (const [index, line] of text.split("\n").entries()) {
    if (index > 0) {
      keys.push("Enter");
    }
    const isTabbed = line.startsWith("⇥");
    const code = line.replace("⇥", "").trimStart();
    if (code === "") {
      continue;
    }
    const wanted = line.replace("⇥", "").length - code.length;
    while (indentation > (isTabbed ? 0 : wanted)) {
      keys.push("Backspace");
      indentation -= INDENTATION;
    }
    while (indentation < wanted) {
      keys.push("Tab");
      indentation += INDENTATION;
    }
    keys.push(...code);
    indentation += code.endsWith(":") ? INDENTATION : 0;
  }
  return keys;
}

/** The spells of some frames, each with whether it settled and whether a key fell into it. */
export function spellsOf(frames, keyTimes) {
  const spells = [];
  let spell;
  for (const { atMs, drafts, ghost } of frames) {
    const text = ghost || drafts.join("\n");
    if (text.trim() === "") {
      spell = undefined;
      continue;
    }
    if (spell === undefined) {
      spell = { startMs: atMs, texts: [], hasSettled: false };
      spells.push(spell);
    }
    spell.texts.push(text);
    spell.hasSettled ||= ghost !== "";
  }
  for (const one of spells) {
    const isOver = (frame) => frame.atMs > one.startMs && isBlank(frame);
    one.endMs = frames.find(isOver)?.atMs ?? frames.at(-1).atMs;
    one.hasKey = keyTimes.some((atMs) => atMs > one.startMs && atMs < one.endMs);
  }
  return spells;
}

function isBlank({ drafts, ghost }) {
  return (ghost || drafts.join("\n")).trim() === "";
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** The cursor's line up to the cursor. */
async function blankLine(window) {
  return window.page.evaluate(() => {
    const line = document.querySelector(".view-overlays .current-line");
    const top = line?.closest("[style*='top']")?.style.top;
    const lines = [...document.querySelectorAll(".view-lines .view-line")];
    return lines.find((one) => one.style.top === top)?.textContent?.trim() ?? "";
  });
}

async function main() {
  const text = readFileSync(new URL("replay.txt", import.meta.url), "utf8").trimEnd();
  const keys = keysOf(text);
  const workplace = new Workplace(AS_IT_COMES);
  try {
    await workplace.start();
    const file = workplace.file("shelf.py", "");
    const window = await workplace.open(file);
    await window.page.keyboard.press("Control+b");
    await until(async () => (await window.status()) === "dg-lsp: small model", 120_000);
    await window.page.locator(".monaco-editor .view-lines").first().click();
    // An editor that was just made asks nobody yet.
    await until(async () => {
      await window.page.keyboard.type("x");
      await window.page.waitForTimeout(1000);
      await window.page.keyboard.press("Backspace");
      return asked(workplace) > 0;
    });
    const askedBefore = asked(workplace);
    await window.page.evaluate(() => {
      globalThis.dgLspKeys = [];
      const note = () => globalThis.dgLspKeys.push(performance.now());
      addEventListener("keydown", note, { capture: true });
    });
    await window.record();
    const tabs = [];
    let dueMs = performance.now();
    for (const [index, key] of keys.entries()) {
      const isTab = key === "Tab" && keys[index - 1] !== "Tab";
      dueMs = Math.max(dueMs + (isTab ? BEFORE_TAB_MS : BETWEEN_KEYS_MS), performance.now());
      await window.page.waitForTimeout(dueMs - performance.now());
      if (!isTab) {
        await press(window, key);
        continue;
      }
      const before = await window.shown();
      await press(window, key);
      await window.page.waitForTimeout(BETWEEN_KEYS_MS);
      const inserted = await blankLine(window);
      tabs.push({ ...before, inserted });
      if (inserted !== "") {
        await press(window, "Control+z");
        await window.page.keyboard.press("Escape");
        await press(window, key);
      }
    }
    await window.page.waitForTimeout(3000);
    const keyTimes = await window.page.evaluate(() => globalThis.dgLspKeys);
    const frames = await window.recorded();
    report(keys, spellsOf(frames, keyTimes), tabs, asked(workplace) - askedBefore);
    const saved = await window.saved(file);
    if (saved.trimEnd() !== text.replaceAll("⇥", "")) {
      console.log(`the document is not what was typed:\n${saved}`);
    }
    if (process.env.DG_LSP_REPLAY) {
      writeFileSync(process.env.DG_LSP_REPLAY, JSON.stringify({ keys, keyTimes, frames, tabs }));
    }
  } finally {
    await workplace.close();
  }
}

/** How many requests the server has had so far. */
function asked(workplace) {
  const env = workplace.environment;
  const said = execFileSync(DG_LSP, ["trace", "--json", "--last", "10000"], {
    env,
    encoding: "utf8",
  });
  return said.split('"automatic"').length - 1;
}

async function press(window, key) {
  await (key.length === 1 ? window.page.keyboard.type(key) : window.page.keyboard.press(key));
}

function report(keys, spells, tabs, numAsked) {
  const vanished = spells.filter((spell) => !spell.hasSettled);
  const alone = vanished.filter((spell) => !spell.hasKey);
  const share = (part, whole) => `${Math.round((100 * part) / Math.max(1, whole))} %`;
  const lasted = (all) => `${Math.round(median(all.map((one) => one.endMs - one.startMs)))} ms`;
  const noise = tabs.filter(({ inserted, ghost }) => inserted !== "" && ghost === "");
  const rows = {
    "keys pressed": keys.length,
    "requests that the server had": numAsked,
    "times that text appeared": spells.length,
    settled: `${spells.length - vanished.length} (${share(spells.length - vanished.length, spells.length)})`,
    vanished: `${vanished.length}, median after ${lasted(vanished)}`,
    "of these by itself": `${alone.length} (${((100 * alone.length) / keys.length).toFixed(1)} in 100 keys)`,
    "Tabs on blank lines": tabs.length,
    "of these that inserted a draft": noise.length,
  };
  for (const [what, figure] of Object.entries(rows)) {
    console.log(`${what.padEnd(32)} ${figure}`);
  }
  for (const spell of spells) {
    const kind = spell.hasSettled ? "settled" : spell.hasKey ? "by a key" : "by itself";
    const texts = [...new Set(spell.texts)].map((one) => JSON.stringify(one)).join(" ");
    console.log(`${kind.padEnd(10)} ${Math.round(spell.endMs - spell.startMs)} ms  ${texts}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main();
}

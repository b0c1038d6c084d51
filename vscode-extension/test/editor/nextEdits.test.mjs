/** The edit that follows from the last one, as a user sees it; it needs no model. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { until, Workplace } from "./harness.mjs";

const TEXT = `def load(path):
    return open(path)


def main():
    first = load("a")
    second = load("b")
    return first, second
`;

let workplace;
let window;

before(async () => {
  workplace = new Workplace({ "dgLsp.trigger": "manual" });
  workplace.set({ "dgLsp.server.path": workplace.scripted({}) });
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", TEXT));
  // The server runs; it follows a document from its opening on.
  await until(() => window.page.locator("[id*='dgLsp.status'] .codicon-sparkle").count());
});

afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

/** The text of the editor's lines, with what is drawn beside them. */
async function lines() {
  const found = await window.page.$$eval(".editor-instance .view-line", (all) =>
    all
      .map((line) => ({
        top: line.getBoundingClientRect().top,
        text: [...line.querySelectorAll("span > span")]
          .map((span) => {
            const parts = ["::before", "::after"].map((name) => {
              const { content } = getComputedStyle(span, name);
              return content === "none" || content === "normal" ? "" : content.slice(1, -1);
            });
            return parts[0] + span.textContent + parts[1];
          })
          .join(""),
      }))
      .sort((a, b) => a.top - b.top)
      .map(({ text }) => text.replaceAll("\u00a0", " ")),
  );
  return found;
}

/** Renames the function where it is defined, and waits for the edit that follows. */
async function renamed(name) {
  const file = workplace.file(name, TEXT);
  await window.openFile(name);
  await window.goTo(1, 5);
  await window.page.keyboard.press("Control+Delete");
  await window.page.keyboard.type("read");
  await until(async () => (await lines()).some((line) => line.includes("⇥ line 6")));
  return file;
}

test("Tab goes to the next edit, Tab accepts it, and the one after that follows", async () => {
  const file = await renamed("cart.py");
  assert.match((await lines())[5], /loadread\("a"\)/);
  await window.picture("vscode-next-edit", 220);
  await window.page.keyboard.press("Tab");
  await window.isAt(6);
  await window.page.keyboard.press("Tab");
  await until(async () => (await lines())[5].includes('read("a")'));
  await until(async () => (await lines()).some((line) => line.includes("⇥ line 7")));
  await window.picture("vscode-next-edit-2", 220);
  await window.page.keyboard.press("Tab");
  await window.isAt(7);
  await window.page.keyboard.press("Tab");
  await until(async () => (await lines())[6].includes('read("b")'));
  await window.holds(file, TEXT.replaceAll("load", "read"));
});

test("Escape dismisses it, and then Tab indents as always", async () => {
  const file = await renamed("shelf.py");
  await window.page.keyboard.press("Escape");
  await until(async () => !(await lines()).some((line) => line.includes("⇥")));
  await window.page.keyboard.press("End");
  await window.page.keyboard.press("Tab");
  const text = await window.saved(file);
  assert.equal(text, TEXT.replace("load(path):", "read(path): "));
});

test("an edit elsewhere removes it until the user pauses", async () => {
  await renamed("store.py");
  await window.goTo(8, 25);
  // The next one may come before a look from here: the page itself looks, at every frame.
  const removed = window.page.waitForFunction(() =>
    [...document.querySelectorAll(".editor-instance .view-line span")].every(
      (span) => !getComputedStyle(span, "::after").content.includes("⇥"),
    ),
  );
  await window.page.keyboard.type(" ");
  await removed;
  await until(async () => (await lines()).some((line) => line.includes("⇥ line 7")));
});

test("a file that changes on the disk has none", async () => {
  const file = await renamed("disk.py");
  await window.saved(file);
  const other = Array.from({ length: 300 }, (_, number) => `x${number} = load(${number})\n`);
  writeFileSync(file, other.join(""));
  await until(async () => (await lines())[0].startsWith("x0"));
  await window.page.waitForTimeout(1000);
  assert.ok(!(await lines()).some((line) => line.includes("⇥")));
});

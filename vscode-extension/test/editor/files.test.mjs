/** Suggestions in files of all kinds: what is shown is what the file then holds. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { until, Workplace } from "./harness.mjs";

const CART = `class Cart:
    def __init__(self):
        self.items = []

    def total(self):
        result = 0
        for name, price in self.items:
            result += price
        return result

    def average(self):
        result = 0
        for name, price in self
            result += price
        return result / len(self.items)
`;
/** Of the line that is unfinished; the model can finish it like the one above. */
const LINE = 13;

let workplace;
let window;

before(async () => {
  workplace = new Workplace();
  await workplace.start();
  window = await workplace.open(workplace.file("first.py", CART));
  await window.page.keyboard.press("Control+b");
  await until(async () => (await window.status()) === "dg-lsp: small model");
});

// What a failed test has left on the screen.
afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

const FILES = {
  "with line ends of Windows": ["crlf.py", CART.replaceAll("\n", "\r\n")],
  "with tabs": ["tabs.py", CART.replaceAll("    ", "\t")],
  "with text that runs from right to left": [
    "rtl.py",
    CART.replace("result = 0", 'result = 0  # "שלום عالم"'),
  ],
  "with characters outside the basic plane": ["emoji.py", CART.replaceAll("in self", "in 𝕤, self")],
  "of 100,000 lines": ["long.py", "x = 1\n".repeat(99_991) + CART],
};

for (const [what, [name, text]] of Object.entries(FILES)) {
  test(`a file ${what}`, async () => {
    const file = workplace.file(name, text);
    await window.openFile(name);
    const line = LINE + (text.length > 100_000 ? 99_991 : 0);
    const end = text.search(/self\r?\n/) + "self".length;
    await window.goTo(line, 200);
    await window.page.keyboard.type(".");
    const ghost = await window.settledGhost();
    await window.page.keyboard.press("Tab");
    const expected = `${text.slice(0, end)}.${ghost}${text.slice(end)}`;
    await window.holds(file, expected);
  });
}

test("what looks like secrets is left alone, and the status says why", async () => {
  workplace.file(".env", "KEY=\n");
  await window.openFile(".env");
  await window.goTo(1, 5);
  await window.page.keyboard.type("a");
  await until(async () => /No suggestions here: /.test(await window.tooltip()));
  assert.deepEqual(await window.shown(), { drafts: [], ghost: "" });
});

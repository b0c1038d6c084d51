/** What was accepted last: its doubt, and what is kept of it when the rest is rewritten. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as vscode from "vscode";
import { Inserted } from "../../src/inserted";
import { keeping } from "../../src/keep";
import type { Confidence } from "../../src/lspExt";
import type { Editor } from "./fake/documents";
import { workbench } from "./fake/workbench";

const TEXT = "width * height + 1";
const DOUBT: Confidence = [
  [0.9, 8],
  [0.3, 6],
  [0.9, 4],
];

let inserted: Inserted;
let editor: Editor;

beforeEach(() => {
  workbench.settings.set("dgLsp.doubt.show", true);
  inserted = new Inserted();
  editor = workbench.open(`total = ${TEXT}\nrest\n`);
});

afterEach(() => {
  vi.useRealTimers();
  inserted.dispose();
});

const note = (text = TEXT): void =>
  inserted.note(editor.document, new vscode.Position(0, 8), text, DOUBT);
const underlined = (): string[] => editor.covered.map((one) => editor.document.getText(one));

function select(start: number, end = start): void {
  const at = (offset: number) => editor.document.positionAt(offset);
  editor.selection = new vscode.Selection(at(start), at(end));
}

/** What stays, or why nothing does. */
function kept(): string {
  const wish = keeping(editor, inserted.in(editor.document));
  if (typeof wish === "string") {
    return wish;
  }
  const [pin] = wish.pinned ?? [];
  return `<${editor.document.getText(wish.range).slice(pin?.start, pin?.end)}>`;
}

describe("doubt", () => {
  test("the unsure part is underlined until it is edited", () => {
    note();
    expect(underlined()).toEqual(["height"]);
    workbench.change(editor, 0, 0, "x = 1\n");
    expect(underlined()).toEqual(["height"]);
    const at = editor.document.getText().indexOf("height");
    workbench.change(editor, at + 1, at + 2, "a");
    expect(underlined()).toEqual([]);
  });

  test("it ends after a minute", () => {
    vi.useFakeTimers();
    note();
    vi.advanceTimersByTime(60_000);
    expect(underlined()).toEqual([]);
  });

  test("nothing is underlined by default", () => {
    workbench.settings.set("dgLsp.doubt.show", undefined);
    note();
    expect(underlined()).toEqual([]);
  });

  test("a text that is not there is not noted", () => {
    note("something else");
    expect(underlined()).toEqual([]);
    expect(inserted.in(editor.document)).toBeUndefined();
  });
});

describe("what is kept", () => {
  test("the selection, or what was edited, or the word at the cursor", () => {
    note();
    select(18);
    expect(kept()).toBe("<height>");
    select(8, 15);
    expect(kept()).toBe("<width *>");
    select(0);
    workbench.change(editor, 16, 22, "length");
    expect(kept()).toBe("<length>");
  });

  test("nothing outside of what was accepted", () => {
    expect(kept()).toMatch(/accept a suggestion/);
    note();
    select(2);
    expect(kept()).toMatch(/part of the text/);
    select(2, 12);
    expect(kept()).toMatch(/part of the text/);
    workbench.change(editor, 8, 26, "");
    expect(kept()).toMatch(/accept a suggestion/);
  });

  test("what is typed behind the text is no part of it", () => {
    note();
    workbench.change(editor, 26, 26, " + 2");
    select(18);
    expect(kept()).toBe("<height>");
  });
});

import { beforeEach, describe, expect, test } from "vitest";
import { showsDrafts } from "../../src/config";
import { Drafts } from "../../src/drafts";
import type { Draft } from "../../src/lspExt";
import type { Editor } from "./fake/documents";
import { workbench } from "./fake/workbench";

let drafts: Drafts;
let editor: Editor;

beforeEach(() => {
  drafts = new Drafts(showsDrafts);
  editor = workbench.open("def add(a, b):\n    return |\n");
  drafts.expect("t");
});

/** At the cursor, for the document as it is. */
function draft(text: string, changes: Partial<Draft> = {}): Draft {
  const { document, selection } = editor;
  const { line, character } = selection.active;
  const at = { line, character };
  return {
    token: "t",
    uri: document.uri.toString(),
    version: document.version,
    range: { start: at, end: at },
    text,
    confidence: [[0.5, text.length]],
    step: 1,
    stepsAllowed: 8,
    settled: 0,
    block: 1,
    blocks: 1,
    ...changes,
  };
}

const isVisible = () => workbench.contexts.get("dgLsp.draftVisible") === true;
const isTakenWithTab = () => workbench.contexts.get("dgLsp.draftTakenWithTab") === true;

describe("a draft", () => {
  test("is drawn at the cursor, and the next one takes its place", () => {
    drafts.take(draft("x * y"));
    expect(editor.drawn).toEqual(["x * y"]);
    expect(isVisible()).toBe(true);
    drafts.take(draft("a + b"));
    expect(editor.drawn).toEqual(["a + b"]);
    expect(editor.document.getText()).toBe("def add(a, b):\n    return \n");
  });

  test("of several lines is drawn over those below, and carries the rest of its line along", () => {
    editor = workbench.open("total = sum(|)\nprint(total)\n", "/work/b.py");
    drafts.take(draft("\n    a,\n    b,\n"));
    expect(editor.drawn).toEqual(["", "    a,", "    b,", ")"]);
    expect(editor.covered.map((one) => editor.document.getText(one))).toEqual([")"]);
  });

  test("past the end of the document has its lines below the last", () => {
    editor = workbench.open("try:|", "/work/b.py");
    drafts.take(draft("\n    run()\nfinally:\n    close()"));
    expect(editor.drawn).toEqual(["", "    run()", "finally:", "    close()"]);
  });

  test.each([
    ["of another request", { token: "other" }],
    ["of another document", { uri: "file:///work/other.py" }],
    ["of an older version", { version: 0 }],
    [
      "of another place",
      { range: { start: { line: 0, character: 3 }, end: { line: 0, character: 3 } } },
    ],
  ])("%s is not drawn", (_, changes) => {
    drafts.take(draft("a + b", changes));
    expect(editor.drawn).toEqual([]);
    expect(isVisible()).toBe(false);
  });

  test("that begins with what stands there already shows the rest", () => {
    const { active } = editor.selection;
    const start = { line: active.line, character: active.character - "return ".length };
    const range = { start, end: { line: active.line, character: active.character } };
    drafts.take(draft("return a", { range }));
    expect(editor.drawn).toEqual(["a"]);
    drafts.take(draft("raise a", { range }));
    expect(editor.drawn).toEqual(["a"]);
  });

  test("of a request that has ended comes too late", () => {
    drafts.take(draft("a"));
    drafts.end("t");
    expect(editor.drawn).toEqual([]);
    drafts.take(draft("a + b"));
    expect(editor.drawn).toEqual([]);
  });

  test("stays until the next request has one, and its own end does not count then", () => {
    drafts.take(draft("a"));
    drafts.expect("next");
    drafts.end("t");
    expect(editor.drawn).toEqual(["a"]);
    drafts.take(draft("a + b", { token: "next" }));
    expect(editor.drawn).toEqual(["a + b"]);
  });
});

describe("what the user does", () => {
  beforeEach(() => drafts.take(draft("a + b")));

  test("typing along shortens it", () => {
    workbench.type("a");
    expect(editor.drawn).toEqual([" + b"]);
    workbench.type(" +");
    expect(editor.drawn).toEqual([" b"]);
    expect(isVisible()).toBe(true);
  });

  test("typing all of it leaves nothing to be drawn", () => {
    workbench.type("a + b");
    expect(editor.drawn).toEqual([]);
    expect(isVisible()).toBe(false);
  });

  test("typing something else takes it away", () => {
    workbench.type("c");
    expect(editor.drawn).toEqual([]);
    expect(isVisible()).toBe(false);
  });

  test("moving the cursor takes it away", () => {
    workbench.select(editor, 3);
    expect(editor.drawn).toEqual([]);
  });

  test("selecting takes it away", () => {
    const { active } = editor.selection;
    workbench.select(editor, 0, editor.document.offsetAt(active));
    expect(editor.drawn).toEqual([]);
  });

  test("going to another editor takes it away", () => {
    workbench.open("", "/work/other.py");
    expect(editor.drawn).toEqual([]);
  });

  test("an edit elsewhere takes it away", () => {
    workbench.change(editor, 0, 0, "# top\n");
    expect(editor.drawn).toEqual([]);
  });

  test("an edit or a cursor in another document does not", () => {
    const other = workbench.open("", "/work/other.py");
    workbench.focus(editor);
    drafts.take(draft("a + b"));
    workbench.change(other, 0, 0, "x");
    workbench.select(other, 1);
    expect(editor.drawn).toEqual(["a + b"]);
  });

  test("accepting puts into the document what is shown, in one step of undo", async () => {
    workbench.type("a");
    const steps = editor.document.undoSteps.length;
    await drafts.accept();
    expect(editor.document.getText()).toBe("def add(a, b):\n    return a + b\n");
    expect(editor.drawn).toEqual([]);
    expect(isVisible()).toBe(false);
    expect(editor.document.undoSteps).toHaveLength(steps + 1);
    editor.document.undo();
    expect(editor.document.getText()).toBe("def add(a, b):\n    return a\n");
  });

  test("accepting what is gone does nothing", async () => {
    workbench.type("c");
    await drafts.accept();
    expect(editor.document.getText()).toBe("def add(a, b):\n    return c\n");
  });
});

describe("Tab", () => {
  const settled = (text: string) => draft(text, { settled: text.length });

  test("takes a draft that can no longer change, also while that is typed along", () => {
    drafts.take(settled("a + b"));
    expect(isTakenWithTab()).toBe(true);
    workbench.type("a");
    expect(isTakenWithTab()).toBe(true);
    workbench.type("c");
    expect(isTakenWithTab()).toBe(false);
  });

  test("is left alone by one that is not settled to its end", () => {
    drafts.take(settled("a"));
    drafts.take(draft("a + b", { settled: 4 }));
    expect(isVisible()).toBe(true);
    expect(isTakenWithTab()).toBe(false);
  });

  test.each(["|", "    |", "\t|", "def f():\n    |\n"])("indents a blank line: %j", (text) => {
    editor = workbench.open(text, "/work/blank.py");
    drafts.take(settled("return 1"));
    expect(editor.drawn).toEqual(["return 1"]);
    expect(isTakenWithTab()).toBe(false);
  });
});

describe("drafts are off", () => {
  test("where the setting says so, from the next one on", () => {
    workbench.settings.set("dgLsp.drafts.show", "off");
    drafts.take(draft("a + b"));
    expect(editor.drawn).toEqual([]);
    workbench.settings.set("dgLsp.drafts.show", "on");
    drafts.take(draft("a + b"));
    expect(editor.drawn).toEqual(["a + b"]);
  });

  test("by themselves for a screen reader, unless the user wants them", () => {
    workbench.settings.set("editor.accessibilitySupport", "on");
    drafts.take(draft("a + b"));
    expect(editor.drawn).toEqual([]);
    workbench.settings.set("dgLsp.drafts.show", "on");
    drafts.take(draft("a + b"));
    expect(editor.drawn).toEqual(["a + b"]);
  });

  test("when the extension is", () => {
    drafts.take(draft("a + b"));
    drafts.dispose();
    expect(editor.drawn).toEqual([]);
    expect(workbench.changed.numListeners).toBe(0);
    expect(workbench.selected.numListeners).toBe(0);
  });
});

/** A rewrite and its preview, with the real language client and a server that a test answers for. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as vscode from "vscode";
import type { Draft, Target } from "../../src/lspExt";
import { Rewriting } from "../../src/rewrite";
import type { Document, Editor } from "./fake/documents";
import { quiet, until } from "./fake/server";
import { Session, type Asked } from "./fake/session";
import { workbench } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

const BEFORE = "# sums\n\ndef total(items):\n    n = 0\n    return n\n";
const AFTER = "# sums\n\ndef total(items):\n    return sum(items)\n";

let session: Session;
let rewriting: Rewriting;
let editor: Editor;
let document: Document;
let requests: Asked<{ data: Target }>[];

beforeEach(async () => {
  session = new Session();
  rewriting = new Rewriting(session.client);
  await session.start();
  requests = session.requests("codeAction/resolve");
  editor = workbench.open(BEFORE);
  document = editor.document;
});

afterEach(async () => {
  rewriting.dispose();
  await session.client.stop();
});

/** Asks for the body to be rewritten. */
async function begin(instruction?: string): Promise<Asked<{ data: Target }>> {
  const count = requests.length;
  const range = new vscode.Range(3, 0, 4, 12);
  void rewriting.begin({ document, range, ...(instruction === undefined ? {} : { instruction }) });
  return next(count);
}

async function next(count: number): Promise<Asked<{ data: Target }>> {
  await until(() => requests.length > count);
  return requests[count] as Asked<{ data: Target }>;
}

/** The smallest edit that makes `AFTER`, in a document with so many lines above what it was. */
function answer(asked: Asked<unknown>, version = document.version, linesAbove = 0): void {
  const range = {
    start: { line: 3 + linesAbove, character: 4 },
    end: { line: 4 + linesAbove, character: 12 },
  };
  const textDocument = { uri: document.uri.toString(), version };
  const edits = [{ range, newText: "return sum(items)" }];
  asked.answer({ title: "Rewrite", edit: { documentChanges: [{ textDocument, edits }] } });
}

const never = { isCancellationRequested: false, onCancellationRequested: () => ({ dispose() {} }) };

async function begun(): Promise<Asked<{ data: Target }>> {
  const asked = await begin();
  answer(asked);
  await until(isReady);
  return asked;
}

const isReady = () => workbench.contexts.get("dgLsp.rewriteReady") === true;
const isUnderWay = () => workbench.contexts.get("dgLsp.rewriting") === true;

function lenses(): string[] {
  return rewriting.provideCodeLenses(document).map((lens) => lens.command?.title ?? "");
}

async function draft(
  asked: Asked<{ data: Target }>,
  text: string,
  step: Partial<Draft> = {},
): Promise<void> {
  const { token = "", uri, range } = asked.params.data;
  const version = document.version;
  const confidence = [[0.4, text.length]] as const;
  await session.draft({ token, uri, version, range, text, confidence, ...step });
}

test("the server is asked for the text, what to do with it and how freely", async () => {
  const { params } = await begin("use sum");
  expect(params.data).toMatchObject({
    uri: "file:///work/a.py",
    version: 1,
    range: { start: { line: 3, character: 0 }, end: { line: 4, character: 12 } },
    instruction: "use sum",
    strength: 0.6,
    seed: 0,
  });
  expect((await begin()).params.data).not.toHaveProperty("instruction");
});

test("it comes into focus over the text, which stays as it is", async () => {
  const asked = await begin();
  expect(lenses().slice(0, 2)).toEqual(["$(loading~spin) Rewriting", "$(close) Stop"]);
  expect([isUnderWay(), isReady()]).toEqual([true, false]);
  await draft(asked, "    return xum(items)");
  expect(editor.drawn).toEqual(["    n = 0", "    return n", "    return xum(items)"]);
  answer(asked);
  await until(isReady);
  expect(editor.drawn).toEqual(["    n = 0", "    return n", "    return sum(items)"]);
  expect(lenses()).toContain("$(check) Accept");
  expect(document.getText()).toBe(BEFORE);
  expect(document.version).toBe(1);
});

test("what comes after the answer, or of another rewrite, is not drawn", async () => {
  const first = await begin();
  const second = await begin();
  await draft(first, "    return first");
  expect(editor.drawn).toEqual([]);
  answer(first);
  await quiet();
  expect(isReady()).toBe(false);
  answer(second);
  await until(isReady);
  await draft(second, "    return late");
  expect(editor.drawn.join("\n")).not.toContain("late");
});

describe("accepting", () => {
  test("makes one edit of exactly what was shown, which one undo takes back", async () => {
    await begun();
    const versions: number[] = [];
    workbench.changed.event((event) => versions.push(event.document.version));
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER);
    expect(versions).toEqual([2]);
    expect(editor.drawn).toEqual([]);
    expect(lenses()).toEqual([]);
    expect([isUnderWay(), isReady()]).toEqual([false, false]);
    document.undo();
    expect(document.getText()).toBe(BEFORE);
  });

  test("shows it until the document holds it, and happens once", async () => {
    await begun();
    const apply = workbench.applyEdit.bind(workbench);
    let drawn: string[] = [];
    vi.spyOn(workbench, "applyEdit").mockImplementationOnce(async (edit) => {
      drawn = editor.drawn;
      await rewriting.accept();
      return apply(edit);
    });
    await rewriting.accept();
    expect(drawn).toContain("    return sum(items)");
    expect(editor.drawn).toEqual([]);
    expect(document.getText()).toBe(AFTER);
    expect(workbench.log.join("\n")).not.toContain("the rewrite was discarded");
  });

  test("is not possible before it is ready", async () => {
    const asked = await begin();
    await draft(asked, "    return xum");
    await rewriting.accept();
    expect(document.getText()).toBe(BEFORE);
    expect(isUnderWay()).toBe(true);
  });

  test("says so where the editor does not take it", async () => {
    await begun();
    document.isReadonly = true;
    void rewriting.accept();
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toMatch(/refused to apply the rewrite/);
    expect(document.getText()).toBe(BEFORE);
  });

  test("keeps the line ends of the document", async () => {
    editor = workbench.open(BEFORE.replaceAll("\n", "\r\n"), "/work/crlf.py");
    document = editor.document;
    await begun();
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER.replaceAll("\n", "\r\n"));
  });
});

describe("discarding", () => {
  test("leaves everything as it was, and the server works no more", async () => {
    const asked = await begin();
    await draft(asked, "    return xum");
    rewriting.discard();
    expect(editor.drawn).toEqual([]);
    expect(lenses()).toEqual([]);
    expect(document.getText()).toBe(BEFORE);
    expect(isUnderWay()).toBe(false);
    await until(() => asked.isCancelled);
    asked.refuse("cancelled");
    await quiet();
    expect(workbench.questions).toEqual([]);
  });

  test("also what is ready", async () => {
    await begun();
    rewriting.discard();
    await rewriting.accept();
    expect(document.getText()).toBe(BEFORE);
    expect(editor.drawn).toEqual([]);
  });

  test("happens where another is begun, or the document is closed", async () => {
    const first = await begin();
    const second = await begin();
    await until(() => first.isCancelled);
    expect(second.isCancelled).toBe(false);
    workbench.close(editor);
    await until(() => second.isCancelled);
    expect(isUnderWay()).toBe(false);
  });
});

describe("typing meanwhile", () => {
  test("elsewhere moves the rewrite along", async () => {
    await begun();
    workbench.change(editor, 0, 0, "import math\n");
    expect(rewriting.provideCodeLenses(document)[0]?.range.start.line).toBe(4);
    workbench.change(editor, document.getText().length, document.getText().length, "# end\n");
    await rewriting.accept();
    expect(document.getText()).toBe(`import math\n${AFTER}# end\n`);
  });

  test("while the server is at work, also where that has not heard of it", async () => {
    const asked = await begin();
    workbench.change(editor, 0, 0, "import math\n");
    answer(asked, 1, 0);
    await until(isReady);
    await rewriting.accept();
    expect(document.getText()).toBe(`import math\n${AFTER}`);
  });

  test("and where it has", async () => {
    const asked = await begin();
    workbench.change(editor, 0, 0, "import math\n");
    workbench.change(editor, 0, 0, "import sys\n");
    answer(asked, 2, 1);
    await until(isReady);
    await rewriting.accept();
    expect(document.getText()).toBe(`import sys\nimport math\n${AFTER}`);
  });

  test("in the text itself ends it, and says so", async () => {
    const asked = await begin();
    const at = BEFORE.indexOf("n = 0");
    workbench.change(editor, at, at, "x");
    expect(isUnderWay()).toBe(false);
    await until(() => asked.isCancelled);
    expect(workbench.log.join("\n")).toContain("the rewrite was discarded");
  });

  test("in another document does nothing to it", async () => {
    await begun();
    const other = workbench.open("x = 1\n", "/work/b.py");
    workbench.change(other, 0, 1, "yy");
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER);
  });
});

describe("another attempt", () => {
  test("has another seed and the same strength; the text stays until there is another", async () => {
    const first = await begun();
    const drawn = editor.drawn;
    void rewriting.retry();
    const asked = await next(1);
    const { range, token } = first.params.data;
    expect(asked.params.data).toMatchObject({ strength: 0.6, seed: 1, range });
    expect(asked.params.data.token).not.toBe(token);
    expect(isReady()).toBe(false);
    expect(editor.drawn).toEqual(drawn);
    await draft(asked, "    return len(items)");
    expect(editor.drawn.at(-1)).toBe("    return len(items)");
  });

  test("is for a text that none of those before has proposed", async () => {
    const first = await begun();
    expect(first.params.data.shown).toEqual([]);
    void rewriting.retry();
    const { params } = await next(1);
    expect(params.data.shown).toEqual(["    return sum(items)"]);
  });

  test("that fails leaves the last proposal", async () => {
    await begun();
    void rewriting.retry();
    (await next(1)).refuse("nothing new");
    await until(isReady);
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER);
  });

  test("is for the place where the text is by then", async () => {
    await begun();
    workbench.change(editor, 0, 0, "\n");
    void rewriting.retry();
    const { params } = await next(1);
    expect(params.data).toMatchObject({ version: 2, range: { start: { line: 4 } } });
    answer(requests[1] as Asked<unknown>, 2, 1);
    await until(isReady);
    await rewriting.accept();
    expect(document.getText()).toBe(`\n${AFTER}`);
  });

  test("waits for the one before", async () => {
    await begin();
    await rewriting.retry();
    await quiet();
    expect(requests).toHaveLength(1);
  });
});

describe("the strength", () => {
  test("is turned by a notch, and the text forms anew from the same noise", async () => {
    const first = await begun();
    void rewriting.turn(1);
    const asked = await next(1);
    const { range, shown } = first.params.data;
    expect(asked.params.data).toMatchObject({ strength: 0.7, seed: 0, range, shown });
    expect(editor.drawn.at(-1)).toBe("    return sum(items)");
    await draft(asked, "    return len(items)");
    expect(editor.drawn.at(-1)).toBe("    return len(items)");
    expect(lenses()).toContain("$(remove) 70%");
    expect(document.version).toBe(1);
    answer(asked);
    await until(isReady);
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER);
    document.undo();
    expect(document.getText()).toBe(BEFORE);
  });

  test("can be turned before the text is there; the newest one counts", async () => {
    const first = await begin("use sum");
    void rewriting.turn(-1);
    const second = await next(1);
    await until(() => first.isCancelled);
    void rewriting.turn(-1);
    const third = await next(2);
    await until(() => second.isCancelled);
    expect(third.params.data).toMatchObject({ strength: 0.4, seed: 0, instruction: "use sum" });
    await draft(second, "    return second");
    expect(editor.drawn).toEqual([]);
    answer(second);
    await quiet();
    expect(isReady()).toBe(false);
    answer(third);
    await until(isReady);
    expect(workbench.questions).toEqual([]);
  });

  test("stops at its ends, where nothing is asked", async () => {
    await begun();
    for (let turns = 1; turns <= 4; turns += 1) {
      void rewriting.turn(1);
      answer(await next(turns));
      await until(isReady);
    }
    await rewriting.turn(1);
    await quiet();
    expect(requests.map(({ params }) => params.data.strength)).toEqual([0.6, 0.7, 0.8, 0.9, 1]);
    expect(isReady()).toBe(true);
  });

  test("is not there where holes are filled, which start as noise", async () => {
    const range = new vscode.Range(3, 0, 4, 12);
    void rewriting.begin({ document, range, holes: "marks" });
    await next(0);
    expect(lenses().join()).not.toContain("%");
    await rewriting.turn(1);
    await quiet();
    expect(requests).toHaveLength(1);
  });

  test("is not there around a word that stays, which starts as it is", async () => {
    const range = new vscode.Range(3, 0, 4, 12);
    void rewriting.begin({ document, range, pinned: [{ start: 0, end: 1 }] });
    await next(0);
    expect(lenses().join()).not.toContain("%");
    await rewriting.turn(1);
    await quiet();
    expect(requests).toHaveLength(1);
  });

  test("that fails leaves the last text, and its strength", async () => {
    await begun();
    void rewriting.turn(1);
    (await next(1)).refuse("the engine is gone");
    await until(isReady);
    expect(lenses()).toContain("$(remove) 60%");
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER);
  });

  test("may have a text that another one had; another attempt may not", async () => {
    await begun();
    void rewriting.turn(1);
    answer(await next(1));
    await until(isReady);
    expect(requests[1]?.params.data.shown).toEqual([]);
    void rewriting.retry();
    const { data } = (await next(2)).params;
    expect(data).toMatchObject({ strength: 0.7, seed: 1, shown: ["    return sum(items)"] });
  });

  test("is for the place where the text is by then, and for none that is gone", async () => {
    await begun();
    workbench.change(editor, 0, 0, "\n");
    void rewriting.turn(1);
    expect((await next(1)).params.data).toMatchObject({
      version: 2,
      range: { start: { line: 4 } },
    });
    const at = document.getText().indexOf("    n = 0");
    workbench.change(editor, at, document.getText().length, "");
    await rewriting.turn(1);
    await quiet();
    expect(requests).toHaveLength(2);
    expect(isUnderWay()).toBe(false);
  });
});

describe("the steps of a rewrite", () => {
  async function walked(): Promise<void> {
    const asked = await begin();
    await draft(asked, "    xxxxxx xxx");
    await draft(asked, "    return sum");
    await draft(asked, "    return sum(items)");
    answer(asked);
    await until(isReady);
  }

  const last = () => editor.drawn.at(-1);

  test("are walked back and forth, and the rewrite is the last one", async () => {
    await walked();
    expect(lenses()).toContain("$(triangle-left) 3/3");
    const seen = [last()];
    for (const by of [-1, -1, -1, 1, 1, 1] as const) {
      rewriting.walk(by);
      seen.push(last());
    }
    const [first, second, third] = ["    xxxxxx xxx", "    return sum", "    return sum(items)"];
    expect(seen).toEqual([third, second, first, first, second, third, third]);
    expect(document.version).toBe(1);
    expect(requests).toHaveLength(1);
  });

  test("what is shown is accepted, in one step of undo", async () => {
    await walked();
    rewriting.walk(-1);
    expect(lenses()).toContain("$(triangle-left) 2/3");
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER.replace("sum(items)", "sum"));
    document.undo();
    expect(document.getText()).toBe(BEFORE);
  });

  test("a step with gaps is not accepted", async () => {
    const asked = await begin();
    await draft(asked, "    return ", { masked: [[11, 4]] });
    answer(asked);
    await until(isReady);
    rewriting.walk(-1);
    expect(last()).toBe("    return ····");
    void rewriting.accept();
    await until(() => workbench.questions.length === 1);
    expect(document.getText()).toBe(BEFORE);
    rewriting.walk(1);
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER);
  });

  test("are there again where the strength is turned back and no job was needed", async () => {
    await walked();
    void rewriting.turn(1);
    const asked = await next(1);
    await draft(asked, "    return len");
    answer(asked);
    await until(isReady);
    expect(lenses()).toContain("$(triangle-left) 2/2");
    void rewriting.turn(-1);
    answer(await next(2));
    await until(isReady);
    expect(lenses()).toContain("$(triangle-left) 3/3");
    rewriting.walk(-1);
    expect(last()).toBe("    return sum");
  });

  test("are not walked while another text is being written, nor where there are none", async () => {
    await begun();
    expect(lenses().join()).not.toContain("triangle");
    rewriting.walk(-1);
    expect(last()).toBe("    return sum(items)");
    void rewriting.turn(1);
    await draft(await next(1), "    return len");
    rewriting.walk(-1);
    expect(last()).toBe("    return len");
  });

  test("go with the rewrite", async () => {
    await walked();
    rewriting.walk(-1);
    rewriting.discard();
    rewriting.walk(-1);
    expect(editor.drawn).toEqual([]);
    await begun();
    expect(lenses().join()).not.toContain("triangle");
  });
});

describe("a selection that is rewritten", () => {
  test("is none any more, so that what is typed does not replace it", async () => {
    workbench.select(
      editor,
      BEFORE.indexOf("    n = 0"),
      BEFORE.indexOf("\n", BEFORE.indexOf("n\n")),
    );
    const asked = await begin();
    expect(editor.selection.isEmpty).toBe(true);
    workbench.type("\n");
    expect(document.getText()).toContain("    n = 0\n    return n\n");
    answer(asked, 1, 0);
    await until(isReady);
    workbench.type("\n");
    await rewriting.accept();
    expect(document.getText()).toBe(AFTER.replace("    return", "\n\n    return"));
  });
});

describe("a long rewrite", () => {
  const step = { block: 3, blocks: 7, step: 5, stepsAllowed: 24 };

  test("says how far it is, and can be stopped there", async () => {
    const asked = await begin();
    await draft(asked, "    return xum", step);
    await draft(asked, "    return sum", { ...step, step: 6 });
    expect(lenses().slice(0, 2)).toEqual(["$(loading~spin) Rewriting 3/7", "$(close) Stop"]);
    const [work] = workbench.work;
    expect(work?.messages).toEqual(["block 3 of 7, step 5 of 24", "block 3 of 7, step 6 of 24"]);
    work?.cancel.cancel();
    expect(isUnderWay()).toBe(false);
    await until(() => asked.isCancelled);
  });

  test("says nothing of it once it is there; a short one never does", async () => {
    const short = await begin();
    await draft(short, "    return xum", { ...step, block: 1, blocks: 1 });
    expect(workbench.work).toEqual([]);
    const asked = await begin();
    await draft(asked, "    return xum", step);
    expect(workbench.work.length).toBe(1);
    answer(asked);
    await until(isReady);
    expect(workbench.work[0]?.isOver).toBe(true);
  });
});

test("what is wrong with a proposal is said below it", async () => {
  const asked = await begin();
  const warning = "it leaves the code invalid, and three other attempts did not do any better";
  const textDocument = { uri: document.uri.toString(), version: 1 };
  const range = { start: { line: 3, character: 4 }, end: { line: 4, character: 12 } };
  const edits = [{ range, newText: "return (" }];
  const data = { ...asked.params.data, warning };
  asked.answer({ title: "Rewrite", data, edit: { documentChanges: [{ textDocument, edits }] } });
  await until(isReady);
  expect(editor.drawn.at(-1)).toBe(`⚠ ${warning}`);
  void rewriting.retry();
  answer(await next(1));
  await until(isReady);
  expect(editor.drawn.at(-1)).toBe("    return sum(items)");
});

describe("one change of several", () => {
  const OLD = "one\ntwo\nthree\nfour\nfive\n";
  const NEW = "ONE\ntwo\nTHREE\n3\nfour\nFIVE\n";

  beforeEach(() => {
    editor = workbench.open(OLD, "/work/numbers.py");
    document = editor.document;
  });

  async function proposed(): Promise<void> {
    const count = requests.length;
    void rewriting.begin({ document, range: new vscode.Range(0, 0, 5, 0) });
    const asked = await next(count);
    const textDocument = { uri: document.uri.toString(), version: document.version };
    const range = { start: { line: 0, character: 0 }, end: { line: 5, character: 0 } };
    const edits = [{ range, newText: NEW }];
    asked.answer({ title: "Rewrite", edit: { documentChanges: [{ textDocument, edits }] } });
    await until(isReady);
  }

  const changeLenses = () =>
    rewriting
      .provideCodeLenses(document)
      .filter((lens) => lens.command?.command === "dgLsp.acceptRewriteChange");

  test("can be accepted alone, each in one step of undo, until none is left", async () => {
    await proposed();
    expect(changeLenses().map((lens) => lens.range.start.line)).toEqual([0, 3, 5]);
    await rewriting.acceptChange(1);
    expect(document.getText()).toBe("one\ntwo\nTHREE\n3\nfour\nfive\n");
    expect(isReady()).toBe(true);
    expect(changeLenses()).toHaveLength(2);
    await rewriting.acceptChange(1);
    expect(document.getText()).toBe("one\ntwo\nTHREE\n3\nfour\nFIVE\n");
    await rewriting.acceptChange(0);
    expect(document.getText()).toBe(NEW);
    expect(isUnderWay()).toBe(false);
    document.undo();
    expect(document.getText()).toBe("one\ntwo\nTHREE\n3\nfour\nFIVE\n");
    document.undo();
    document.undo();
    expect(document.getText()).toBe(OLD);
  });

  test("and taken back, while the others stay pending", async () => {
    await proposed();
    await rewriting.acceptChange(0);
    await rewriting.acceptChange(0);
    document.undo();
    expect(document.getText()).toBe("ONE\ntwo\nthree\nfour\nfive\n");
    expect(isReady()).toBe(true);
    expect(changeLenses()).toHaveLength(2);
    await rewriting.accept();
    expect(document.getText()).toBe(NEW);
  });

  test("is the one at the cursor, where none is named", async () => {
    await proposed();
    // The third row is the second line; the change below it is drawn in four rows.
    workbench.select(editor, OLD.indexOf("four"));
    await rewriting.acceptChange();
    expect(document.getText()).toBe("one\ntwo\nTHREE\n3\nfour\nfive\n");
    workbench.select(editor, 4);
    await rewriting.acceptChange();
    expect(document.getText()).toBe("ONE\ntwo\nTHREE\n3\nfour\nfive\n");
  });

  test("the others can be discarded", async () => {
    await proposed();
    await rewriting.acceptChange(2);
    rewriting.discard();
    expect(document.getText()).toBe("one\ntwo\nthree\nfour\nFIVE\n");
    expect(editor.drawn).toEqual([]);
  });

  test("is seen in the comparison as well", async () => {
    await proposed();
    await rewriting.compare();
    await rewriting.acceptChange(0);
    const [comparison] = workbench.comparisons;
    const provider = workbench.contents.get(comparison?.original.scheme ?? "");
    const before = provider?.provideTextDocumentContent(comparison!.original, never);
    expect(before).toBe("ONE\ntwo\nthree\nfour\nfive\n");
  });
});

describe("after one change is accepted, another attempt", () => {
  const OLD = "a = \nkept\nb = \nc = \n";

  beforeEach(() => {
    editor = workbench.open(OLD, "/work/numbers.py");
    document = editor.document;
  });

  const cursor = (line: number) => {
    const at = { line, character: 4 };
    return { start: at, end: at };
  };

  /** Fills the cursors at the ends of these lines. */
  async function fill(asked: Asked<{ data: Target }>, texts: [number, string][]): Promise<void> {
    const lines = document.getText().split("\n");
    const filled = lines.map((line, at) => line + (new Map(texts).get(at) ?? ""));
    const textDocument = { uri: document.uri.toString(), version: document.version };
    const range = { start: cursor(0).start, end: { line: lines.length - 2, character: 4 } };
    const newText = filled.join("\n").slice(4, -1);
    const edits = [{ range, newText }];
    asked.answer({ title: "Rewrite", edit: { documentChanges: [{ textDocument, edits }] } });
    await until(isReady);
  }

  async function accepted(): Promise<void> {
    const holes = [0, 10, 15].map((start) => ({ start, end: start }));
    void rewriting.begin({ document, range: new vscode.Range(0, 4, 3, 4), holes });
    await fill(await next(0), [
      [0, "one\nmore"],
      [2, "two"],
      [3, "three"],
    ]);
    // The lines of the last two cursors are beside each other, and one change.
    await rewriting.acceptChange(0);
  }

  test("is for the cursors that are left, where they are now", async () => {
    await accepted();
    expect(document.getText()).toBe("a = one\nmore\nkept\nb = \nc = \n");
    void rewriting.retry();
    const { data } = (await next(1)).params;
    expect(data.holes).toEqual([cursor(3), cursor(4)]);
    expect(data.shown).toEqual(["two\nc = three"]);
  });

  test("is for all of them again once that is undone", async () => {
    await accepted();
    workbench.change(editor, 4, 4 + "one\nmore".length, "");
    expect(document.getText()).toBe(OLD);
    void rewriting.retry();
    const { data } = (await next(1)).params;
    expect(data.holes).toEqual([cursor(0), cursor(2), cursor(3)]);
    expect(data.shown).toEqual(["one\nmore\nkept\nb = two\nc = three"]);
  });

  test("keeps what was accepted, where a word is kept", async () => {
    const range = new vscode.Range(0, 0, 3, 4);
    void rewriting.begin({ document, range, pinned: [{ start: 10, end: 11 }] });
    await fill(await next(0), [
      [0, "one\nmore"],
      [2, "two"],
    ]);
    await rewriting.acceptChange(0);
    void rewriting.retry();
    const { data } = (await next(1)).params;
    const from = { line: 3, character: 0 };
    expect(data.pinned).toEqual([
      { start: from, end: { line: 3, character: 1 } },
      { start: { line: 0, character: 0 }, end: { line: 2, character: 0 } },
    ]);
  });
});

test("the keys act on a rewrite only with the cursor in it", async () => {
  await begun();
  const at = (line: number) => {
    workbench.select(editor, document.offsetAt(new vscode.Position(line, 0)));
    return [isUnderWay(), isReady()];
  };
  expect(at(0)).toEqual([false, false]);
  expect(at(2)).toEqual([false, false]);
  expect(at(3)).toEqual([true, true]);
  expect(at(4)).toEqual([true, true]);
  // The last of three rows is drawn over the line below.
  expect(at(5)).toEqual([true, true]);
  workbench.change(editor, 0, 0, "\n");
  expect(at(3)).toEqual([false, false]);
});

test("a key that follows at once where the cursor goes elsewhere does nothing to it", async () => {
  await begun();
  workbench.select(editor, 0);
  await rewriting.accept("key");
  rewriting.discard("key");
  expect(document.getText()).toBe(BEFORE);
  workbench.select(editor, BEFORE.indexOf("n = 0"));
  expect(isReady()).toBe(true);
  await rewriting.accept("key");
  expect(document.getText()).toBe(AFTER);
});

test("the keys act on a rewrite only in the editor that shows it", async () => {
  await begun();
  const other = workbench.open("x = 1\n", "/work/b.py");
  expect([isUnderWay(), isReady()]).toEqual([false, false]);
  workbench.focus(editor);
  expect([isUnderWay(), isReady()]).toEqual([true, true]);
  workbench.focus(other);
  rewriting.discard();
  workbench.focus(editor);
  expect([isUnderWay(), isReady()]).toEqual([false, false]);
});

test("compared in the diff editor, it can be accepted there, and the comparison is gone", async () => {
  await begun();
  await rewriting.compare();
  const [comparison] = workbench.comparisons;
  expect(workbench.active?.document.uri).toEqual(comparison?.modified);
  expect(workbench.active?.document.getText()).toBe(AFTER);
  expect([isUnderWay(), isReady()]).toEqual([true, true]);
  await rewriting.accept();
  expect(document.getText()).toBe(AFTER);
  expect(workbench.comparisons).toEqual([]);
});

test("an editor that is opened later shows it as well", async () => {
  await begun();
  const { Editor: Another } = await import("./fake/documents");
  const second = new Another(document);
  workbench.focus(second);
  expect(second.drawn).toEqual(editor.drawn);
});

describe("what goes wrong is said", () => {
  test("in the server's words", async () => {
    (await begin()).refuse("the model proposes nothing new");
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toMatch(/^dg-lsp: .*the model proposes nothing new/);
    expect(isUnderWay()).toBe(false);
  });

  test("without a server", async () => {
    await session.client.stop();
    void rewriting.begin({ document, range: new vscode.Range(3, 0, 4, 12) });
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toBe("dg-lsp: the server is not running");
    expect(isUnderWay()).toBe(false);
  });
});

test("what stays is sent with the range, and what is accepted is told with its confidence", async () => {
  const told: unknown[][] = [];
  rewriting.dispose();
  rewriting = new Rewriting(session.client, (...values) => void told.push(values));
  const range = new vscode.Range(3, 4, 4, 12);
  void rewriting.begin({ document, range, pinned: [{ start: 0, end: 1 }] });
  const asked = await next(0);
  expect(asked.params.data.pinned).toEqual([
    { start: { line: 3, character: 4 }, end: { line: 3, character: 5 } },
  ]);
  const textDocument = { uri: document.uri.toString(), version: document.version };
  const edits = [
    { range: { start: { line: 3, character: 8 }, end: { line: 4, character: 12 } }, newText: "1" },
  ];
  const confidence = [[0.3, 5]];
  const edit = { documentChanges: [{ textDocument, edits }] };
  asked.answer({ title: "Rewrite", edit, data: { confidence } });
  await until(isReady);
  // The word that stays, and what is the same beside it, is not marked.
  expect(editor.marked).toEqual(["0", "    return n", "1"]);
  await rewriting.accept();
  expect(told).toEqual([[document, new vscode.Position(3, 4), "n = 1", confidence]]);
});

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as vscode from "vscode";
import { holesIn } from "../../src/holes";
import type { Target } from "../../src/lspExt";
import { Rewriting } from "../../src/rewrite";
import { until } from "./fake/server";
import { Session } from "./fake/session";
import { workbench } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

const TEXT = "def f(x):\n    y = …\n    return …\n";

function open(text: string, ...selections: [number, number, number, number][]) {
  const editor = workbench.open(text);
  if (selections.length > 0) {
    editor.selections = selections.map(([line, character, toLine, toCharacter]) => {
      const anchor = new vscode.Position(line, character);
      return new vscode.Selection(anchor, new vscode.Position(toLine, toCharacter));
    });
  }
  return editor as unknown as vscode.TextEditor;
}

function at(range: vscode.Range | undefined): number[] {
  const { start, end } = range ?? new vscode.Range(-1, -1, -1, -1);
  return [start.line, start.character, end.line, end.character];
}

describe("the holes are", () => {
  test("all marks of the document", () => {
    const holed = holesIn(open(TEXT), "…");
    expect(at(holed?.range)).toEqual([1, 8, 2, 12]);
    expect(holed?.holes).toBe("marks");
  });

  test("the marks of the selection", () => {
    expect(at(holesIn(open(TEXT, [1, 0, 2, 0]), "…")?.range)).toEqual([1, 8, 1, 9]);
    expect(holesIn(open(TEXT, [0, 0, 1, 0]), "…")).toBeUndefined();
  });

  test("marks of another kind", () => {
    expect(at(holesIn(open("a = ???\n"), "???")?.range)).toEqual([0, 4, 0, 7]);
    expect(holesIn(open(TEXT), "???")).toBeUndefined();
    expect(holesIn(open(TEXT), "")).toBeUndefined();
  });

  test("all cursors and selections, in the order of the text", () => {
    const holed = holesIn(open("a = \nb = old\n", [1, 7, 1, 4], [0, 4, 0, 4]), "…");
    expect(at(holed?.range)).toEqual([0, 4, 1, 7]);
    expect(holed?.holes).toEqual([
      { start: 0, end: 0 },
      { start: 5, end: 8 },
    ]);
  });
});

describe("the server is asked", () => {
  let session: Session;
  let rewriting: Rewriting;

  beforeEach(async () => {
    session = new Session();
    rewriting = new Rewriting(session.client);
    await session.start();
  });

  afterEach(async () => {
    rewriting.dispose();
    await session.client.stop();
  });

  async function request(editor: vscode.TextEditor) {
    const requests = session.requests<{ data: Target }>("codeAction/resolve");
    const holed = holesIn(editor, "…");
    void rewriting.begin({ document: editor.document, ...holed! });
    await until(() => requests.length === 1);
    return requests[0]!;
  }

  async function asked(editor: vscode.TextEditor): Promise<Target> {
    return (await request(editor)).params.data;
  }

  test("and only what it writes into the marks is shown as new", async () => {
    const editor = open(TEXT);
    const sent = await request(editor);
    const textDocument = { uri: editor.document.uri.toString(), version: editor.document.version };
    const range = { start: { line: 1, character: 8 }, end: { line: 2, character: 12 } };
    const edits = [{ range, newText: "x + 1\n    return y" }];
    sent.answer({ title: "Rewrite", edit: { documentChanges: [{ textDocument, edits }] } });
    const screen = editor as unknown as { marked: string[] };
    await until(() => screen.marked.length > 0);
    expect(screen.marked).toEqual(["…", "…", "x + 1", "y"]);
  });

  test("to fill the marks of a range", async () => {
    const data = await asked(open(TEXT));
    expect(data.holes).toBe(true);
    expect(data.range).toEqual({
      start: { line: 1, character: 8 },
      end: { line: 2, character: 12 },
    });
  });

  test("to fill the places of all cursors", async () => {
    const data = await asked(open("a = \nb = \n", [0, 4, 0, 4], [1, 4, 1, 4]));
    expect(data.holes).toEqual([
      { start: { line: 0, character: 4 }, end: { line: 0, character: 4 } },
      { start: { line: 1, character: 4 }, end: { line: 1, character: 4 } },
    ]);
  });
});

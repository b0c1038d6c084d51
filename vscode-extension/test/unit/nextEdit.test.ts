/** Next edits, with the real language client and a server that a test answers for. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as vscode from "vscode";
import * as ext from "../../src/lspExt";
import { NextEdits } from "../../src/nextEdit";
import type { Editor } from "./fake/documents";
import { quiet, until } from "./fake/server";
import { Session, type Asked } from "./fake/session";
import { workbench } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

interface Params {
  textDocument: { uri: string; version: number };
  position: { line: number; character: number };
}

const TEXT = "def loa|(n):\n    return n\n\nprint(load(1))\n";
const PAUSE_MS = 300;

let session: Session;
let nextEdits: NextEdits;
let editor: Editor;
let requests: Asked<Params>[];
let commands: Asked<{ command: string; arguments: unknown[] }>[];
let told: unknown[];
let isWanted: boolean;

beforeEach(async () => {
  session = new Session();
  isWanted = true;
  nextEdits = new NextEdits(session.client, () => isWanted);
  await session.start();
  requests = session.requests(ext.INLINE_EDIT);
  commands = session.requests("workspace/executeCommand");
  told = [];
  session.server.connection.onNotification(
    ext.DID_SHOW_INLINE_EDIT,
    (item) => void told.push(item),
  );
  editor = workbench.open(TEXT);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(async () => {
  vi.useRealTimers();
  nextEdits.dispose();
  await session.client.stop();
});

function edit(changes: Partial<ext.InlineEdit> = {}): ext.InlineEdit {
  const { uri, version } = editor.document;
  return {
    text: "get",
    range: { start: { line: 3, character: 6 }, end: { line: 3, character: 10 } },
    textDocument: { uri: uri.toString(), version },
    command: { title: "", command: ext.COMMAND_ACCEPT_NEXT_EDIT, arguments: [{ id: "1" }] },
    kind: "rename",
    ...changes,
  };
}

function type(text: string): void {
  const at = editor.selection.active;
  editor.document.apply([{ range: new vscode.Range(at, at), newText: text }]);
}

/** Types something, waits, and has the server answer. */
async function shown(one?: Partial<ext.InlineEdit>): Promise<void> {
  const before = requests.length;
  type("d");
  vi.advanceTimersByTime(PAUSE_MS);
  await until(() => requests.length > before);
  requests.at(-1)?.answer({ edits: [edit(one)] });
  await until(() => workbench.contexts.get("dgLsp.nextEditShown") === true);
}

const isShown = () => workbench.contexts.get("dgLsp.nextEditShown") === true;

test("an edit is asked for after a pause, at the cursor and the version", async () => {
  type("d");
  vi.advanceTimersByTime(PAUSE_MS - 1);
  await quiet();
  expect(requests).toEqual([]);
  vi.advanceTimersByTime(1);
  await until(() => requests.length === 1);
  const { line, character } = editor.selection.active;
  expect(requests[0]?.params).toEqual({
    textDocument: { uri: editor.document.uri.toString(), version: editor.document.version },
    position: { line, character },
  });
});

test("it is drawn at its place, and a hint says in which line", async () => {
  await shown();
  expect(editor.drawn).toEqual(["get", "  ⇥ line 4"]);
  expect(editor.document.getText()).toBe(TEXT.replace("|", "d"));
  await until(() => told.length === 1);
  expect(told).toEqual([{ item: { command: edit().command } }]);
});

test("one key goes there, and then accepts it", async () => {
  await shown();
  await nextEdits.take();
  expect(editor.selection.active).toEqual(new vscode.Position(3, 6));
  expect(editor.document.getText()).toContain("print(load(1))");
  const accepted = nextEdits.take();
  await until(() => editor.document.getText().includes("print(get(1))"));
  expect(editor.document.getText()).toBe(TEXT.replace("|", "d").replace("print(load", "print(get"));
  await until(() => commands.length === 1);
  expect(commands[0]?.params).toMatchObject({
    command: ext.COMMAND_ACCEPT_NEXT_EDIT,
    arguments: [{ id: "1" }],
  });
  commands[0]?.answer({});
  await accepted;
  expect(isShown()).toBe(false);
  expect(editor.document.undoSteps).toHaveLength(2);
});

test("any other change of the document removes it, and asks again", async () => {
  await shown();
  type("x");
  expect(isShown()).toBe(false);
  expect(editor.drawn).toEqual([]);
  await nextEdits.take();
  expect(editor.document.getText()).toContain("print(load(1))");
  vi.advanceTimersByTime(PAUSE_MS);
  await until(() => requests.length === 2);
});

test("an answer for an older text is not shown", async () => {
  type("d");
  vi.advanceTimersByTime(PAUSE_MS);
  await until(() => requests.length === 1);
  type("e");
  requests[0]?.answer({ edits: [edit()] });
  await quiet();
  expect(isShown()).toBe(false);
});

test("what is dismissed goes away, and the server hears of it", async () => {
  await shown();
  const dismissed = nextEdits.dismiss();
  expect(isShown()).toBe(false);
  await until(() => commands.length === 1);
  expect(commands[0]?.params.command).toBe(ext.COMMAND_DISMISS_NEXT_EDIT);
  commands[0]?.answer({ dismissed: true });
  await dismissed;
});

test("nothing is asked for where it is switched off", async () => {
  isWanted = false;
  type("d");
  vi.advanceTimersByTime(PAUSE_MS);
  await quiet();
  expect(requests).toEqual([]);
});

test("an answer without an edit and a server that fails show nothing", async () => {
  for (const answer of [
    (one: Asked<Params>) => one.answer({ edits: [] }),
    (one: Asked<Params>) => one.refuse("no"),
  ]) {
    const before = requests.length;
    type("d");
    vi.advanceTimersByTime(PAUSE_MS);
    await until(() => requests.length > before);
    const last = requests.at(-1);
    if (last !== undefined) {
      answer(last);
    }
    await quiet();
    expect(isShown()).toBe(false);
  }
});

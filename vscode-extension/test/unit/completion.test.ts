/** Ghost text and its drafts, with the real language client and a server that a test answers for. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type * as api from "vscode";
import * as vscode from "vscode";
import { Completion } from "../../src/completion";
import { showsDrafts } from "../../src/config";
import { Drafts } from "../../src/drafts";
import type { Editor } from "./fake/documents";
import { quiet, rest, until } from "./fake/server";
import { Session, type Asked } from "./fake/session";
import { workbench } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

interface Params {
  textDocument: { uri: string; version: number };
  position: { line: number; character: number };
  context: { triggerKind: number };
  formattingOptions: unknown;
  draftToken: string;
}

/** In the protocol, which numbers the kinds otherwise than VS Code. */
const INVOKED = 1;

let session: Session;
let completion: Completion;
let editor: Editor;
let requests: Asked<Params>[];
let isPaused: boolean;

beforeEach(async () => {
  session = new Session();
  const drafts = new Drafts(showsDrafts);
  isPaused = false;
  completion = new Completion(session.client, drafts, () => isPaused);
  session.client.onDraft((draft) => drafts.take(draft));
  await session.start();
  requests = session.requests("textDocument/inlineCompletion");
  editor = workbench.open("def add(a, b):\n    return |\n");
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(async () => {
  vi.useRealTimers();
  completion.dispose();
  await session.client.stop();
});

const { Automatic, Invoke } = vscode.InlineCompletionTriggerKind;

/** VS Code asks, at the cursor; the last to ask has been cancelled before. */
function ask(
  one = editor,
  context: Partial<api.InlineCompletionContext> = {},
): { found: Promise<api.InlineCompletionItem[]>; cancel(): void } {
  const source = new vscode.CancellationTokenSource();
  const found = completion.provideInlineCompletionItems(
    one.document,
    one.selection.active,
    { triggerKind: Automatic, selectedCompletionInfo: undefined, ...context },
    source.token,
  );
  return { found, cancel: () => source.cancel() };
}

/** The request that arrives as number `count`, from 1. */
async function request(count: number): Promise<Asked<Params>> {
  await until(() => requests.length >= count);
  return requests[count - 1] as Asked<Params>;
}

async function draw(asked: Asked<Params>, text: string): Promise<void> {
  const { textDocument, position, draftToken: token } = asked.params;
  const { uri, version } = textDocument;
  const range = { start: position, end: position };
  await session.draft({ token, uri, version, range, text, confidence: [[0.5, text.length]] });
}

function list(text: string, line: number, character: number): object {
  const at = { line, character };
  return { items: [{ insertText: text, range: { start: at, end: at } }] };
}

test("the server is told of the version, the indentation and a token for drafts", async () => {
  editor.options = { tabSize: 2, insertSpaces: false };
  workbench.change(editor, 0, 0, "\n");
  void ask();
  const { params } = await request(1);
  expect(params).toMatchObject({
    textDocument: { uri: "file:///work/a.py", version: 2 },
    position: { line: 2, character: 11 },
    formattingOptions: { tabSize: 2, insertSpaces: false },
  });
  void ask();
  expect((await request(2)).params.draftToken).not.toBe(params.draftToken);
});

test("a draft becomes ghost text without a blank between", async () => {
  const { found } = ask();
  const asked = await request(1);
  await draw(asked, "x + b");
  expect(editor.drawn).toEqual(["x + b"]);
  asked.answer(list("a + b", 1, 11));
  const [item] = await found;
  expect(item?.insertText).toBe("a + b");
  expect(item?.range).toEqual(new vscode.Range(1, 11, 1, 11));
  expect(editor.drawn, "until VS Code has drawn it").toEqual(["x + b"]);
  await rest();
  await rest();
  expect(editor.drawn).toEqual([]);
});

test("a draft for the text as it was before is not drawn", async () => {
  void ask();
  const asked = await request(1);
  workbench.change(editor, 0, 0, "#\n");
  await draw(asked, "a + b");
  expect(editor.drawn).toEqual([]);
});

test("a draft yields to the list of completions", async () => {
  void ask();
  await draw(await request(1), "a + b");
  const entry = { text: "append", range: new vscode.Range(1, 11, 1, 11) };
  void ask(editor, { selectedCompletionInfo: entry });
  await request(2);
  expect(editor.drawn).toEqual([]);
});

describe("a request that VS Code cancels", () => {
  test("is withdrawn after a moment, and its draft with it", async () => {
    const { found, cancel } = ask();
    const asked = await request(1);
    await draw(asked, "a + b");
    cancel();
    await vi.advanceTimersByTimeAsync(149);
    await quiet();
    expect(asked.isCancelled).toBe(false);
    expect(editor.drawn).toEqual(["a + b"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(editor.drawn).toEqual([]);
    await until(() => asked.isCancelled);
    asked.refuse("cancelled");
    await expect(found).rejects.toThrow();
  });

  test("for another after a keystroke is left to the server, and typing along keeps the draft", async () => {
    const first = ask();
    await draw(await request(1), "a + b");
    first.cancel();
    workbench.type("a");
    expect(editor.drawn).toEqual([" + b"]);
    await vi.advanceTimersByTimeAsync(40);
    const second = ask();
    const asked = await request(2);
    await vi.advanceTimersByTimeAsync(1000);
    await quiet();
    expect(requests[0]?.isCancelled).toBe(false);
    expect(editor.drawn).toEqual([" + b"]);
    requests[0]?.answer(list("a + b", 1, 11));
    expect(await first.found).toEqual([]);
    await rest();
    await rest();
    expect(editor.drawn, "the end of the first is not that of the second").toEqual([" + b"]);
    asked.answer(list(" + b", 1, 12));
    expect(await second.found).toHaveLength(1);
  });

  test("for one in another document is withdrawn at once: nothing picks it up", async () => {
    const first = ask();
    const asked = await request(1);
    first.cancel();
    void ask(workbench.open("x = |", "/work/b.py"));
    await request(2);
    await until(() => asked.isCancelled);
  });

  test("and that is answered before it is withdrawn shows nothing", async () => {
    const { found, cancel } = ask();
    const asked = await request(1);
    cancel();
    asked.answer(list("a", 1, 11));
    expect(await found).toEqual([]);
  });
});

test("Escape clears the draft, and the server works no more", async () => {
  void ask().found.catch(() => undefined);
  const asked = await request(1);
  await draw(asked, "a + b");
  completion.discard();
  expect(editor.drawn).toEqual([]);
  await until(() => asked.isCancelled);
  await draw(asked, "a + b + c");
  expect(editor.drawn).toEqual([]);
});

test("an answer may be a list, or nothing", async () => {
  const first = ask();
  (await request(1)).answer([{ insertText: { kind: "snippet", value: "b" } }]);
  const [item] = await first.found;
  expect(item?.insertText).toBe("b");
  expect(item?.range).toBeUndefined();
  const second = ask();
  (await request(2)).answer(null);
  expect(await second.found).toEqual([]);
});

test("an error takes the draft away, and is written to the log alone", async () => {
  const { found } = ask();
  const asked = await request(1);
  await draw(asked, "a");
  asked.refuse("the engine is on fire");
  await expect(found).rejects.toThrow("on fire");
  await rest();
  expect(editor.drawn).toEqual([]);
  expect(workbench.log.join("\n")).toMatch(/error: .*inlineCompletion failed[^]*on fire/);
  expect(workbench.questions).toEqual([]);
});

test("nothing is asked in a file that is paused, unless it is by hand", async () => {
  isPaused = true;
  expect(await ask().found).toEqual([]);
  expect(requests).toEqual([]);
  const { found } = ask(editor, { triggerKind: Invoke });
  const asked = await request(1);
  expect(asked.params.context.triggerKind).toBe(INVOKED);
  asked.answer(list("a + b", 1, 11));
  expect(await found).toHaveLength(1);
});

test("asking by hand does not wait for what is asked by itself", async () => {
  const first = ask();
  await request(1);
  first.cancel();
  const { found } = ask(editor, { triggerKind: Invoke });
  const asked = await request(2);
  expect(asked.params.context.triggerKind).toBe(INVOKED);
  asked.answer(list("a + b", 1, 11));
  expect(await found).toHaveLength(1);
});

test("what is typed before the server runs is answered when it does", async () => {
  await session.client.stop();
  const starting = session.start();
  const { found } = ask();
  await starting;
  requests = session.requests("textDocument/inlineCompletion");
  (await request(1)).answer(list("a", 1, 11));
  expect(await found).toHaveLength(1);
});

test("a server that ends in the middle leaves no draft behind", async () => {
  const { found } = ask();
  await draw(await request(1), "a + b");
  session.server.program.end(139);
  expect(await found).toEqual([]);
  await until(() => editor.drawn.length === 0);
});

test("what VS Code runs when ghost text was accepted says how sure the model is", async () => {
  const { found } = ask();
  const at = { line: 1, character: 11 };
  const confidence = [[0.3, 5]];
  const item = { insertText: "a + b", range: { start: at, end: at }, confidence };
  (await request(1)).answer({ items: [item] });
  const [shown] = await found;
  expect(shown?.command).toMatchObject({
    command: "dgLsp.noteAccepted",
    arguments: ["file:///work/a.py", at, "a + b", confidence],
  });
});

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as vscode from "vscode";
import type { TextEdit } from "vscode-languageserver-protocol";
import type { Target } from "../../src/lspExt";
import { propose } from "../../src/proposal";
import { until } from "./fake/server";
import { Session } from "./fake/session";
import { workbench } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

let session: Session;

beforeEach(async () => {
  session = new Session();
  await session.start();
});

afterEach(() => session.client.stop());

const ATTEMPT = { strength: 0.6, seed: 0, shown: [], token: "t" };

type Place = [line: number, character: number];

/** What `«old»` becomes by an edit; its places are those of the document, in its second version. */
async function check(marked: string, ...edits: [Place, Place, string][]): Promise<string> {
  const requests = session.requests<{ data: Target }>("codeAction/resolve");
  const span = { start: marked.indexOf("«"), end: marked.indexOf("»") - 1 };
  const { document } = workbench.open(marked.replace(/[«»]/g, ""));
  const start = document.positionAt(span.start);
  const old = document.getText().slice(span.start, span.end);
  const proposed = propose(
    session.client.language,
    { ...ATTEMPT, document, span, old, starts: new Map([[2, start]]) },
    new vscode.CancellationTokenSource().token,
  );
  await until(() => requests.length === 1);
  const textDocument = { uri: document.uri.toString(), version: 2 };
  const made: TextEdit[] = edits.map(([from, to, newText]) => ({
    range: {
      start: { line: from[0], character: from[1] },
      end: { line: to[0], character: to[1] },
    },
    newText,
  }));
  requests[0]?.answer({ edit: { documentChanges: [{ textDocument, edits: made }] } });
  return (await proposed).text;
}

test("an edit in the first line, which begins before the text", async () => {
  expect(await check("x = «add(a, b)»\n", [[0, 8], [0, 9], "c"])).toBe("add(c, b)");
});

test("an edit in a later line", async () => {
  expect(await check("if «a:\n    b()\n    c()»\n", [[2, 4], [2, 5], "d"])).toBe(
    "a:\n    b()\n    d()",
  );
});

test("an edit over several lines, with other line ends", async () => {
  const marked = "if «a:\r\n    b()\r\n    c()»\r\n";
  expect(await check(marked, [[0, 3], [2, 4], "d:\r\n    "])).toBe("d:\r\n    c()");
});

test("a text that stays as it is", async () => {
  expect(await check("x = «1»\n")).toBe("1");
});

test("an answer for a version that was never seen is not put anywhere", async () => {
  const requests = session.requests("codeAction/resolve");
  const { document } = workbench.open("x = 1\n");
  const span = { start: 4, end: 5 };
  const attempt = {
    ...ATTEMPT,
    document,
    span,
    old: "1",
    starts: new Map(),
  };
  const { token } = new vscode.CancellationTokenSource();
  const proposed = propose(session.client.language, attempt, token);
  await until(() => requests.length === 1);
  const textDocument = { uri: document.uri.toString(), version: 7 };
  const range = { start: { line: 0, character: 4 }, end: { line: 0, character: 5 } };
  const edits = [{ range, newText: "2" }];
  requests[0]?.answer({ edit: { documentChanges: [{ textDocument, edits }] } });
  await expect(proposed).rejects.toThrow("has changed in the meantime");
});

/** The list of alternatives, with the real language client and a server that a test answers for. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { chooseAlternative } from "../../src/alternatives";
import * as ext from "../../src/lspExt";
import type { Editor } from "./fake/documents";
import { until } from "./fake/server";
import { Session, type Asked } from "./fake/session";
import { workbench, type Question } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

let session: Session;
let editor: Editor;
let requests: Asked<{ command: string; arguments: unknown[] }>[];

beforeEach(async () => {
  session = new Session();
  await session.start();
  requests = session.requests("workspace/executeCommand");
  editor = workbench.open("total = width * hei|ght\n");
});

afterEach(() => session.client.stop());

function answer(changes: Partial<ext.Alternatives> = {}): ext.Alternatives {
  return {
    range: { start: { line: 0, character: 16 }, end: { line: 0, character: 22 } },
    version: editor.document.version,
    word: "height",
    probability: 0.1,
    alternatives: [
      { text: "depth", probability: 0.6 },
      { text: "length", probability: 0.3 },
    ],
    reason: null,
    code: null,
    ...changes,
  };
}

/** The last question to the user, when it is this one. */
async function asked(text: RegExp): Promise<Question> {
  await until(() => text.test(workbench.questions.at(-1)?.text ?? ""));
  return workbench.question;
}

async function ask(said: ext.Alternatives): Promise<Promise<void>[]> {
  const chosen = chooseAlternative(session.client);
  await until(() => requests.length === 1);
  requests[0]?.answer(said);
  return [chosen];
}

test("the choice replaces the word", async () => {
  const [chosen] = await ask(answer());
  expect(requests[0]?.params).toMatchObject({
    command: "dg-lsp.alternatives",
    arguments: [{ uri: "file:///work/a.py", version: 1 }],
  });
  const question = await asked(/^Instead of height \(itself 10%\)$/);
  expect(question.choices).toEqual(["depth", "length"]);
  expect(question.details).toEqual(["60%", "30%"]);
  question.answer("length");
  await chosen;
  expect(editor.document.getText()).toBe("total = width * length\n");
});

test("nothing is replaced if the text has changed while the list was open", async () => {
  const [chosen] = await ask(answer());
  const question = await asked(/^Instead of height/);
  workbench.change(editor, 0, 0, "x");
  question.answer("length");
  (await asked(/changed in the meantime/)).answer();
  await chosen;
  expect(editor.document.getText()).toBe("xtotal = width * height\n");
});

test("the reason is shown if there is none", async () => {
  const [chosen] = await ask(answer({ alternatives: [], reason: "it is a secret" }));
  (await asked(/it is a secret/)).answer();
  await chosen;
});

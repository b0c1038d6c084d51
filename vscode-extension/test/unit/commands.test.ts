/** The commands as a user runs them, with the parts that they are made for. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as vscode from "vscode";
import manifest from "../../package.json";
import { registerCommands } from "../../src/commands";
import { Extension } from "../../src/extension";
import type { Target } from "../../src/lspExt";
import * as ext from "../../src/lspExt";
import { newContext } from "./fake/context";
import type { Editor } from "./fake/documents";
import { programsServe, quiet, until, type Server } from "./fake/server";
import { workbench, type QuickPick } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

const TEXT = "def add(a, b):\n    return a\n\n\nprint(add(1, 2))\n";

let extension: Extension;
let servers: Server[];
let editor: Editor;
let asked: Target[];

beforeEach(async () => {
  servers = programsServe();
  extension = new Extension(newContext("/nowhere"));
  extension.context.subscriptions.push(...registerCommands(extension));
  await extension.client.start({ command: "/bin/dg-lsp", foundIn: "the PATH" });
  asked = [];
  servers[0]?.connection.onRequest("codeAction/resolve", ({ data }: { data: Target }) => {
    asked.push(data);
    return new Promise(() => undefined);
  });
  editor = workbench.open(TEXT);
});

afterEach(async () => {
  extension.rewriting.discard();
  await extension.client.stop();
  extension.dispose();
});

test("every command of the palette is there", () => {
  const declared = manifest.contributes.commands.map((one) => one.command);
  expect([...workbench.commands.keys()]).toEqual(expect.arrayContaining(declared));
  const bound = manifest.contributes.keybindings.map((one) => one.command);
  expect(declared).toEqual(expect.arrayContaining(bound));
});

const box = () => workbench.inputs.at(-1) as QuickPick;

async function rewrite(): Promise<void> {
  const count = workbench.inputs.length;
  void workbench.execute("dgLsp.rewrite");
  await until(() => workbench.inputs.length > count);
}

async function textAsked(): Promise<string> {
  await until(() => asked.length > 0);
  const { start, end } = (asked.at(-1) as Target).range;
  const lines = TEXT.split("\n").slice(start.line, end.line + 1);
  lines[lines.length - 1] = lines.at(-1)?.slice(0, end.character) ?? "";
  return lines.join("\n").slice(start.character);
}

describe("rewriting asks what should change", () => {
  test("and goes by it, in the line of the cursor where nothing is selected", async () => {
    workbench.select(editor, TEXT.indexOf("return"));
    await rewrite();
    box().type("add both ");
    box().accept();
    expect(await textAsked()).toBe("return a");
    expect(asked[0]?.instruction).toBe("add both");
  });

  test("for the selection, without a line that it only brushes", async () => {
    workbench.select(editor, 0, TEXT.indexOf("\n\n"));
    await rewrite();
    box().accept();
    expect(await textAsked()).toBe("def add(a, b):\n    return a");
    expect(asked[0]).not.toHaveProperty("instruction");
    asked.length = 0;
    workbench.select(editor, 0, TEXT.indexOf("    return"));
    await rewrite();
    box().accept();
    expect(await textAsked()).toBe("def add(a, b):");
  });

  test("with what was asked before at hand, the last first", async () => {
    workbench.select(editor, 0, 14);
    for (const [index, words] of ["one", "two", "one"].entries()) {
      await rewrite();
      box().type(words);
      box().accept();
      await until(() => asked.length === index + 1);
    }
    await rewrite();
    expect(box().labels).toEqual(["$(sparkle) Rewrite without words", "one", "two"]);
    box().chosen = 2;
    box().accept();
    await until(() => asked.length === 4);
    expect(asked[3]?.instruction).toBe("two");
  });

  test("and what is typed is asked, whichever line was chosen before", async () => {
    workbench.select(editor, 0, 14);
    for (const [index, words] of ["use sum", "add a docstring", "use sum"].entries()) {
      await rewrite();
      box().chosen = 1;
      box().type(words.slice(0, -1));
      box().accept();
      // As it happens in the window: the last letter comes after Enter.
      box().type(words);
      await until(() => asked.length === index + 1);
    }
    expect(asked.map(({ instruction }) => instruction)).toEqual([
      "use sum",
      "add a docstring",
      "use sum",
    ]);
  });

  describe("and where the model takes no words", () => {
    const says = (followsInstructions: boolean) =>
      servers[0]?.connection.sendNotification(ext.STATUS, {
        busy: false,
        kind: "Normal",
        message: "",
        model: "bundled",
        device: "cpu",
        memoryBytes: 0,
        followsInstructions,
      });

    beforeEach(async () => {
      await says(false);
      await until(() => extension.status.said !== undefined);
      workbench.select(editor, 0, 14);
    });

    test("the box opens all the same, and says so", async () => {
      await rewrite();
      expect(box().title).toContain("bundled");
      expect(box().labels[0]).toMatch(/without words/);
      expect(box().labels[1]).toMatch(/Get a model/);
      box().type("use sum");
      expect(box().labels[0]).toMatch(/without these words/);
      expect(asked).toEqual([]);
      box().accept();
      await textAsked();
      expect(asked[0]).not.toHaveProperty("instruction");
      await rewrite();
      expect(box().labels).toHaveLength(2);
    });

    test("a way to one that does is a line of it", async () => {
      let isShown = false;
      workbench.commands.set("dgLsp.getModel", () => (isShown = true));
      await rewrite();
      box().chosen = 1;
      box().accept();
      await until(() => isShown && !box().isVisible);
      await quiet();
      expect(asked).toEqual([]);
    });

    test("also where that is known only once the box is open, or is so no more", async () => {
      await says(true);
      await until(() => extension.status.said?.followsInstructions === true);
      await rewrite();
      expect(box().labels).toHaveLength(1);
      await says(false);
      await until(() => box().labels.length === 2);
      await says(true);
      await until(() => box().labels.length === 1);
      box().type("use sum");
      box().accept();
      await textAsked();
      expect(asked[0]?.instruction).toBe("use sum");
    });
  });

  describe("and what is typed before the box has the keyboard", () => {
    const line = TEXT.indexOf("    return a");

    async function opened(anchor: number, active: number): Promise<void> {
      workbench.select(editor, anchor, active);
      await rewrite();
    }

    test.each([
      ["a selection", line, TEXT.indexOf("\n\n")],
      ["whole lines", line, TEXT.indexOf("\n\n") + 1],
      ["the line of the cursor", line + 6, line + 6],
    ])("is put into the box, and does not replace %s", async (_, anchor, active) => {
      await opened(anchor, active);
      workbench.type("u");
      workbench.type("s");
      await until(() => editor.document.getText() === TEXT);
      expect(box().value).toBe("us");
      box().type("use");
      await until(() => editor.document.getText() === TEXT);
      box().accept();
      await until(() => asked.length === 1);
      expect(asked[0]?.instruction).toBe("use");
      expect(await textAsked()).toBe(anchor === active ? "return a" : "    return a");
    });

    test("also what deletes or surrounds it, or breaks the line", async () => {
      await opened(line + 4, line + 12);
      workbench.type("\n    ");
      await until(() => editor.document.getText() === TEXT);
      workbench.type("");
      await until(() => editor.document.getText() === TEXT);
      const at = (offset: number) => {
        const position = editor.document.positionAt(offset);
        return new vscode.Range(position, position);
      };
      editor.document.apply([
        { range: at(line + 4), newText: "(" },
        { range: at(line + 12), newText: ")" },
      ]);
      await until(() => editor.document.getText() === TEXT);
      expect(box().value).toBe("(");
      expect(editor.document.getText(editor.selection)).toBe("return a");
    });

    test("comes before what was typed into the box by then", async () => {
      await opened(line + 4, line + 12);
      box().type("e sum");
      workbench.type("us");
      expect(box().value).toBe("use sum");
    });

    test("what is typed after Enter finds nothing selected", async () => {
      await opened(line + 4, line + 12);
      box().type("use sum");
      box().accept();
      expect(editor.selection.isEmpty).toBe(true);
      expect(editor.selection.active).toEqual(editor.document.positionAt(line + 4));
      await until(() => asked.length === 1);
    });

    test("and the selection stays where nothing is asked for", async () => {
      await opened(line + 4, line + 12);
      box().hide();
      await quiet();
      expect(editor.document.getText(editor.selection)).toBe("return a");
      workbench.type("x");
      await quiet();
      expect(editor.document.getText()).toBe(TEXT.replace("return a", "x"));
    });
  });

  test("and does nothing where the user leaves it", async () => {
    workbench.select(editor, 0, 14);
    await rewrite();
    box().hide();
    await quiet();
    expect(asked).toEqual([]);
    expect(box().isVisible).toBe(false);
  });

  test("and says so where the text has changed by then, but not where another has", async () => {
    workbench.select(editor, 0, 14);
    await rewrite();
    workbench.change(editor, TEXT.length, TEXT.length, "# end\n");
    box().accept();
    await until(() => asked.length === 1);
    await rewrite();
    workbench.change(editor, 4, 7, "sum");
    box().accept();
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toMatch(/has changed in the meantime/);
    expect(asked).toHaveLength(1);
  });
});

test("there is nothing to rewrite in an empty line", async () => {
  workbench.select(editor, TEXT.indexOf("\n\n") + 1);
  void workbench.execute("dgLsp.rewrite");
  await until(() => workbench.questions.length === 1);
  expect(workbench.question.text).toMatch(/select the text/);
  expect(asked).toEqual([]);
});

describe("a code action of the server", () => {
  const range = { start: { line: 1, character: 4 }, end: { line: 1, character: 12 } };

  test("is previewed, with its instruction", async () => {
    const target: Target = { uri: "file:///work/a.py", version: 1, range, instruction: "simplify" };
    void workbench.execute("dgLsp.previewRewrite", target);
    expect(await textAsked()).toBe("return a");
    expect(asked[0]?.instruction).toBe("simplify");
    expect(workbench.inputs).toHaveLength(0);
  });

  test("asks for the instruction where that is the user's", async () => {
    void workbench.execute(ext.CLIENT_COMMAND_ASK, { uri: "file:///work/a.py", version: 1, range });
    await until(() => workbench.inputs.length === 1);
    box().type("simplify");
    box().accept();
    await until(() => asked[0]?.instruction === "simplify");
  });

  test.each([
    ["for an older version", { uri: "file:///work/a.py", version: 0, range }],
    ["for a document that is closed", { uri: "file:///work/gone.py", range }],
  ])("%s is refused", async (_, target) => {
    void workbench.execute("dgLsp.previewRewrite", target);
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toMatch(/has changed in the meantime/);
    expect(asked).toEqual([]);
  });
});

test("pausing in a file takes away what is drawn there", async () => {
  const requests: unknown[] = [];
  servers[0]?.connection.onRequest("textDocument/inlineCompletion", (params) => {
    requests.push(params);
    return new Promise(() => undefined);
  });
  const at = editor.selection.active;
  const never = {
    isCancellationRequested: false,
    onCancellationRequested: () => ({ dispose() {} }),
  };
  const context = { triggerKind: 1, selectedCompletionInfo: undefined };
  void extension.completion.provideInlineCompletionItems(editor.document, at, context, never);
  await until(() => requests.length === 1);
  const { draftToken: token } = requests[0] as { draftToken: string };
  const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };
  const draft = {
    token,
    uri: "file:///work/a.py",
    version: 1,
    range,
    text: "# sums",
    confidence: [],
  };
  await servers[0]?.connection.sendNotification(ext.DRAFT, draft);
  await until(() => editor.drawn.length === 1);
  await workbench.execute("dgLsp.toggleFile");
  expect(editor.drawn).toEqual([]);
});

describe("asking for a suggestion by hand", () => {
  const TRIGGER = ["editor.action.inlineSuggest.trigger"];

  test("is VS Code's own command, on Alt+\\ and in the palette of every editor", async () => {
    const { commands, keybindings } = manifest.contributes;
    expect(keybindings.find(({ key }) => key === "alt+\\")?.command).toBe("dgLsp.suggest");
    // While the palette is open the text has no focus.
    const { enablement } = commands.find(({ command }) => command === "dgLsp.suggest") ?? {};
    expect(enablement).not.toMatch(/Focus/);
    await workbench.execute("dgLsp.suggest");
    expect(workbench.executed).toContainEqual(TRIGGER);
  });

  test("works in a file that is paused", async () => {
    await workbench.execute("dgLsp.toggleFile");
    await workbench.execute("dgLsp.suggest");
    expect(workbench.executed).toContainEqual(TRIGGER);
  });

  test.each([
    ["everywhere", "dgLsp.enable", false, true],
    ["for python", "dgLsp.languages", { python: false }, { "*": true, python: true }],
  ])("says that it is paused %s", async (where, setting, off, on) => {
    workbench.settings.set(setting, off);
    const asked = workbench.execute("dgLsp.suggest");
    await until(() => workbench.questions.length > 0);
    expect(workbench.question.text).toContain(where);
    workbench.question.answer("Resume");
    await asked;
    expect(workbench.executed).not.toContainEqual(TRIGGER);
    expect(vscode.workspace.getConfiguration().get(setting)).toEqual(on);
  });
});

describe("the engine", () => {
  test.each([
    ["dgLsp.restartEngine", ext.COMMAND_RESTART_ENGINE],
    ["dgLsp.unloadModel", ext.COMMAND_UNLOAD_MODEL],
  ])("%s", async (command, sent) => {
    const told: unknown[] = [];
    servers[0]?.connection.onRequest("workspace/executeCommand", (params: { command: string }) => {
      told.push(params.command);
      return { done: told.length === 1, reason: "it is elsewhere" };
    });
    await workbench.execute(command);
    expect(told).toEqual([sent]);
    expect(workbench.questions).toEqual([]);
    void workbench.execute(command);
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toBe("dg-lsp: it is elsewhere");
  });

  test("cannot be told without a server", async () => {
    await extension.client.stop();
    void workbench.execute("dgLsp.unloadModel");
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toBe("dg-lsp: the server is not running");
  });
});

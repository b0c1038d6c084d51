/** Registers the commands; other modules implement them. */
import * as vscode from "vscode";
import { chooseAlternative } from "./alternatives";
import { askInstruction } from "./ask";
import { enable, enableLanguage, holeMark, isEnabled, isLanguageEnabled } from "./config";
import type { Extension } from "./extension";
import { holesIn } from "./holes";
import { ACCEPTED } from "./inserted";
import { keeping } from "./keep";
import * as ext from "./lspExt";
import { openSample } from "./sample";

const MOVED = "dg-lsp: the text has changed in the meantime.";

export function registerCommands(extension: Extension): vscode.Disposable[] {
  const { client, completion, drafts, log, nextEdits, reports, rewriting, status } = extension;
  const table: Record<string, (...values: never[]) => unknown> = {
    [ext.CLIENT_COMMAND_ASK]: (target: ext.Target) => rewriteTarget(extension, target, "asked"),
    "dgLsp.previewRewrite": (target: ext.Target) => rewriteTarget(extension, target, "as is"),
    "dgLsp.rewrite": () => rewriteSelection(extension),
    "dgLsp.fillHoles": () => fillHoles(extension),
    "dgLsp.keep": () => keep(extension),
    "dgLsp.alternatives": () => chooseAlternative(client),
    [ACCEPTED]: (uri: string, at: vscode.Position, text: string, confidence: ext.Confidence) => {
      const document = openDocument(uri);
      const position = new vscode.Position(at.line, at.character);
      if (document !== undefined) {
        extension.inserted.note(document, position, text, confidence);
      }
    },
    "dgLsp.acceptRewrite": (by?: unknown) => rewriting.accept(byKey(by)),
    "dgLsp.acceptRewriteChange": (index?: number) => rewriting.acceptChange(index),
    "dgLsp.discardRewrite": (by?: unknown) => rewriting.discard(byKey(by)),
    "dgLsp.compareRewrite": () => rewriting.compare(),
    "dgLsp.retryRewrite": () => rewriting.retry(),
    "dgLsp.rewriteMoreFreely": () => rewriting.turn(1),
    "dgLsp.rewriteLessFreely": () => rewriting.turn(-1),
    "dgLsp.rewriteEarlierStep": () => rewriting.walk(-1),
    "dgLsp.rewriteLaterStep": () => rewriting.walk(1),
    "dgLsp.suggest": () => suggest(),
    "dgLsp.acceptDraft": () => drafts.accept(),
    "dgLsp.discardDraft": () => completion.discard(),
    "dgLsp.takeNextEdit": () => nextEdits.take(),
    "dgLsp.dismissNextEdit": () => nextEdits.dismiss(),
    "dgLsp.showMenu": () => status.showMenu(),
    "dgLsp.toggleFile": () => {
      completion.discard();
      status.toggleFile();
    },
    "dgLsp.toggleLanguage": () => status.toggleLanguage(),
    "dgLsp.toggleEverywhere": () => status.toggleEverywhere(),
    "dgLsp.restart": () => extension.start(),
    "dgLsp.installServer": () => extension.install(),
    "dgLsp.chooseServer": () => extension.choose(),
    "dgLsp.restartEngine": () => tellEngine(extension, ext.COMMAND_RESTART_ENGINE),
    "dgLsp.unloadModel": () => tellEngine(extension, ext.COMMAND_UNLOAD_MODEL),
    "dgLsp.doctor": () => reports.doctor(extension.serverCommand),
    "dgLsp.trace": (uri?: string) => reports.trace(client, uri),
    "dgLsp.reportIssue": () => reports.issue(extension.serverCommand),
    "dgLsp.openIssue": (report: string) => reports.openIssue(report),
    "dgLsp.copyText": (text: string) => vscode.env.clipboard.writeText(text),
    "dgLsp.getModel": () => extension.models.choose(),
    "dgLsp.openSample": () => openSample(extension.context),
    "dgLsp.showLog": () => log.show(),
    "dgLsp.openSettings": () =>
      vscode.commands.executeCommand("workbench.action.openSettings", "dgLsp"),
    "dgLsp.openWalkthrough": () =>
      vscode.commands.executeCommand(
        "workbench.action.openWalkthrough",
        `${extension.context.extension.id}#dgLsp.start`,
      ),
  };
  return Object.entries(table).map(([name, run]) => vscode.commands.registerCommand(name, run));
}

/** Ignores a pause of the file; if the settings switch suggestions off, offers to resume them. */
async function suggest(): Promise<void> {
  const language = vscode.window.activeTextEditor?.document.languageId;
  if (language === undefined || (isEnabled() && isLanguageEnabled(language))) {
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    return;
  }
  const [where, resume] = isEnabled()
    ? [`for ${language}`, () => enableLanguage(language, true)]
    : ["everywhere", () => enable(true)];
  const text = `dg-lsp is paused ${where}.`;
  if ((await vscode.window.showInformationMessage(text, "Resume")) === "Resume") {
    await resume();
  }
}

async function rewriteSelection(extension: Extension): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined) {
    return;
  }
  const { document } = editor;
  const range = wholeLines(document, editor.selection);
  if (document.getText(range).trim() === "") {
    await vscode.window.showInformationMessage("dg-lsp: select the text that is to be rewritten.");
    return;
  }
  await rewrite(extension, document, range, () => ask(extension, document, range));
}

/** Fills all places with a cursor, or else all marks, together. */
async function fillHoles(extension: Extension): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined) {
    return;
  }
  const mark = holeMark();
  const holed = holesIn(editor, mark);
  if (holed === undefined) {
    await vscode.window.showInformationMessage(
      `dg-lsp: write ${mark} wherever something is missing, or set several cursors.`,
    );
    return;
  }
  await extension.rewriting.begin({ document: editor.document, ...holed });
}

/** Keeps a part of what was accepted last, and rewrites the rest of it. */
async function keep(extension: Extension): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined) {
    return;
  }
  const wish = keeping(editor, extension.inserted.in(editor.document));
  if (typeof wish === "string") {
    await vscode.window.showInformationMessage(`dg-lsp: ${wish}`);
  } else {
    await extension.rewriting.begin(wish);
  }
}

/** Called by a code action: the server gives the range and possibly the instruction. */
async function rewriteTarget(
  extension: Extension,
  target: ext.Target,
  how: "asked" | "as is",
): Promise<void> {
  const document = openDocument(target.uri);
  if (document === undefined || (target.version ?? document.version) !== document.version) {
    await vscode.window.showWarningMessage(MOVED);
    return;
  }
  const { start, end } = target.range;
  const range = new vscode.Range(start.line, start.character, end.line, end.character);
  if (target.holes === true) {
    await extension.rewriting.begin({ document, range, holes: "marks" });
    return;
  }
  await rewrite(extension, document, range, async () =>
    how === "asked" ? ask(extension, document, range) : (target.instruction ?? ""),
  );
}

function openDocument(uri: string): vscode.TextDocument | undefined {
  const wanted = vscode.Uri.parse(uri).toString();
  return vscode.workspace.textDocuments.find((one) => one.uri.toString() === wanted);
}

/** The text may change while the user types the instruction. */
async function rewrite(
  extension: Extension,
  document: vscode.TextDocument,
  range: vscode.Range,
  ask: () => Promise<string | undefined>,
): Promise<void> {
  const old = document.getText(range);
  const instruction = await ask();
  if (instruction === undefined) {
    return;
  }
  if (document.isClosed || document.getText(range) !== old) {
    await vscode.window.showWarningMessage(MOVED);
    return;
  }
  await extension.rewriting.begin({ document, range, ...words(instruction) });
}

/** The box always opens; if the model follows no instructions, the box says so. */
function ask(
  extension: Extension,
  document: vscode.TextDocument,
  range: vscode.Range,
): Promise<string | undefined> {
  const { client, context, status } = extension;
  const listener = {
    deafModel: () => (status.said?.followsInstructions === false ? status.said.model : undefined),
    onDidChange: client.onStatus,
  };
  return askInstruction(context.globalState, listener, { document, range });
}

/** Buttons pass a document; only our keybindings pass "key". */
function byKey(by: unknown): "key" | undefined {
  return by === "key" ? by : undefined;
}

function words(instruction: string): { instruction?: string } {
  return instruction === "" ? {} : { instruction };
}

/** The selected lines or the cursor's line; a line selected only at column 0 is left out. */
function wholeLines(document: vscode.TextDocument, selection: vscode.Selection): vscode.Range {
  if (selection.isEmpty) {
    const line = document.lineAt(selection.active.line);
    const start = line.firstNonWhitespaceCharacterIndex;
    return new vscode.Range(line.range.start.with({ character: start }), line.range.end);
  }
  return selection.end.character === 0 && selection.end.line > selection.start.line
    ? new vscode.Range(selection.start, document.lineAt(selection.end.line - 1).range.end)
    : selection;
}

async function tellEngine(extension: Extension, command: string): Promise<void> {
  const done = await extension.client.execute<ext.EngineDone>(command, {});
  if (done?.done !== true) {
    const why = done?.reason ?? "the server is not running";
    await vscode.window.showWarningMessage(`dg-lsp: ${why}`);
  }
}

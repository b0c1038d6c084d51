/** Asks what else may stand in place of the word at the cursor, and replaces it. */
import * as vscode from "vscode";
import type { Client } from "./client";
import * as ext from "./lspExt";

/** Lets the user choose among the alternatives of the word at the cursor, or of the selection. */
export async function chooseAlternative(client: Client): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined) {
    return;
  }
  const { document, selection } = editor;
  const { start, end } = selection;
  const asked = {
    uri: document.uri.toString(),
    version: document.version,
    range: {
      start: { line: start.line, character: start.character },
      end: { line: end.line, character: end.character },
    },
  };
  let answer: ext.Alternatives | undefined;
  try {
    answer = await client.execute<ext.Alternatives>(ext.COMMAND_ALTERNATIVES, asked);
  } catch (error) {
    await tell(error instanceof Error ? error.message : String(error));
    return;
  }
  if (answer === undefined || answer.range === null || answer.alternatives.length === 0) {
    await tell(answer === undefined ? "the server is not running" : (answer.reason ?? ""));
    return;
  }
  const { word, probability } = answer;
  const own = probability === null ? "" : ` (itself ${share(probability)})`;
  const items = answer.alternatives.map((one) => ({
    label: one.text,
    description: share(one.probability),
  }));
  const chosen = await vscode.window.showQuickPick(items, {
    placeHolder: `Instead of ${word}${own}`,
  });
  if (chosen === undefined) {
    return;
  }
  if (document.version !== answer.version) {
    await tell("the text has changed in the meantime; nothing was replaced");
    return;
  }
  const { range } = answer;
  const edit = new vscode.WorkspaceEdit();
  edit.replace(
    document.uri,
    new vscode.Range(range.start.line, range.start.character, range.end.line, range.end.character),
    chosen.label,
  );
  await vscode.workspace.applyEdit(edit);
}

function share(probability: number): string {
  return `${Math.round(100 * probability)}%`;
}

async function tell(why: string): Promise<void> {
  await vscode.window.showInformationMessage(`dg-lsp: ${why}`);
}

/** A sample file to try suggestions with, at positions where the bundled model is right. */
import { readFile } from "node:fs/promises";
import * as vscode from "vscode";

const GAP = /«.*?»/g;

/** The text of the sample without its markers, and the offsets of the gaps. */
export function withGaps(marked: string): { text: string; gaps: number[] } {
  const gaps: number[] = [];
  let removed = 0;
  const text = marked.replace(GAP, (whole, offset: number) => {
    gaps.push(offset - removed);
    removed += whole.length;
    return "";
  });
  return { text, gaps };
}

/** Opens the sample as a new document, with the cursor in the first gap, and asks there. */
export async function openSample(context: vscode.ExtensionContext): Promise<void> {
  const file = vscode.Uri.joinPath(context.extensionUri, "media", "sample", "shop.py.txt");
  const { text, gaps } = withGaps(await readFile(file.fsPath, "utf8"));
  const document = await vscode.workspace.openTextDocument({ language: "python", content: text });
  const editor = await vscode.window.showTextDocument(document);
  const cursor = document.positionAt(gaps[0] ?? 0);
  editor.selection = new vscode.Selection(cursor, cursor);
  await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
}

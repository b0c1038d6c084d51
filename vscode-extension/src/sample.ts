/** A sample file for the first suggestion; the bundled model completes its unfinished line. */
import { readFile } from "node:fs/promises";
import * as vscode from "vscode";

const UNFINISHED = / =$/m;

/** Opens a copy of the sample, with the cursor where its line ends too soon, and asks there. */
export async function openSample(context: vscode.ExtensionContext): Promise<void> {
  const file = vscode.Uri.joinPath(context.extensionUri, "media", "sample", "inventory.py");
  const content = await readFile(file.fsPath, "utf8");
  const document = await vscode.workspace.openTextDocument({ language: "python", content });
  const editor = await vscode.window.showTextDocument(document);
  const cursor = document.positionAt(content.search(UNFINISHED) + " =".length);
  editor.selection = new vscode.Selection(cursor, cursor);
  editor.revealRange(new vscode.Range(cursor, cursor));
  await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
}

/** What the server says of itself, in a read-only document: the doctor's report and a trace. */
import { execFile } from "node:child_process";
import { homedir } from "node:os";
import * as vscode from "vscode";
import type { Client } from "./client";
import { COMMAND_TRACE } from "./lspExt";

const SCHEME = "dg-lsp";
const DOCTOR_PATIENCE_MS = 120_000;

export class Reports implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly texts = new Map<string, string>();
  private readonly registration = vscode.workspace.registerTextDocumentContentProvider(
    SCHEME,
    this,
  );

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.path) ?? "";
  }

  /** `dg-lsp doctor --json`, which works without a server as well. */
  async doctor(command: string | undefined): Promise<void> {
    if (command === undefined) {
      await vscode.window.showWarningMessage("dg-lsp: there is no server to be looked at.");
      return;
    }
    const options = { location: vscode.ProgressLocation.Window, title: "dg-lsp: examining" };
    const { output, error } = await vscode.window.withProgress(options, () => doctor(command));
    if (output.trimStart().startsWith("{")) {
      await this.show("doctor.json", pretty(output));
    } else {
      const why = error.trim() || "it said nothing";
      await vscode.window.showWarningMessage(`dg-lsp doctor gave no report: ${why}`);
    }
  }

  /** What became of the last request. */
  async trace(client: Client): Promise<void> {
    const found = await client.execute<unknown>(COMMAND_TRACE, {});
    if (found == null) {
      const why = client.language ? "this dg-lsp keeps no traces" : "the server is not running";
      await vscode.window.showInformationMessage(`dg-lsp: ${why}`);
      return;
    }
    await this.show("trace.json", JSON.stringify(found, undefined, 2));
  }

  dispose(): void {
    vscode.Disposable.from(this.changed, this.registration).dispose();
  }

  private async show(name: string, text: string): Promise<void> {
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${name}` });
    this.texts.set(uri.path, text);
    this.changed.fire(uri);
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri));
  }
}

/** A report is printed whatever the exit status: that tells whether all is well. */
async function doctor(command: string): Promise<{ output: string; error: string }> {
  const options = { cwd: homedir(), timeout: DOCTOR_PATIENCE_MS };
  return new Promise((resolve) => {
    execFile(command, ["doctor", "--json"], options, (_, output, error) => {
      resolve({ output, error });
    });
  });
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), undefined, 2);
  } catch {
    return json;
  }
}

/**
 * Shows two texts side by side in the editor's own diff view. Neither is a file; both are
 * highlighted like the file that they are versions of.
 */
import * as vscode from "vscode";

const SCHEME = "dg-lsp-compare";

export interface Sides {
  readonly before: string;
  readonly after: string;
}

export class Comparison implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly registration = vscode.workspace.registerTextDocumentContentProvider(
    SCHEME,
    this,
  );
  private sides: Sides = { before: "", after: "" };

  provideTextDocumentContent(uri: vscode.Uri): string {
    return uri.query === "before" ? this.sides.before : this.sides.after;
  }

  /** Whether a document is one of the two texts. */
  shows(document: vscode.TextDocument | undefined): boolean {
    return document?.uri.scheme === SCHEME;
  }

  /** Opens the view with the line at the top of both sides. */
  async show(file: vscode.Uri, sides: Sides, line: number): Promise<void> {
    this.update(file, sides);
    const selection = new vscode.Range(line, 0, line, 0);
    await vscode.commands.executeCommand(
      "vscode.diff",
      sideOf(file, "before"),
      sideOf(file, "after"),
      `${file.path.split("/").at(-1)} (rewrite)`,
      { selection, preview: true } satisfies vscode.TextDocumentShowOptions,
    );
  }

  /** Replaces the texts if the view is open. */
  update(file: vscode.Uri, sides: Sides): void {
    this.sides = sides;
    this.changed.fire(sideOf(file, "before"));
    this.changed.fire(sideOf(file, "after"));
  }

  async close(): Promise<void> {
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    await vscode.window.tabGroups.close(
      tabs.filter(
        ({ input }) => input instanceof vscode.TabInputTextDiff && input.modified.scheme === SCHEME,
      ),
    );
  }

  dispose(): void {
    vscode.Disposable.from(this.changed, this.registration).dispose();
  }
}

function sideOf(file: vscode.Uri, side: keyof Sides): vscode.Uri {
  return vscode.Uri.from({ scheme: SCHEME, path: file.path, query: side });
}

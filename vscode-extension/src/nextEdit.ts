/**
 * Shows the edit that follows from the user's last one, at its place: what it removes is struck
 * out, and what it inserts stands behind it. One key goes there, and then accepts it.
 *
 * At most one is shown, and any other change of the document removes it.
 */
import * as vscode from "vscode";
import { SCHEMES, type Client } from "./client";
import * as ext from "./lspExt";
import { inlineRow } from "./overlay";

/** Asks when the user has paused for so long. */
const PAUSE_MS = 300;
/** Context keys for keybindings. */
const SHOWN = "dgLsp.nextEditShown";
/** Tab goes to the edit or accepts it: it would not indent here. */
const TAKEN_WITH_TAB = "dgLsp.nextEditTakenWithTab";

interface Shown {
  readonly editor: vscode.TextEditor;
  readonly version: number;
  readonly range: vscode.Range;
  readonly edit: ext.InlineEdit;
}

export class NextEdits implements vscode.Disposable {
  private readonly removed = vscode.window.createTextEditorDecorationType({
    textDecoration: "line-through",
    backgroundColor: new vscode.ThemeColor("diffEditor.removedTextBackground"),
  });
  private readonly added = vscode.window.createTextEditorDecorationType({});
  /** At the end of the cursor's line, where the edit is in another one. */
  private readonly hint = vscode.window.createTextEditorDecorationType({});
  private readonly subscriptions: vscode.Disposable[];
  private shown: Shown | undefined;
  private waiting: NodeJS.Timeout | undefined;
  private asking: vscode.CancellationTokenSource | undefined;
  /** The values that the context keys were set to. */
  private readonly said = new Map<string, boolean>();

  constructor(
    private readonly client: Client,
    private readonly isWanted: (document: vscode.TextDocument) => boolean,
  ) {
    this.subscriptions = [
      vscode.workspace.onDidChangeTextDocument((event) => this.changed(event)),
      vscode.window.onDidChangeTextEditorSelection((event) => this.moved(event.textEditor)),
      vscode.window.onDidChangeActiveTextEditor(() => this.clear()),
      this.removed,
      this.added,
      this.hint,
    ];
  }

  /** Goes to the edit, or accepts it if the cursor is in its line. */
  async take(): Promise<void> {
    const { shown } = this;
    if (shown === undefined || shown.editor.document.version !== shown.version) {
      return;
    }
    const { editor, range, edit } = shown;
    if (!isAt(shown)) {
      editor.selection = new vscode.Selection(range.start, range.start);
      editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
      return;
    }
    this.clear();
    if (await editor.edit((builder) => builder.replace(range, edit.text))) {
      const end = editor.document.positionAt(
        editor.document.offsetAt(range.start) + edit.text.length,
      );
      editor.selection = new vscode.Selection(end, end);
      await this.client.execute(ext.COMMAND_ACCEPT_NEXT_EDIT, ...edit.command.arguments);
    }
  }

  /** Removes the edit; nothing is offered until the user's next one. */
  async dismiss(): Promise<void> {
    const { shown } = this;
    this.clear();
    if (shown !== undefined) {
      const values = shown.edit.command.arguments;
      await this.client.execute(ext.COMMAND_DISMISS_NEXT_EDIT, ...values);
    }
  }

  dispose(): void {
    this.clear();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private changed(event: vscode.TextDocumentChangeEvent): void {
    const editor = vscode.window.activeTextEditor;
    if (event.contentChanges.length === 0 || event.document !== editor?.document) {
      return;
    }
    this.clear();
    if (SCHEMES.includes(event.document.uri.scheme) && this.isWanted(event.document)) {
      this.waiting = setTimeout(() => void this.ask(editor), PAUSE_MS);
    }
  }

  private async ask(editor: vscode.TextEditor): Promise<void> {
    const { document } = editor;
    const { version } = document;
    const asking = new vscode.CancellationTokenSource();
    this.asking = asking;
    const language = await this.client.whenRunning(asking.token);
    if (language === undefined || asking.token.isCancellationRequested) {
      return;
    }
    const { line, character } = editor.selection.active;
    const params = {
      textDocument: { uri: language.code2ProtocolConverter.asUri(document.uri), version },
      position: { line, character },
    };
    try {
      const found = await language.sendRequest<ext.InlineEdits>(
        ext.INLINE_EDIT,
        params,
        asking.token,
      );
      const [edit] = found.edits;
      if (edit !== undefined && this.asking === asking && document.version === version) {
        const { start, end } = edit.range;
        const range = new vscode.Range(start.line, start.character, end.line, end.character);
        this.show({ editor, version, range, edit });
        await language.sendNotification(ext.DID_SHOW_INLINE_EDIT, {
          item: { command: edit.command },
        });
      }
    } catch {
      // Cancelled, or the server is gone: nothing is offered.
    }
  }

  private show(shown: Shown): void {
    this.shown = shown;
    const { editor, range, edit } = shown;
    const { tabSize } = editor.options;
    const [text = ""] = edit.text.split("\n");
    const row = { look: "added", runs: [{ text, probability: 1 }] } as const;
    const after = inlineRow(row, typeof tabSize === "number" ? tabSize : 4, range.end.character);
    editor.setDecorations(this.removed, range.isEmpty ? [] : [range]);
    const at = new vscode.Range(range.end, range.end);
    editor.setDecorations(this.added, text === "" ? [] : [{ range: at, renderOptions: { after } }]);
    this.moved(editor);
  }

  /** The cursor has moved: whether the edit is in its line. */
  private moved(editor: vscode.TextEditor): void {
    const { shown } = this;
    if (shown === undefined || shown.editor !== editor) {
      return;
    }
    const { active } = editor.selection;
    const line = editor.document.lineAt(active.line);
    const isIndenting = line.text.slice(0, active.character).trim() === "";
    this.say(SHOWN, true);
    this.say(TAKEN_WITH_TAB, isAt(shown) || !isIndenting);
    const after = {
      contentText: `\u00a0\u00a0⇥ line ${shown.range.start.line + 1}`,
      color: new vscode.ThemeColor("editorGhostText.foreground"),
    };
    const end = new vscode.Range(line.range.end, line.range.end);
    editor.setDecorations(this.hint, isAt(shown) ? [] : [{ range: end, renderOptions: { after } }]);
  }

  private clear(): void {
    clearTimeout(this.waiting);
    this.asking?.cancel();
    this.asking = undefined;
    if (this.shown !== undefined) {
      for (const type of [this.removed, this.added, this.hint]) {
        this.shown.editor.setDecorations(type, []);
      }
    }
    this.shown = undefined;
    this.say(SHOWN, false);
    this.say(TAKEN_WITH_TAB, false);
  }

  private say(key: string, value: boolean): void {
    if ((this.said.get(key) ?? false) !== value) {
      this.said.set(key, value);
      void vscode.commands.executeCommand("setContext", key, value);
    }
  }
}

function isAt({ editor, range }: Shown): boolean {
  const { line } = editor.selection.active;
  return range.start.line <= line && line <= range.end.line;
}

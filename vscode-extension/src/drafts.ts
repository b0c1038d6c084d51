/**
 * Draws the drafts of the current completion request at the cursor.
 *
 * VS Code keeps the first ghost text that it gets for a position, so a suggestion that is still
 * changing is drawn with decorations and becomes ghost text once it has settled. Typing text that
 * agrees with a draft shortens it; anything else removes it.
 */
import * as vscode from "vscode";
import { typedAt } from "./follow";
import type { Confidence, Draft, Masked } from "./lspExt";
import {
  coveringRow,
  inlineRow,
  rowsOf,
  withoutStart,
  withPlaceholders,
  type Attachment,
} from "./overlay";

/** Context keys for keybindings. */
const VISIBLE = "dgLsp.draftVisible";
/** Tab accepts the draft: it can no longer change, and Tab does not indent here. */
const TAKEN_WITH_TAB = "dgLsp.draftTakenWithTab";

interface Shown {
  readonly document: vscode.TextDocument;
  readonly offset: number;
  readonly text: string;
  readonly confidence: Confidence;
  /** Its gaps, which are drawn but never inserted. */
  readonly masked: Masked;
  readonly isSettled: boolean;
}

export class Drafts implements vscode.Disposable {
  private readonly decoration = vscode.window.createTextEditorDecorationType({});
  /** Hides the text after the cursor if the last drawn line repeats it. */
  private readonly hiding = vscode.window.createTextEditorDecorationType({ opacity: "0" });
  private readonly subscriptions: vscode.Disposable[];
  /** The `draftToken` of the current request. */
  private token: string | undefined;
  private shown: Shown | undefined;
  /** The values that the context keys were set to. */
  private readonly said = new Map<string, boolean>();

  constructor(private readonly isWanted: () => boolean) {
    this.subscriptions = [
      this.decoration,
      this.hiding,
      vscode.workspace.onDidChangeTextDocument((event) => this.follow(event)),
      vscode.window.onDidChangeTextEditorSelection((event) => this.watchCursor(event)),
      vscode.window.onDidChangeActiveTextEditor(() => this.clear()),
    ];
  }

  /** Waits for drafts of a new request; the old draft stays until the first one. */
  expect(token: string): void {
    this.token = token;
  }

  take(draft: Draft): void {
    const editor = vscode.window.activeTextEditor;
    if (draft.token !== this.token || !editor || !this.isWanted()) {
      return;
    }
    const document = editor.document;
    if (document.uri.toString() !== vscode.Uri.parse(draft.uri).toString()) {
      return;
    }
    if (draft.version !== null && draft.version !== document.version) {
      return;
    }
    const { start, end } = draft.range;
    const range = new vscode.Range(start.line, start.character, end.line, end.character);
    // The document may already contain the start of the entry selected in the completion list.
    const there = document.getText(range);
    if (!editor.selection.active.isEqual(range.end) || !draft.text.startsWith(there)) {
      return;
    }
    this.draw(editor, {
      document,
      offset: document.offsetAt(range.end),
      text: draft.text.slice(there.length),
      confidence: withoutStart(draft.confidence, there.length),
      masked: (draft.masked ?? []).map(([at, width]) => [at - there.length, width] as const),
      isSettled: draft.settled === draft.text.length && !draft.masked?.length,
    });
  }

  /** Removes the draft of a request that was answered or abandoned. */
  end(token: string | undefined): void {
    if (token === this.token) {
      this.token = undefined;
      this.clear();
    }
  }

  /** Inserts the drawn text into the document, up to its first gap. */
  async accept(): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const shown = this.shown;
    if (!editor || !shown || shown.document !== editor.document) {
      return;
    }
    this.clear();
    const at = shown.document.positionAt(shown.offset);
    await editor.edit((edit) => edit.insert(at, shown.text.slice(0, shown.masked[0]?.[0])));
  }

  clear(): void {
    if (this.shown === undefined) {
      return;
    }
    this.shown = undefined;
    for (const editor of vscode.window.visibleTextEditors) {
      editor.setDecorations(this.decoration, []);
      editor.setDecorations(this.hiding, []);
    }
    this.say(VISIBLE, false);
    this.say(TAKEN_WITH_TAB, false);
  }

  private say(key: string, value: boolean): void {
    if ((this.said.get(key) ?? false) !== value) {
      this.said.set(key, value);
      void vscode.commands.executeCommand("setContext", key, value);
    }
  }

  dispose(): void {
    this.clear();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private follow(event: vscode.TextDocumentChangeEvent): void {
    const shown = this.shown;
    if (!shown || event.document !== shown.document || event.contentChanges.length === 0) {
      return;
    }
    const typed = typedAt(shown.offset, shown.text, event.contentChanges);
    const editor = vscode.window.activeTextEditor;
    const gap = shown.masked[0]?.[0] ?? Infinity;
    if (
      typed === undefined ||
      typed.length > gap ||
      typed === shown.text ||
      editor?.document !== shown.document
    ) {
      this.clear();
      return;
    }
    this.draw(editor, {
      ...shown,
      offset: shown.offset + typed.length,
      text: shown.text.slice(typed.length),
      confidence: withoutStart(shown.confidence, typed.length),
      masked: shown.masked.map(([at, width]) => [at - typed.length, width] as const),
    });
  }

  private watchCursor(event: vscode.TextEditorSelectionChangeEvent): void {
    const shown = this.shown;
    if (!shown || event.textEditor.document !== shown.document) {
      return;
    }
    const isThere =
      event.textEditor.selection.isEmpty &&
      shown.document.offsetAt(event.textEditor.selection.active) === shown.offset;
    if (!isThere) {
      this.clear();
    }
  }

  private draw(editor: vscode.TextEditor, shown: Shown): void {
    this.shown = shown;
    const { document } = shown;
    const { text, confidence } = withPlaceholders(shown.text, shown.confidence, shown.masked);
    const at = document.positionAt(shown.offset);
    const line = document.lineAt(at.line);
    const isIndenting = line.text.slice(0, at.character).trim() === "";
    this.say(VISIBLE, true);
    this.say(TAKEN_WITH_TAB, shown.isSettled && !isIndenting);
    const tabSize = typeof editor.options.tabSize === "number" ? editor.options.tabSize : 4;
    const [first = [], ...others] = rowsOf(text, confidence);
    const after = line.text.slice(at.character);
    const decorations = [
      decorate(at, { after: inlineRow({ look: "ghost", runs: first }, tabSize, at.character) }),
    ];
    others.forEach((runs, index) => {
      const isLast = index === others.length - 1;
      const all = isLast && after !== "" ? [...runs, { text: after, probability: 1 }] : runs;
      const wanted = at.line + 1 + index;
      const there = Math.min(wanted, document.lineCount - 1);
      const row = coveringRow({ look: "ghost", runs: all }, tabSize, wanted - there);
      decorations.push(decorate(new vscode.Position(there, 0), { before: row }));
    });
    editor.setDecorations(this.decoration, decorations);
    const isCarriedOn = others.length > 0 && after !== "";
    editor.setDecorations(this.hiding, isCarriedOn ? [new vscode.Range(at, line.range.end)] : []);
  }
}

function decorate(
  at: vscode.Position,
  render: { before: Attachment } | { after: Attachment },
): vscode.DecorationOptions {
  return { range: new vscode.Range(at, at), renderOptions: render };
}

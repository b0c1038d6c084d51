/**
 * The window that the fake `vscode` shows to the extension, with what a user does in it and what
 * a user sees. Each test starts with a new one.
 */
import type * as vscode from "vscode";
import { URI } from "vscode-uri";
import { Document, Editor, type Edit } from "./documents";
import { Settings } from "./settings";
import { CancellationTokenSource, Disposable, EventEmitter, Range, Selection } from "./values";
import type { TabInputTextDiff, WorkspaceEdit } from "./values";

/** What is said with buttons, or a list to pick from, until the user answers. */
export interface Question {
  readonly kind: "error" | "warning" | "information" | "pick" | "file" | "input";
  readonly text: string;
  readonly choices: readonly string[];
  /** What stands below, in a dialog or an entry of a list. */
  readonly details: readonly string[];
  /** Without a choice: it is dismissed. */
  answer(choice?: string): void;
}

export interface Work {
  readonly title: string;
  readonly messages: string[];
  readonly cancel: CancellationTokenSource;
  isOver: boolean;
}

export class StatusBarItem {
  name: string | undefined;
  text = "";
  tooltip: string | vscode.MarkdownString | undefined;
  accessibilityInformation: vscode.AccessibilityInformation | undefined;
  command: string | undefined;
  backgroundColor: vscode.ThemeColor | undefined;
  isVisible = false;
  show(): void {
    this.isVisible = true;
  }
  dispose(): void {
    this.isVisible = false;
  }
}

/** A page in a webview. */
export class Panel {
  readonly webview = { html: "" };
  private readonly disposed = new EventEmitter<void>();
  readonly onDidDispose = this.disposed.event;
  constructor(
    public title: string,
    readonly commands: readonly string[],
  ) {}
  reveal(): void {}
  dispose(): void {
    this.disposed.fire();
  }
}

export class Workbench {
  readonly settings = new Settings();
  readonly questions: Question[] = [];
  readonly work: Work[] = [];
  readonly commands = new Map<string, (...values: unknown[]) => unknown>();
  /** Commands of VS Code itself, which do nothing here. */
  readonly executed: unknown[][] = [];
  readonly contexts = new Map<string, unknown>();
  readonly statusBar: StatusBarItem[] = [];
  readonly log: string[] = [];
  readonly panels: Panel[] = [];
  /** Addresses that were opened outside. */
  readonly visited: string[] = [];
  /** What was put on the clipboard. */
  readonly copied: string[] = [];
  readonly documents: Document[] = [];
  readonly extensions = new Map<string, unknown>();
  readonly inputs: QuickPick[] = [];
  readonly providers = new Map<string, unknown[]>();
  readonly contents = new Map<string, vscode.TextDocumentContentProvider>();
  folders: vscode.WorkspaceFolder[] = [];
  isTrusted = true;
  visible: Editor[] = [];
  /** The diff editors. */
  comparisons: TabInputTextDiff[] = [];
  active: Editor | undefined;

  readonly opened = new EventEmitter<vscode.TextDocument>();
  readonly closed = new EventEmitter<vscode.TextDocument>();
  readonly changed = new EventEmitter<vscode.TextDocumentChangeEvent>();
  readonly trusted = new EventEmitter<void>();
  readonly selected = new EventEmitter<vscode.TextEditorSelectionChangeEvent>();
  readonly activated = new EventEmitter<vscode.TextEditor | undefined>();
  readonly shown = new EventEmitter<readonly vscode.TextEditor[]>();

  /** Opens a text in an editor of its own, with the cursor where `|` stands. */
  open(marked: string, name = "/work/a.py"): Editor {
    const offset = marked.indexOf("|");
    const text = offset < 0 ? marked : marked.slice(0, offset) + marked.slice(offset + 1);
    const uri = name.includes(":") ? URI.parse(name) : URI.file(name);
    const document = new Document(uri, "python", text, this.changed);
    this.documents.push(document);
    this.opened.fire(document);
    const editor = new Editor(document);
    const cursor = document.positionAt(Math.max(0, offset));
    editor.selection = new Selection(cursor, cursor);
    this.focus(editor);
    return editor;
  }

  focus(editor: Editor | undefined): void {
    if (editor !== undefined && !this.visible.includes(editor)) {
      this.visible = [...this.visible, editor];
      this.shown.fire(this.visible);
    }
    this.active = editor;
    this.activated.fire(editor);
  }

  close(editor: Editor): void {
    this.visible = this.visible.filter((one) => one !== editor);
    this.shown.fire(this.visible);
    this.focus(this.visible[0]);
    editor.document.isClosed = true;
    this.documents.splice(this.documents.indexOf(editor.document), 1);
    this.closed.fire(editor.document);
  }

  /** Into the editor that has the focus, at its cursor. */
  type(text: string): void {
    const editor = this.focused();
    const { document, selection } = editor;
    const offset = document.offsetAt(selection.start);
    document.apply([{ range: selection, newText: text }]);
    this.select(editor, offset + text.length);
  }

  /** A change that does not come from the keyboard; the cursor stays at its text. */
  change(editor: Editor, start: number, end: number, newText: string): void {
    const { document } = editor;
    const cursor = document.offsetAt(editor.selection.active);
    const range = new Range(document.positionAt(start), document.positionAt(end));
    document.apply([{ range, newText }]);
    this.select(editor, end <= cursor ? cursor + newText.length - (end - start) : cursor);
  }

  select(editor: Editor, anchor: number, active = anchor): void {
    const [a, b] = [editor.document.positionAt(anchor), editor.document.positionAt(active)];
    editor.selection = new Selection(a, b);
    this.selected.fire({ textEditor: editor, selections: [editor.selection], kind: undefined });
  }

  async applyEdit(edit: WorkspaceEdit): Promise<boolean> {
    const byDocument = new Map<Document, Edit[]>();
    for (const { uri, range, newText } of edit.replacements) {
      const document = this.documents.find((one) => one.uri.toString() === uri.toString());
      if (document === undefined || document.isReadonly) {
        return false;
      }
      byDocument.set(document, [...(byDocument.get(document) ?? []), { range, newText }]);
    }
    byDocument.forEach((edits, document) => document.apply(edits));
    return true;
  }

  async execute(command: string, ...values: unknown[]): Promise<unknown> {
    if (command === "setContext") {
      this.contexts.set(String(values[0]), values[1]);
      return undefined;
    }
    const run = this.commands.get(command);
    if (run === undefined) {
      this.executed.push([command, ...values]);
    }
    return run?.(...values);
  }

  ask(
    kind: Question["kind"],
    text: string,
    choices: readonly string[],
    details: readonly string[] = [],
  ): Promise<string> {
    return new Promise((resolve) => {
      const answer = (choice?: string) => {
        const isFree = kind === "file" || kind === "input";
        if (choice !== undefined && !choices.includes(choice) && !isFree) {
          throw new Error(`${choice} is none of ${choices.join(", ")}`);
        }
        resolve(choice as string);
      };
      this.questions.push({ kind, text, choices, details, answer });
    });
  }

  /** What is on the screen at last. */
  get question(): Question {
    const last = this.questions.at(-1);
    if (last === undefined) {
      throw new Error("nothing was said");
    }
    return last;
  }

  register(kind: string, provider: unknown): Disposable {
    const all = this.providers.get(kind) ?? [];
    this.providers.set(kind, [...all, provider]);
    return new Disposable(() => {
      const left = this.providers.get(kind)?.filter((one) => one !== provider) ?? [];
      this.providers.set(kind, left);
    });
  }

  private focused(): Editor {
    if (this.active === undefined) {
      throw new Error("no editor has the focus");
    }
    return this.active;
  }
}

export class QuickPick {
  title: string | undefined;
  placeholder: string | undefined;
  value = "";
  items: readonly { label: string }[] = [];
  isVisible = false;
  private readonly accepted = new EventEmitter<void>();
  private readonly hidden = new EventEmitter<void>();
  private readonly valueChanged = new EventEmitter<string>();
  readonly onDidAccept = this.accepted.event;
  readonly onDidHide = this.hidden.event;
  readonly onDidChangeValue = this.valueChanged.event;
  /** The one that is highlighted: the first, unless the user went elsewhere. */
  chosen = 0;

  get activeItems(): readonly { label: string }[] {
    return this.items.slice(this.chosen, this.chosen + 1);
  }
  get labels(): string[] {
    return this.items.map((one) => one.label);
  }
  show(): void {
    this.isVisible = true;
  }
  type(text: string): void {
    this.value = text;
    this.valueChanged.fire(text);
  }
  accept(): void {
    this.accepted.fire();
  }
  hide(): void {
    this.isVisible = false;
    this.hidden.fire();
  }
  dispose(): void {
    this.isVisible = false;
  }
}

export let workbench = new Workbench();

export function newWorkbench(): void {
  workbench = new Workbench();
}

/**
 * Shows a rewrite before it is applied: draws it over the text that it would replace, as a diff
 * that sharpens with each draft. The document does not change until the user accepts, so accepting
 * is one edit and one undo step, and edits elsewhere in the meantime only move the preview.
 */
import * as vscode from "vscode";
import { SCHEMES, type Client } from "./client";
import { Comparison, type Sides } from "./compare";
import { unselect } from "./ask";
import { shifted } from "./diff";
import { followed, stretched, type Span } from "./follow";
import { hunksOf, withHunk, type Hunk } from "./hunks";
import { hunkLens, lensesOf } from "./lenses";
import type { Draft } from "./lspExt";
import { withPlaceholders } from "./overlay";
import { frameOf, previewRows } from "./preview";
import { Progress } from "./progress";
import { propose, rangeOf, type Proposal } from "./proposal";

const UNDER_WAY = "dgLsp.rewriting";
const READY = "dgLsp.rewriteReady";
const FREEDOM_STEP = 0.2;

export interface Wish {
  readonly document: vscode.TextDocument;
  readonly range: vscode.Range;
  readonly instruction?: string;
}

interface Session extends Wish {
  /** Where the text to be rewritten is now. */
  span: Span;
  old: string;
  /** All states of the text so far: the original, and with some of the changes accepted. */
  readonly olds: Set<string>;
  readonly starts: Map<number, vscode.Position>;
  strength: number;
  seed: number;
  /** What the attempts so far have proposed. */
  proposals: Proposal[];
  token: string;
  /** Stops the current attempt. */
  stop: vscode.CancellationTokenSource;
  /** The last draft or, when `isReady`, the proposal. */
  text?: string;
  confidence: Draft["confidence"];
  warning?: string | undefined;
  isReady: boolean;
  progress?: Progress;
  /** Which block of a long rewrite is being written. */
  block: string;
  /** Whether it was accepted; it is shown until the document contains it. */
  isTaken: boolean;
}

export class Rewriting implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly decoration = vscode.window.createTextEditorDecorationType({});
  private readonly comparison = new Comparison();
  private readonly lensesChanged = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.lensesChanged.event;
  private readonly subscriptions: vscode.Disposable[];
  private session: Session | undefined;
  private numAttempts = 0;

  constructor(private readonly client: Client) {
    this.subscriptions = [
      this.decoration,
      this.comparison,
      this.lensesChanged,
      vscode.languages.registerCodeLensProvider(
        SCHEMES.map((scheme) => ({ scheme })),
        this,
      ),
      client.onDraft((draft) => this.take(draft)),
      vscode.workspace.onDidChangeTextDocument((event) => this.follow(event)),
      vscode.workspace.onDidCloseTextDocument((document) => {
        if (document === this.session?.document) {
          this.discard();
        }
      }),
      vscode.window.onDidChangeVisibleTextEditors(() => this.draw()),
      vscode.window.onDidChangeActiveTextEditor(() => this.setContexts()),
      vscode.window.onDidChangeTextEditorSelection(() => this.setContexts()),
    ];
  }

  async begin(wish: Wish): Promise<void> {
    this.discard();
    const { document, range } = wish;
    const old = document.getText(range);
    const start = document.offsetAt(range.start);
    unselect(wish);
    this.session = {
      ...wish,
      span: { start, end: document.offsetAt(range.end) },
      old,
      olds: new Set([old]),
      starts: new Map(),
      strength: 0.6,
      seed: 0,
      proposals: [],
      token: "",
      stop: new vscode.CancellationTokenSource(),
      confidence: [],
      isReady: false,
      block: "",
      isTaken: false,
    };
    await this.attempt(this.session);
  }

  /** A key accepts only if the cursor is in the preview, because context keys lag behind it. */
  async accept(by?: "key"): Promise<void> {
    const session = this.session;
    if (by === "key" && !this.isHere()) {
      return;
    }
    if (!session?.isReady || session.isTaken || session.text === undefined) {
      return;
    }
    session.isTaken = true;
    await this.edit(session, session.text);
    if (this.session === session) {
      this.end();
    }
  }

  /** Applies one of the changes, by default the one at the cursor; the others stay pending. */
  async acceptChange(index?: number): Promise<void> {
    const session = this.session;
    const hunks = session ? hunksIn(session) : [];
    const hunk = index === undefined ? this.hunkAtCursor(hunks) : hunks[index];
    if (session === undefined || hunk === undefined || session.isTaken) {
      return;
    }
    if (hunks.length === 1) {
      return this.accept();
    }
    const { document, span, old } = session;
    const lineEnd = document.eol === vscode.EndOfLine.CRLF ? "\r\n" : "\n";
    const text = withHunk(frameOf(document, span), old, hunk, lineEnd);
    // `follow` recognizes this text after the edit.
    session.olds.add(text);
    await this.edit(session, text);
  }

  discard(by?: "key"): void {
    if (this.session !== undefined && (by === undefined || this.isHere())) {
      this.session.stop.cancel();
      this.end();
    }
  }

  /** Makes another attempt, for another text, with the same, more or less freedom. */
  async retry(freedom: "same" | "more" | "less"): Promise<void> {
    const session = this.session;
    if (!session?.isReady || session.isTaken) {
      return;
    }
    const by = { same: 0, more: FREEDOM_STEP, less: -FREEDOM_STEP }[freedom];
    session.strength = shifted(session.strength, by);
    session.seed += 1;
    await this.attempt(session);
  }

  /** Shows the whole document before and after the rewrite side by side. */
  async compare(): Promise<void> {
    const session = this.session;
    if (session?.isReady) {
      const { line } = rangeOf(session).start;
      await this.comparison.show(session.document.uri, sidesOf(session), line);
    }
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    if (document !== this.session?.document) {
      return [];
    }
    const { session } = this;
    const hunks = hunksIn(session);
    const start = rangeOf(session).start;
    const { isReady, strength, block } = session;
    const shown = { isReady, strength, progress: block };
    const lenses = lensesOf(start, shown, hunks.length);
    const ofHunks = hunks.length > 1 ? hunks : [];
    const lineOf = ({ row }: Hunk) => Math.min(start.line + row, document.lineCount - 1);
    return [...lenses, ...ofHunks.map((hunk, index) => hunkLens(lineOf(hunk), index))];
  }

  dispose(): void {
    this.discard();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private async attempt(session: Session): Promise<void> {
    const token = (session.token = `rewrite-${++this.numAttempts}`);
    session.stop = new vscode.CancellationTokenSource();
    session.isReady = false;
    const progress = (session.progress = new Progress(() => this.discard()));
    session.block = "";
    delete session.text;
    delete session.warning;
    noteStart(session);
    this.changed();
    try {
      const client = await this.client.whenRunning(session.stop.token);
      const proposing = propose(client, session, session.stop.token);
      const proposal = await this.client.patiently(proposing);
      if (this.session === session && session.token === token) {
        session.proposals.push(proposal);
        this.showProposal(session, proposal);
      }
    } catch (error) {
      if (this.session === session && session.token === token) {
        const last = session.proposals.at(-1);
        if (last === undefined) {
          this.end();
        } else {
          this.showProposal(session, last);
        }
        const said = error instanceof Error ? error.message : String(error);
        const why = this.client.language ? said : "the server is not running";
        await vscode.window.showWarningMessage(`dg-lsp: ${why}`);
      }
    } finally {
      progress.dispose();
    }
  }

  private showProposal(session: Session, { text, warning }: Proposal): void {
    session.text = text;
    session.warning = warning;
    session.confidence = [[1, text.length]];
    session.isReady = true;
    this.changed();
    this.comparison.update(session.document.uri, sidesOf(session));
  }

  private take(draft: Draft): void {
    const session = this.session;
    if (session && !session.isReady && draft.token === session.token) {
      const drawn = withPlaceholders(draft.text, draft.confidence, draft.masked ?? []);
      session.text = drawn.text;
      session.confidence = drawn.confidence;
      session.progress?.show(draft);
      const block = draft.blocks > 1 ? ` ${draft.block}/${draft.blocks}` : "";
      if (block !== session.block) {
        session.block = block;
        this.lensesChanged.fire();
      }
      this.draw();
    }
  }

  private follow(event: vscode.TextDocumentChangeEvent): void {
    const session = this.session;
    if (!session || event.document !== session.document || event.contentChanges.length === 0) {
      return;
    }
    const { document, contentChanges } = event;
    const inner = stretched(session.span, contentChanges);
    const now = inner && document.getText(rangeOf({ document, span: inner }));
    // Accepting a change, or undoing that, leads from one known text to another.
    const isKnown = now !== undefined && !session.isTaken && session.olds.has(now);
    const span = isKnown ? inner : followed(session.span, contentChanges);
    if (span === undefined) {
      this.discard();
      if (!session.isTaken) {
        vscode.window.setStatusBarMessage(
          "dg-lsp: the rewrite was discarded because its text was edited",
          5000,
        );
      }
      return;
    }
    session.span = span;
    session.old = isKnown ? now : session.old;
    noteStart(session);
    this.changed();
    if (isKnown && session.isReady) {
      this.comparison.update(session.document.uri, sidesOf(session));
    }
  }

  private async edit(session: Session, text: string): Promise<void> {
    const edit = new vscode.WorkspaceEdit();
    edit.replace(session.document.uri, rangeOf(session), text);
    if (!(await vscode.workspace.applyEdit(edit))) {
      void vscode.window.showWarningMessage("dg-lsp: the editor refused to apply the rewrite.");
    }
  }

  private hunkAtCursor(hunks: Hunk[]): Hunk | undefined {
    const line = this.lineInPreview();
    return hunks.find(({ row, numRows }) => line >= row && line < row + numRows);
  }

  private end(): void {
    this.session?.progress?.dispose();
    this.session = undefined;
    this.changed();
    void this.comparison.close();
  }

  private changed(): void {
    this.setContexts();
    this.lensesChanged.fire();
    this.draw();
  }

  /** The keys keep their ordinary meaning unless the cursor is in the preview. */
  private setContexts(): void {
    const session = this.isHere() ? this.session : undefined;
    void vscode.commands.executeCommand("setContext", UNDER_WAY, session !== undefined);
    void vscode.commands.executeCommand("setContext", READY, session?.isReady === true);
  }

  private isHere(): boolean {
    const active = vscode.window.activeTextEditor?.document;
    return this.lineInPreview() >= 0 || this.comparison.shows(active);
  }

  /** The line of the text or its preview that the cursor is in; -1 if it is outside. */
  private lineInPreview(): number {
    const editor = vscode.window.activeTextEditor;
    const { session } = this;
    if (session === undefined || editor?.document !== session.document) {
      return -1;
    }
    const { start, end } = rangeOf(session);
    const isBrushed = end.character === 0 && end.line > start.line;
    const numLines = end.line - start.line + (isBrushed ? 0 : 1);
    const numRows = Math.max(numLines, previewRows(session, editor).length);
    const line = editor.selection.active.line - start.line;
    return line < numRows ? Math.max(-1, line) : -1;
  }

  private draw(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const isShown = this.session?.document === editor.document;
      editor.setDecorations(
        this.decoration,
        this.session && isShown ? previewRows(this.session, editor) : [],
      );
    }
  }
}

function hunksIn({ document, span, old, text, isReady }: Session): Hunk[] {
  return isReady && text !== undefined ? hunksOf(frameOf(document, span), old, text) : [];
}

function noteStart({ document, span, starts }: Session): void {
  starts.set(document.version, document.positionAt(span.start));
}

function sidesOf({ document, span, text = "" }: Session): Sides {
  const before = document.getText();
  return { before, after: before.slice(0, span.start) + text + before.slice(span.end) };
}

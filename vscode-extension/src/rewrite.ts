/**
 * Shows a rewrite before it is applied: draws it over the text that it would replace, as a diff
 * that sharpens with each draft. The document does not change until the user accepts, so accepting
 * is one edit and one undo step, and edits elsewhere in the meantime only move the preview.
 */
import * as vscode from "vscode";
import { SCHEMES, type Client } from "./client";
import { Comparison } from "./compare";
import { unselect } from "./ask";
import { followed, stretched } from "./follow";
import type { Hunk } from "./hunks";
import type { Inserted } from "./inserted";
import { hunkLens, lensesOf } from "./lenses";
import type { Draft } from "./lspExt";
import { previewRows } from "./preview";
import { Progress } from "./progress";
import { propose, rangeOf, type Proposal } from "./proposal";
import {
  accepting,
  beginning,
  hasStrength,
  hunksIn,
  isWhole,
  noteStart,
  sidesOf,
  takeKnown,
  type RewriteSession,
  type Wish,
} from "./rewriteSession";
import { stepOf } from "./steps";
import { turned } from "./strength";

const UNDER_WAY = "dgLsp.rewriting";
const READY = "dgLsp.rewriteReady";
/** The most texts that the server takes. */
const MOST_SHOWN = 256;

export class Rewriting implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly decoration = vscode.window.createTextEditorDecorationType({});
  private readonly comparison = new Comparison();
  private readonly lensesChanged = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.lensesChanged.event;
  private readonly subscriptions: vscode.Disposable[];
  private session: RewriteSession | undefined;
  private numAttempts = 0;

  constructor(
    private readonly client: Client,
    /** Called with a text that has just been accepted, and where it begins. */
    private readonly onAccepted: Inserted["note"] = () => undefined,
  ) {
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
    unselect(wish);
    this.session = beginning(wish);
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
    if (!isWhole(session)) {
      await vscode.window.showWarningMessage("dg-lsp: this step has gaps; accept a later one.");
      return;
    }
    session.isTaken = true;
    const { document, text, at, last } = session;
    const { start } = rangeOf(session);
    const isApplied = await this.edit(session, text);
    if (this.session === session) {
      this.end();
    }
    if (isApplied) {
      const confidence = at === undefined ? last?.proposal.confidence : session.confidence;
      this.onAccepted(document, start, text, confidence ?? []);
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
    // `follow` recognizes this text after the edit.
    await this.edit(session, accepting(session, hunk));
  }

  discard(by?: "key"): void {
    if (this.session !== undefined && (by === undefined || this.isHere())) {
      this.session.stop.cancel();
      this.end();
    }
  }

  /** Makes another attempt, for another text. */
  async retry(): Promise<void> {
    const session = this.session;
    if (!session?.isReady || session.isTaken) {
      return;
    }
    session.shown = [...session.shown, ...session.proposed].slice(-MOST_SHOWN);
    session.proposed.clear();
    session.seed += 1;
    await this.attempt(session);
  }

  /** Turns the strength up (1) or down (-1), for the text that the same seed gives there. */
  async turn(by: 1 | -1): Promise<void> {
    const session = this.session;
    if (session === undefined || session.isTaken || !hasStrength(session)) {
      return;
    }
    const strength = turned(session.strength, by);
    if (strength !== session.strength) {
      session.stop.cancel();
      session.strength = strength;
      await this.attempt(session);
    }
  }

  /** Draws the step after (1) or before (-1) the one that is drawn; the last is the proposal. */
  walk(by: 1 | -1): void {
    const session = this.session;
    const last = session?.last;
    if (!session?.isReady || session.isTaken || last === undefined) {
      return;
    }
    const steps = session.steps.of(session.run);
    const at = Math.max(0, (session.at ?? steps.length) + by);
    const step = steps[at];
    if (step === undefined) {
      this.showProposal(session, last.proposal);
      return;
    }
    delete session.warning;
    session.at = at;
    this.show(session, step.text, step.confidence);
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
    const { isReady, strength, block, at } = session;
    const numSteps = session.steps.of(session.run).length;
    const shown = {
      isReady,
      strength: hasStrength(session) ? strength : undefined,
      progress: block,
      step: at ?? numSteps,
      numSteps,
    };
    const lenses = lensesOf(start, shown, hunks.length);
    const ofHunks = hunks.length > 1 ? hunks : [];
    const lineOf = ({ row }: Hunk) => Math.min(start.line + row, document.lineCount - 1);
    return [...lenses, ...ofHunks.map((hunk, index) => hunkLens(lineOf(hunk), index))];
  }

  dispose(): void {
    this.discard();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private async attempt(session: RewriteSession): Promise<void> {
    const token = (session.token = `rewrite-${++this.numAttempts}`);
    session.stop = new vscode.CancellationTokenSource();
    session.isReady = false;
    const progress = (session.progress = new Progress(() => this.discard()));
    session.block = "";
    session.run = `${session.seed} ${session.strength}`;
    session.steps.begin();
    session.at = undefined;
    delete session.warning;
    noteStart(session);
    this.changed();
    try {
      const client = await this.client.whenRunning(session.stop.token);
      const proposing = propose(client, session, session.stop.token);
      const proposal = await this.client.patiently(proposing);
      if (this.session === session && session.token === token) {
        session.proposed.add(proposal.text);
        session.last = { proposal, strength: session.strength, run: session.run };
        session.steps.finish(session.run, proposal.text);
        this.showProposal(session, proposal);
      }
    } catch (error) {
      if (this.session === session && session.token === token) {
        const { last } = session;
        if (last === undefined) {
          this.end();
        } else {
          session.strength = last.strength;
          session.run = last.run;
          this.showProposal(session, last.proposal);
        }
        const said = error instanceof Error ? error.message : String(error);
        const why = this.client.language ? said : "the server is not running";
        await vscode.window.showWarningMessage(`dg-lsp: ${why}`);
      }
    } finally {
      progress.dispose();
    }
  }

  private showProposal(session: RewriteSession, { text, warning }: Proposal): void {
    session.warning = warning;
    session.at = undefined;
    session.isReady = true;
    this.show(session, text, [[1, text.length]]);
  }

  private show(session: RewriteSession, text: string, confidence: Draft["confidence"]): void {
    session.text = text;
    session.confidence = confidence;
    this.changed();
    this.comparison.update(session.document.uri, sidesOf(session));
  }

  private take(draft: Draft): void {
    const session = this.session;
    if (session && !session.isReady && draft.token === session.token) {
      const step = stepOf(draft);
      session.steps.add(session.run, step);
      session.text = step.text;
      session.confidence = step.confidence;
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
    if (isKnown) {
      takeKnown(session, now);
    }
    noteStart(session);
    this.changed();
    if (isKnown && session.isReady) {
      this.comparison.update(session.document.uri, sidesOf(session));
    }
  }

  private async edit(session: RewriteSession, text: string): Promise<boolean> {
    const edit = new vscode.WorkspaceEdit();
    edit.replace(session.document.uri, rangeOf(session), text);
    const isApplied = await vscode.workspace.applyEdit(edit);
    if (!isApplied) {
      void vscode.window.showWarningMessage("dg-lsp: the editor refused to apply the rewrite.");
    }
    return isApplied;
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

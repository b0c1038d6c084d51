/** A rewrite under way: what the user asked for, the attempts so far, and what is drawn. */
import * as vscode from "vscode";
import type { Sides } from "./compare";
import type { Span } from "./follow";
import type { Holes } from "./holes";
import { hunksOf, movedBy, withHunk, type Hunk } from "./hunks";
import type { Draft } from "./lspExt";
import { frameOf } from "./preview";
import type { Progress } from "./progress";
import type { Proposal } from "./proposal";
import { Steps } from "./steps";
import { USUAL_STRENGTH } from "./strength";

export interface Wish {
  readonly document: vscode.TextDocument;
  readonly range: vscode.Range;
  readonly instruction?: string;
  /** If only these are filled, and the rest of the range stays. */
  readonly holes?: Holes;
  /** What stays of the range; offsets in it. The rest starts from where it is. */
  readonly pinned?: readonly Span[];
}

/** Which parts of a text are written, or stay. */
export type Parts = Pick<Wish, "holes" | "pinned">;

export interface RewriteSession extends Wish {
  /** Where the text to be rewritten is now. */
  span: Span;
  old: string;
  /** All states of the text so far, and what is to be written in each: the original, and with
   * some of the changes accepted. */
  readonly olds: Map<string, Parts>;
  holes?: Holes;
  pinned?: readonly Span[];
  readonly starts: Map<number, vscode.Position>;
  strength: number;
  seed: number;
  /** What attempts with other seeds have proposed. */
  shown: string[];
  /** What attempts with this seed have proposed. */
  proposed: Set<string>;
  /** The last proposal, and the strength that it was made with. */
  last?: { readonly proposal: Proposal; readonly strength: number; readonly run: string };
  token: string;
  /** Stops the current attempt. */
  stop: vscode.CancellationTokenSource;
  /** What is drawn: the last draft or, when `isReady`, the proposal or a step before it. */
  text?: string;
  confidence: Draft["confidence"];
  warning?: string | undefined;
  isReady: boolean;
  /** Whose steps the user can walk through. */
  run: string;
  readonly steps: Steps;
  /** The step that is drawn; none if it is the proposal. */
  at?: number | undefined;
  progress?: Progress;
  /** Which block of a long rewrite is being written. */
  block: string;
  /** Whether it was accepted; it is shown until the document contains it. */
  isTaken: boolean;
}

export function beginning(wish: Wish): RewriteSession {
  const { document, range } = wish;
  const old = document.getText(range);
  return {
    ...wish,
    span: { start: document.offsetAt(range.start), end: document.offsetAt(range.end) },
    old,
    olds: new Map([[old, wish]]),
    starts: new Map(),
    strength: USUAL_STRENGTH,
    seed: 0,
    shown: [],
    proposed: new Set(),
    token: "",
    stop: new vscode.CancellationTokenSource(),
    confidence: [],
    isReady: false,
    run: "",
    steps: new Steps(),
    block: "",
    isTaken: false,
  };
}

export function hunksIn(session: RewriteSession): Hunk[] {
  const { document, span, old, text, isReady } = session;
  const hasHunks = isReady && text !== undefined && isWhole(session);
  return hasHunks ? hunksOf(frameOf(document, span), old, text) : [];
}

/** Accepts one of the changes: the text with it. What it wrote is not written again. */
export function accepting(session: RewriteSession, hunk: Hunk): string {
  const { document, span, old, holes, pinned } = session;
  const frame = frameOf(document, span);
  const lineEnd = document.eol === vscode.EndOfLine.CRLF ? "\r\n" : "\n";
  const text = withHunk(frame, old, hunk, lineEnd);
  const move = (parts: readonly Span[]) => movedBy(frame, old, hunk, lineEnd, parts);
  const parts: { holes?: Holes; pinned?: readonly Span[] } = {};
  if (holes !== undefined) {
    parts.holes = holes === "marks" ? holes : move(holes).parts;
  }
  if (pinned !== undefined) {
    const moved = move(pinned);
    parts.pinned = [...moved.parts, moved.written];
  }
  session.olds.set(text, parts);
  return text;
}

/** Takes a text that is known: one with other changes accepted. */
export function takeKnown(session: RewriteSession, old: string): void {
  const { holes, pinned } = session.olds.get(old) ?? {};
  session.old = old;
  if (holes !== undefined) {
    session.holes = holes;
  }
  if (pinned !== undefined) {
    session.pinned = pinned;
  }
}

/** Whether what is drawn is a text that can be accepted. */
export function isWhole({ steps, run, at }: RewriteSession): boolean {
  return at === undefined || steps.of(run)[at]?.isWhole === true;
}

export function noteStart({ document, span, starts }: RewriteSession): void {
  starts.set(document.version, document.positionAt(span.start));
}

export function sidesOf({ document, span, text = "" }: RewriteSession): Sides {
  const before = document.getText();
  return { before, after: before.slice(0, span.start) + text + before.slice(span.end) };
}

/** Whether more or less of a text can become noise; holes have none, and pinned texts are warm. */
export function hasStrength({ old, holes, pinned }: RewriteSession): boolean {
  return holes === undefined && pinned === undefined && old.trim() !== "";
}

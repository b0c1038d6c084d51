/**
 * Splits a rewrite into its changes, so that each can be accepted separately. Does not import
 * `vscode`.
 */
import { changedLines, linesIn, type Frame } from "./diff";
import type { Span } from "./follow";

/** A run of replaced lines. */
export interface Hunk {
  /** The first row of the diff that belongs to it, and the number of rows. */
  readonly row: number;
  readonly numRows: number;
  /** The removed lines of the framed old text. */
  readonly oldStart: number;
  readonly oldEnd: number;
  /** The added lines. */
  readonly lines: readonly string[];
}

export function hunksOf(frame: Frame, old: string, text: string): Hunk[] {
  const hunks: Hunk[] = [];
  let row = 0;
  let oldStart = 0;
  let hunk: Hunk | undefined;
  for (const { value, added, removed } of changedLines(frame, old, text)) {
    if (added || removed) {
      hunk ??= { row, numRows: 0, oldStart, oldEnd: oldStart, lines: [] };
      hunk = {
        ...hunk,
        numRows: hunk.numRows + value.length,
        oldEnd: hunk.oldEnd + (removed ? value.length : 0),
        lines: added ? [...hunk.lines, ...value] : hunk.lines,
      };
    } else if (hunk !== undefined) {
      hunks.push(hunk);
      hunk = undefined;
    }
    row += value.length;
    oldStart += added ? 0 : value.length;
  }
  return hunk === undefined ? hunks : [...hunks, hunk];
}

export interface Moved {
  /** The parts without the lines that the change replaced. */
  readonly parts: readonly Span[];
  /** The lines that it wrote. */
  readonly written: Span;
}

/** Where parts of the old text are in the text with only this change applied. */
export function movedBy(
  frame: Frame,
  old: string,
  hunk: Hunk,
  lineEnd: string,
  parts: readonly Span[],
): Moved {
  const lines = linesIn(frame, old);
  const length = (some: readonly string[]) =>
    some.reduce((sum, line) => sum + line.length + lineEnd.length, 0);
  const start = length(lines.slice(0, hunk.oldStart)) - frame.before.length;
  const end = start + length(lines.slice(hunk.oldStart, hunk.oldEnd));
  const text = withHunk(frame, old, hunk, lineEnd);
  const moved = text.length - old.length;
  return {
    parts: parts.flatMap((part) => {
      if (part.start >= end) {
        return [{ start: part.start + moved, end: part.end + moved }];
      }
      const from = part.start < start ? part.start : end + moved;
      const to = part.end > end ? part.end + moved : Math.min(part.end, start);
      return part.end < start || from < to ? [{ start: from, end: to }] : [];
    }),
    written: {
      start: Math.max(0, start),
      end: Math.min(start + length(hunk.lines), text.length),
    },
  };
}

/** The old text with only this change applied. */
export function withHunk(frame: Frame, old: string, hunk: Hunk, lineEnd: string): string {
  const lines = linesIn(frame, old);
  lines.splice(hunk.oldStart, hunk.oldEnd - hunk.oldStart, ...hunk.lines);
  const framed = lines.join(lineEnd);
  return framed.slice(frame.before.length, framed.length - frame.after.length);
}

/** Turns a rewrite into the rows of a diff. */
import { diffArrays, type ChangeObject } from "diff";
import type { Confidence } from "./lspExt";
import { rowsOf, type Row, type Run } from "./overlay";

const LINE_END = /\r\n|\r|\n/;
/** A word, or any other character. */
const TOKEN = /[\p{L}\p{M}\p{N}_]+|[^\p{L}\p{M}\p{N}_]/gu;

/** The parts of the first and last line that a rewrite leaves unchanged. */
export interface Frame {
  /** The text before the rewritten range in its first line. */
  readonly before: string;
  /** The text after the rewritten range in its last line. */
  readonly after: string;
}

/** The whole lines that a text is part of. */
export function linesIn({ before, after }: Frame, text: string): string[] {
  return (before + text + after).split(LINE_END);
}

/** Runs of lines that are kept, removed or added, in order. */
export function changedLines(frame: Frame, old: string, text: string): ChangeObject<string[]>[] {
  return diffArrays(linesIn(frame, old), linesIn(frame, text));
}

/**
 * The removed and the added lines, with the confidence of the added ones. If only parts of the text
 * are written, what stays in these lines is set apart.
 */
export function diffRows(
  frame: Frame,
  old: string,
  text: string,
  confidence: Confidence,
  isPartly = false,
): Row[] {
  const newText = frame.before + text + frame.after;
  const said = confidence.reduce((sum, [, length]) => sum + length, 0);
  const shades = rowsOf(newText, [
    [1, frame.before.length],
    ...confidence,
    [0, text.length - said],
    [1, frame.after.length],
  ]);
  const rows: Row[] = [];
  let at = 0;
  const parts = changedLines(frame, old, text);
  parts.forEach((part, index) => {
    const [before, after] = [parts[index - 1], parts[index + 1]];
    // What goes stands before what comes.
    const other = part.removed && after?.added ? after : part.added && before?.removed && before;
    const staying = isPartly && other ? stayingIn(part.value, other.value) : [];
    part.value.forEach((line, number) => {
      const kept = staying[number] ?? [];
      if (part.removed) {
        rows.push({ look: "removed", runs: setApart([{ text: line, probability: 1 }], kept) });
      } else {
        const runs = setApart(shades[at] ?? [], kept);
        rows.push({ look: part.added ? "added" : "same", runs });
        at += 1;
      }
    });
  });
  return rows;
}

/** The pieces of each line; those that the other lines have as well are certain. */
function stayingIn(lines: readonly string[], others: readonly string[]): Run[][] {
  const [text, other] = [lines.join("\n"), others.join("\n")];
  const pieces = diffArrays(other.match(TOKEN) ?? [], text.match(TOKEN) ?? []);
  const runs = pieces
    .filter(({ removed }) => !removed)
    .map(({ added, value }) => [added ? 0 : 1, value.join("").length] as const);
  return rowsOf(text, runs);
}

/** The runs of a line, with the pieces that stay as runs of their own. */
function setApart(runs: readonly Run[], pieces: readonly Run[]): readonly Run[] {
  if (pieces.length === 0) {
    return runs;
  }
  let start = 0;
  return pieces.flatMap(({ text, probability }): Run[] => {
    const from = start;
    start += text.length;
    return probability === 1 ? [{ text, probability, stays: true }] : cut(runs, from, start);
  });
}

/** The part of the runs between two offsets. */
function cut(runs: readonly Run[], from: number, to: number): Run[] {
  let start = 0;
  return runs.flatMap((run) => {
    const text = run.text.slice(Math.max(0, from - start), Math.max(0, to - start));
    start += run.text.length;
    return text === "" ? [] : [{ ...run, text }];
  });
}

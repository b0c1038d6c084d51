/** Turns a rewrite into the rows of a diff. */
import { diffArrays, type ChangeObject } from "diff";
import type { Confidence } from "./lspExt";
import { rowsOf, type Row } from "./overlay";

const LINE_END = /\r\n|\r|\n/;

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

/** The removed and the added lines, with the confidence of the added ones. */
export function diffRows(frame: Frame, old: string, text: string, confidence: Confidence): Row[] {
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
  for (const part of changedLines(frame, old, text)) {
    for (const line of part.value) {
      if (part.removed) {
        rows.push({ look: "removed", runs: [{ text: line, probability: 1 }] });
      } else {
        rows.push({ look: part.added ? "added" : "same", runs: shades[at] ?? [] });
        at += 1;
      }
    }
  }
  return rows;
}

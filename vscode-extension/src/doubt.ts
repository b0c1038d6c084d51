/** Finds the unsure parts of a text, and what was edited in it. Does not import `vscode`. */
import type { Span } from "./follow";
import type { Confidence } from "./lspExt";

/** A part of which the model is less sure than this is unsure. */
const LEAST = 0.5;

const WORD = /[\p{L}\p{M}\p{N}_]/u;

/** The unsure parts, each on one line and without blanks at its ends. */
export function unsureParts(text: string, confidence: Confidence): Span[] {
  const found: { start: number; end: number }[] = [];
  let at = 0;
  for (const [probability, length] of confidence) {
    const last = found.at(-1);
    if (probability < LEAST && last?.end === at) {
      last.end += length;
    } else if (probability < LEAST) {
      found.push({ start: at, end: at + length });
    }
    at += length;
  }
  return found.flatMap(({ start, end }) =>
    [...text.slice(start, end).matchAll(/[^\s](?:[^\n\r]*[^\s])?/g)].map((one) => ({
      start: start + one.index,
      end: start + one.index + one[0].length,
    })),
  );
}

/** The words that were changed since the text was accepted; `undefined` if none was. */
export function edited(accepted: string, now: string): Span | undefined {
  if (accepted === now) {
    return undefined;
  }
  const most = Math.min(accepted.length, now.length);
  let start = 0;
  while (start < most && accepted[start] === now[start]) {
    start += 1;
  }
  let past = 0;
  while (past < most - start && accepted.at(-1 - past) === now.at(-1 - past)) {
    past += 1;
  }
  // An edit within a word is for the whole word.
  const span = stretchedToWords(now, start, now.length - past);
  return now.slice(span.start, span.end).trim() === "" ? undefined : span;
}

/** The word at an offset of a text; `undefined` between others. */
export function wordAt(text: string, at: number): Span | undefined {
  const span = stretchedToWords(text, at, at);
  return span.start < span.end ? span : undefined;
}

function stretchedToWords(text: string, start: number, end: number): Span {
  let [from, to] = [start, end];
  while (from > 0 && WORD.test(text[from - 1] ?? "")) {
    from -= 1;
  }
  while (to < text.length && WORD.test(text[to] ?? "")) {
    to += 1;
  }
  return { start: from, end: to };
}

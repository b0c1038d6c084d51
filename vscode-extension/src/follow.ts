/** Where a range is after the document was edited. Offsets only; knows nothing of `vscode`. */

/** An edit as the editor tells of it: so many characters at the offset were replaced. */
export interface Change {
  readonly rangeOffset: number;
  readonly rangeLength: number;
  readonly text: string;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The span after the edits of one event, or `undefined` where one of them touches it. */
export function followed(span: Span, changes: readonly Change[]): Span | undefined {
  let { start, end } = span;
  // Offsets of one event are those from before it.
  for (const change of changes) {
    const changeEnd = change.rangeOffset + change.rangeLength;
    const moved = change.text.length - change.rangeLength;
    if (changeEnd <= span.start) {
      start += moved;
      end += moved;
    } else if (change.rangeOffset < span.end) {
      return undefined;
    }
  }
  return { start, end };
}

/** The span with what was edited inside it or at its ends; `undefined` where an edit crosses one. */
export function stretched(span: Span, changes: readonly Change[]): Span | undefined {
  let { start, end } = span;
  for (const change of changes) {
    const changeEnd = change.rangeOffset + change.rangeLength;
    const moved = change.text.length - change.rangeLength;
    if (change.rangeOffset >= span.start && changeEnd <= span.end) {
      end += moved;
    } else if (changeEnd < span.start) {
      start += moved;
      end += moved;
    } else if (change.rangeOffset <= span.end) {
      return undefined;
    }
  }
  return { start, end };
}

/** What was typed at a place where a text is drawn, if the event was that and nothing else. */
export function typedAt(
  offset: number,
  drawn: string,
  changes: readonly Change[],
): string | undefined {
  const [change, ...others] = changes;
  if (change === undefined || others.length > 0) {
    return undefined;
  }
  const isTyped = change.rangeLength === 0 && change.rangeOffset === offset;
  return isTyped && change.text !== "" && drawn.startsWith(change.text) ? change.text : undefined;
}

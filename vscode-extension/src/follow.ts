/** Follows a range of offsets while the document is edited. Does not import `vscode`. */

/** An edit as the editor reports it: `rangeLength` characters at the offset were replaced. */
export interface Change {
  readonly rangeOffset: number;
  readonly rangeLength: number;
  readonly text: string;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The span after the edits of one event, or `undefined` if one of them touches it. */
export function followed(span: Span, changes: readonly Change[]): Span | undefined {
  let { start, end } = span;
  // All offsets of an event refer to the text before it.
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

/** The span with the edits inside it or at its ends; `undefined` if an edit crosses an end. */
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

/** The text typed at the start of a drawn text, if the event was nothing else. */
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

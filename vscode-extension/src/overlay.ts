/**
 * Draws text in the editor that is not in the document, with CSS in decorations.
 *
 * VS Code draws one pseudo-element per decoration, in one colour. A gradient with a hard stop after
 * each run of characters paints the text, so that less certain runs are fainter. A line that is not
 * in the document is drawn over one that is. Does not import `vscode`.
 */
import type { Confidence, Masked } from "./lspExt";

export interface Run {
  readonly text: string;
  readonly probability: number;
  /** Whether it is in the document before and after, in a line that changes. */
  readonly stays?: true;
}

export type Look = "ghost" | "same" | "added" | "removed" | "warning";

/** One line of drawn text. */
export interface Row {
  readonly look: Look;
  readonly runs: readonly Run[];
}

/** The properties of `ThemableDecorationAttachmentRenderOptions` that are used. */
export interface Attachment {
  contentText: string;
  /** VS Code copies this into the CSS rule unchanged, so it contains all other properties too. */
  textDecoration: string;
}

const FAINTEST_PERCENT = 25;
const PLACEHOLDER = "·";
/** In place of the probability of a placeholder, which has a colour of its own. */
export const UNDECIDED = -1;
/** `contributes.colors` in package.json. */
const UNDECIDED_COLOR = "var(--vscode-dgLsp-undecidedForeground)";

const COLORS: Record<Look, string> = {
  ghost: "var(--vscode-editorGhostText-foreground)",
  same: "var(--vscode-editor-foreground)",
  added: "var(--vscode-editor-foreground)",
  removed: "var(--vscode-descriptionForeground)",
  warning: "var(--vscode-editorWarning-foreground)",
};

const BACKGROUNDS: Partial<Record<Look, string>> = {
  added: "var(--vscode-diffEditor-insertedTextBackground)",
  removed: "var(--vscode-diffEditor-removedTextBackground)",
};

/** The lines of a text, each with its runs of confidence. */
export function rowsOf(text: string, confidence: Confidence): Run[][] {
  const rows: Run[][] = [[]];
  let start = 0;
  for (const [probability, length] of splitRest(text, confidence)) {
    const pieces = text.slice(start, start + length).split(/\r\n|\r|\n/);
    pieces.forEach((piece, index) => {
      if (index > 0) {
        rows.push([]);
      }
      if (piece !== "") {
        rows.at(-1)?.push({ text: piece, probability });
      }
    });
    start += length;
  }
  return rows;
}

/** The runs of a text without its first characters. */
export function withoutStart(confidence: Confidence, length: number): Confidence {
  const left: [number, number][] = [];
  for (const [probability, size] of confidence) {
    const cut = Math.min(size, length);
    length -= cut;
    if (size > cut) {
      left.push([probability, size - cut]);
    }
  }
  return left;
}

/** A draft as it is drawn, never as it is inserted: dots stand for undecided tokens. */
export function withPlaceholders(
  text: string,
  confidence: Confidence,
  masked: Masked,
): { text: string; confidence: Confidence } {
  let drawn = "";
  const runs: (readonly [number, number])[] = [];
  let start = 0;
  let left: Confidence = confidence;
  const copyTo = (end: number) => {
    const rest = withoutStart(left, end - start);
    drawn += text.slice(start, end);
    runs.push(...withoutEnd(left, end - start));
    left = rest;
    start = end;
  };
  for (const [at, width] of masked) {
    copyTo(at);
    drawn += PLACEHOLDER.repeat(width);
    runs.push([UNDECIDED, width]);
  }
  copyTo(text.length);
  return { text: drawn, confidence: runs };
}

/** The runs of the first characters of a text. */
function withoutEnd(confidence: Confidence, length: number): Confidence {
  const kept: [number, number][] = [];
  for (const [probability, size] of confidence) {
    const taken = Math.min(size, length);
    length -= taken;
    if (taken > 0) {
      kept.push([probability, taken]);
    }
  }
  return length > 0 ? [...kept, [0, length]] : kept;
}

/** Text drawn at a position in a line; the text after it moves to the right. */
export function inlineRow(row: Row, tabSize: number, startColumn: number): Attachment {
  const cells = cellsOf(row, tabSize, startColumn);
  return { contentText: cells.text, textDecoration: declare(painted(row.look, cells)) };
}

/** Lines that lie over the document like a card, which has a shadow at its bottom edge. */
export type Edge = "none" | "bottom";

/** A line drawn over a line of the document, or below the last one. */
export function coveringRow(
  row: Row,
  tabSize: number,
  linesBelow: number,
  edge: Edge = "none",
): Attachment {
  const cells = cellsOf(row, tabSize, 0);
  return {
    // VS Code does not draw an empty pseudo-element.
    contentText: cells.text || NO_BREAK_SPACE,
    textDecoration: declare([
      ...painted(row.look, cells, "var(--vscode-editor-background)"),
      ["position", "absolute"],
      ["left", "0"],
      ["top", `${linesBelow}lh`],
      ["height", "1lh"],
      // Wider than any line; the editor clips it.
      ["width", "100vw"],
      ["z-index", "1"],
      ...(edge === "bottom" ? [SHADOW] : []),
    ]),
  };
}

const NO_BREAK_SPACE = "\u00a0";
const SHADOW: Declaration = [
  "box-shadow",
  "inset 0 -1px var(--vscode-editorWidget-border), 0 5px 6px var(--vscode-widget-shadow)",
];

interface Cells {
  text: string;
  /** The end of each run, in columns. */
  ends: { readonly probability: number; readonly stays: boolean; readonly end: number }[];
}

function cellsOf(row: Row, tabSize: number, startColumn: number): Cells {
  let text = "";
  let column = startColumn;
  const ends: Cells["ends"] = [];
  for (const run of row.runs) {
    for (const character of run.text) {
      if (character === "\t") {
        const width = tabSize - (column % tabSize);
        text += NO_BREAK_SPACE.repeat(width);
        column += width;
      } else {
        text += character === " " ? NO_BREAK_SPACE : character;
        column += 1;
      }
    }
    const { probability, stays = false } = run;
    ends.push({ probability, stays, end: column - startColumn });
  }
  return { text, ends };
}

type Declaration = [property: string, value: string];

function painted(look: Look, cells: Cells, ground?: string): Declaration[] {
  const color = COLORS[look];
  const stops: string[] = [];
  let start = 0;
  for (const { probability, end } of cells.ends) {
    const faded = `color-mix(in srgb, ${color} ${percent(probability)}%, transparent)`;
    const shade = probability === UNDECIDED ? UNDECIDED_COLOR : faded;
    stops.push(`${shade} ${start}ch ${end}ch`);
    start = end;
  }
  if (stops.length === 0) {
    stops.push("transparent 0 100%");
  }
  const layers: [image: string, clip: string][] = [
    [`linear-gradient(90deg, ${stops.join(", ")})`, "text"],
  ];
  const isPartly = cells.ends.some(({ stays }) => stays);
  const fill = BACKGROUNDS[look];
  if (fill !== undefined) {
    const parts = isPartly ? `90deg, ${fillStops(cells, fill)}` : `${fill}, ${fill}`;
    layers.push([`linear-gradient(${parts})`, "border-box"]);
  }
  if (ground !== undefined) {
    layers.push([`linear-gradient(${ground}, ${ground})`, "border-box"]);
  }
  const clips = layers.map(([, clip]) => clip).join(", ");
  return [
    ["background-image", layers.map(([image]) => image).join(", ")],
    ["background-clip", clips],
    ["color", "transparent"],
    ["white-space", "pre"],
    // Ghost text is italic, and the switch to it must not be visible.
    ...(look === "ghost" ? [["font-style", "italic"] satisfies Declaration] : []),
    // The line would go through what stays, too.
    ...(look === "removed" && !isPartly
      ? [["text-decoration", `line-through ${color}`] satisfies Declaration]
      : []),
  ];
}

/** A background behind what does not stay. */
function fillStops({ ends }: Cells, fill: string): string {
  let start = 0;
  const stops = ends.map(({ stays, end }) => {
    const stop = `${stays ? "transparent" : fill} ${start}ch ${end}ch`;
    start = end;
    return stop;
  });
  return [...stops, `transparent ${start}ch`].join(", ");
}

/** The opacity of the colour. */
function percent(probability: number): number {
  const sure = Math.min(1, Math.max(0, probability));
  return Math.round(FAINTEST_PERCENT + (100 - FAINTEST_PERCENT) * sure);
}

function declare(declarations: Declaration[]): string {
  return ["none", ...declarations.map(([property, value]) => `${property}: ${value}`)].join("; ");
}

function splitRest(text: string, confidence: Confidence): Confidence {
  const said = confidence.reduce((sum, [, length]) => sum + length, 0);
  return said < text.length ? [...confidence, [0, text.length - said]] : confidence;
}

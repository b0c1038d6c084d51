/**
 * The server's extensions of LSP. Mirrors dg_lsp/server/lsp_ext.py, which
 * docs/lsp-extensions.md describes; a test compares the names.
 */
import type { StaticFeature } from "vscode-languageclient";
import type { Range } from "vscode-languageserver-protocol";

export const DRAFT = "dgLsp/draft";
export const STATUS = "dgLsp/status";

export const INLINE_EDIT = "textDocument/copilotInlineEdit";
export const DID_SHOW_INLINE_EDIT = "textDocument/didShowInlineEdit";

export const COMMAND_ALTERNATIVES = "dg-lsp.alternatives";
export const COMMAND_STATUS = "dg-lsp.status";
export const COMMAND_RESTART_ENGINE = "dg-lsp.restartEngine";
export const COMMAND_UNLOAD_MODEL = "dg-lsp.unloadModel";
export const COMMAND_TRACE = "dg-lsp.trace";
export const COMMAND_ACCEPT_NEXT_EDIT = "dg-lsp.acceptNextEdit";
export const COMMAND_DISMISS_NEXT_EDIT = "dg-lsp.dismissNextEdit";

export const CLIENT_COMMAND_ASK = "dgLsp.askInstruction";

/** What this extension opts into, under `capabilities.experimental.dgLsp`. */
export const CAPABILITIES = {
  drafts: true,
  status: true,
  askInstruction: true,
  doubt: true,
} as const;

/** The language client feature that sends `CAPABILITIES`. */
export const OPT_IN: StaticFeature = {
  fillClientCapabilities: (capabilities) => {
    capabilities.experimental = { ...capabilities.experimental, dgLsp: CAPABILITIES };
  },
  initialize: () => undefined,
  getState: () => ({ kind: "static" }),
  clear: () => undefined,
};

/** Probability and length of each run of characters. */
export type Confidence = readonly (readonly [probability: number, length: number])[];

export type Masked = readonly (readonly [at: number, width: number])[];

export interface Draft {
  token: string | number;
  uri: string;
  version: number | null;
  range: Range;
  text: string;
  confidence: Confidence;
  step: number;
  stepsAllowed: number;
  settled: number;
  /** Which block of a long rewrite is being written, from 1. */
  block: number;
  blocks: number;
  /** Where tokens of `text` are undecided, and about how many characters they take. */
  masked?: Masked;
}

export interface Status {
  busy: boolean;
  kind: "Normal" | "Warning" | "Error" | "Inactive";
  message: string;
  /** The reason code of the message, if it is a reason. */
  code?: string | null;
  model: string;
  device: string;
  memoryBytes: number;
  percent?: number | null;
  followsInstructions?: boolean | null;
}

/** The range of a rewrite and its options; the `data` of a code action, for the resolve request. */
export interface Target {
  uri: string;
  version?: number;
  range: Range;
  /** Parts of the range that are filled, or `true` for its marks; all else stays. */
  holes?: true | Range[];
  pinned?: Range[];
  instruction?: string;
  strength?: number;
  seed?: number;
  shown?: string[];
  token?: string;
}

/** An edit that follows from the user's last one. */
export interface InlineEdit {
  text: string;
  range: Range;
  textDocument: { uri: string; version: number };
  /** To be executed when the user has accepted the edit. */
  command: { title: string; command: string; arguments: unknown[] };
  kind: string;
}

export interface InlineEdits {
  edits: InlineEdit[];
}

/** What else may stand in place of a word. */
export interface Alternatives {
  range: Range | null;
  version: number | null;
  word: string;
  probability: number | null;
  alternatives: { text: string; probability: number }[];
  reason: string | null;
  code: string | null;
}

export interface EngineDone {
  done: boolean;
  reason: string | null;
}

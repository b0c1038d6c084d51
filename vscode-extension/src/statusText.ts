/** The text of the status bar. */
import type { Status } from "./lspExt";

export interface Facts {
  readonly phase: "off" | "starting" | "running" | "failed";
  /** Why the server is not running, or had to be restarted. */
  readonly trouble: string;
  readonly status: Status | undefined;
  /** What the user has paused, if that includes the file in the editor. */
  readonly paused: string | undefined;
  readonly isTrusted: boolean;
}

export interface Shown {
  readonly text: string;
  readonly tooltip: string;
  readonly severity: "normal" | "warning" | "error";
  /** The small bundled model is running, and a larger one would help. */
  readonly isSmall?: boolean;
}

const SMALL_MODEL = "bundled";
const LOADING = "loading";

const RESTRICTED =
  "This folder is not trusted, so it cannot choose the server, the engine or the model.";

export function describe(facts: Facts): Shown {
  const shown = ofServer(facts);
  return facts.isTrusted ? shown : { ...shown, tooltip: `${shown.tooltip}\n${RESTRICTED}` };
}

function ofServer(facts: Facts): Shown {
  const { phase, status } = facts;
  if (phase === "failed") {
    const tooltip = `The server is not running: ${facts.trouble}`;
    return { text: "$(error) dg-lsp", tooltip, severity: "error" };
  }
  if (facts.paused !== undefined) {
    const tooltip = `Paused ${facts.paused}.`;
    return { text: "$(debug-pause) dg-lsp", tooltip, severity: "normal" };
  }
  if (phase === "starting") {
    const again = `The server is being restarted: ${facts.trouble}`;
    const tooltip = facts.trouble === "" ? "The server is starting." : again;
    return { text: "$(loading~spin) dg-lsp", tooltip, severity: "normal" };
  }
  if (phase === "off" || status === undefined) {
    return {
      text: "$(circle-outline) dg-lsp",
      tooltip: "No server is running.",
      severity: "normal",
    };
  }
  return running(status);
}

/** Whether the model is the one that comes with the server. */
export function isSmall(status: Status): boolean {
  return status.model === SMALL_MODEL;
}

function running(status: Status): Shown {
  const percent = status.percent == null ? "" : ` ${status.percent}%`;
  const name = isSmall(status) ? "small model" : baseName(status.model);
  const what = status.code === LOADING ? `loading${percent}` : name;
  const label = what === "" ? "dg-lsp" : `dg-lsp: ${what}`;
  const icons = { Normal: "sparkle", Warning: "warning", Error: "error", Inactive: "circle-slash" };
  const icon = status.busy ? "loading~spin" : icons[status.kind];
  return {
    text: `$(${icon}) ${label}`,
    tooltip: tooltip(status),
    severity: status.kind === "Error" ? "error" : status.kind === "Warning" ? "warning" : "normal",
    isSmall: isSmall(status),
  };
}

function tooltip(status: Status): string {
  const lines: string[] = [];
  if (status.model !== "") {
    lines.push(`Model: ${status.model}`, `Device: ${status.device}`);
  }
  if (status.memoryBytes > 0) {
    lines.push(`Memory: ${(status.memoryBytes / 1024 ** 3).toFixed(1)} GiB`);
  }
  if (isSmall(status)) {
    lines.push("The small model that comes with dg-lsp is only a demonstration.");
  }
  // Of the small model, the server says nothing else without a code.
  if (status.message !== "" && (status.code != null || !isSmall(status))) {
    const inactive = status.kind === "Inactive" ? "No suggestions here: " : "";
    lines.push(`${inactive}${status.message}`);
  }
  return lines.join("\n") || "The model is loaded on the first request.";
}

function baseName(model: string): string {
  return model.split(/[\\/]/).filter(Boolean).at(-1) ?? "";
}

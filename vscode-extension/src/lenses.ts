/** The code lenses above a rewrite: its progress, its strength, its steps, and its actions. */
import * as vscode from "vscode";

export interface Shown {
  readonly isReady: boolean;
  /** None if it has no strength that could be turned. */
  readonly strength: number | undefined;
  /** The progress in words; empty if there is nothing to say. */
  readonly progress: string;
  /** The step that is shown, from 0; the last one is the rewrite itself. */
  readonly step: number;
  /** How many steps before the rewrite can be shown. */
  readonly numSteps: number;
}

/** Titles are short, because VS Code cuts off what does not fit after the indentation. */
export function lensesOf(at: vscode.Position, shown: Shown, numHunks: number): vscode.CodeLens[] {
  const lens = (title: string, command: string, tooltip: string) => {
    const run = { title, command: command && `dgLsp.${command}`, tooltip };
    return new vscode.CodeLens(new vscode.Range(at, at), run);
  };
  const { step, numSteps } = shown;
  const { strength } = shown;
  const percent = strength !== undefined && `${Math.round(strength * 100)}%`;
  const dial = percent
    ? [
        lens(`$(remove) ${percent}`, "rewriteLessFreely", "Change less: start with less noise"),
        lens("$(add)", "rewriteMoreFreely", "Change more: start with more noise"),
      ]
    : [];
  const scrubber = [
    lens(`$(triangle-left) ${step + 1}/${numSteps + 1}`, "rewriteEarlierStep", "An earlier step"),
    ...(step < numSteps ? [lens("$(triangle-right)", "rewriteLaterStep", "A later step")] : []),
  ];
  if (!shown.isReady) {
    return [
      lens(`$(loading~spin) Rewriting${shown.progress}`, "", ""),
      lens("$(close) Stop", "discardRewrite", "Stop rewriting; the text stays as it is"),
      ...dial,
    ];
  }
  return [
    lens(`$(check) Accept${numHunks > 1 ? " All" : ""}`, "acceptRewrite", "Make this rewrite"),
    lens("$(close) Discard", "discardRewrite", "Leave the text as it is"),
    lens("$(diff) Compare", "compareRewrite", "Open the diff editor"),
    lens("$(refresh)", "retryRewrite", "Retry: another attempt, for another text"),
    ...dial,
    ...(numSteps > 0 ? scrubber : []),
  ];
}

/** The lens above each change of a rewrite that has several. */
export function hunkLens(line: number, index: number): vscode.CodeLens {
  const at = new vscode.Range(line, 0, line, 0);
  return new vscode.CodeLens(at, {
    title: "$(check) Accept This Change",
    command: "dgLsp.acceptRewriteChange",
    tooltip: "Make this change alone; the others stay pending",
    arguments: [index],
  });
}

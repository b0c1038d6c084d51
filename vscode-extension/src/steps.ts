/**
 * Keeps the drafts of a rewrite, so that the user can walk back and forth through the steps in
 * which a text came about. Does not import `vscode`.
 */
import type { Confidence, Draft } from "./lspExt";
import { withPlaceholders } from "./overlay";

/** Of all runs together. */
export const MOST_STEPS = 256;
export const MOST_CHARS = 1_000_000;

/** A draft as it is drawn. */
export interface Step {
  readonly text: string;
  readonly confidence: Confidence;
  /** Whether it has no gaps, so that it can be accepted as it is. */
  readonly isWhole: boolean;
}

export function stepOf(draft: Draft): Step {
  const masked = draft.masked ?? [];
  const isWhole = masked.length === 0 && !draft.text.includes("\ufffd");
  return { ...withPlaceholders(draft.text, draft.confidence, masked), isWhole };
}

/** The steps of each run, by the name of the run. The latest run comes last. */
export class Steps {
  private readonly runs = new Map<string, Step[]>();
  private isNew = false;

  /** A run has started. What is kept of an earlier one of that name stays until it has steps. */
  begin(): void {
    this.isNew = true;
  }

  add(run: string, step: Step): void {
    const steps = this.isNew ? [] : this.of(run);
    this.isNew = false;
    this.runs.delete(run);
    this.runs.set(run, [...steps, step]);
    this.limit(run);
  }

  of(run: string): readonly Step[] {
    return this.runs.get(run) ?? [];
  }

  /** The run has ended with this text, which need not be kept as its last step too. */
  finish(run: string, text: string): void {
    const steps = this.of(run);
    if (steps.at(-1)?.text === text) {
      this.runs.set(run, steps.slice(0, -1));
    }
  }

  /** Drops the oldest runs, and of the last one every other step. */
  private limit(last: string): void {
    for (const run of [...this.runs.keys()]) {
      if (this.fits()) {
        return;
      }
      const steps = this.of(run);
      if (run === last) {
        this.runs.set(
          run,
          steps.filter((_, index) => (steps.length - index) % 2 === 1),
        );
      } else {
        this.runs.delete(run);
      }
    }
  }

  private fits(): boolean {
    const all = [...this.runs.values()].flat();
    const numChars = all.reduce((sum, { text }) => sum + text.length, 0);
    return all.length <= MOST_STEPS && numChars <= MOST_CHARS;
  }
}

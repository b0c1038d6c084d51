/** Decides when a server that exited is restarted. */

/** Delay before each restart; a server that exits more often than that is not restarted. */
const PAUSES_MS = [0, 1_000, 5_000, 15_000];
/** Earlier exits no longer count. */
const WITHIN_MS = 180_000;

export class BackOff {
  private starts: number[] = [];

  /** How long to wait before the next start; `undefined` if another start is useless. */
  next(): number | undefined {
    const now = Date.now();
    this.starts = this.starts.filter((time) => now - time < WITHIN_MS);
    const pause = PAUSES_MS[this.starts.length];
    this.starts.push(now);
    return pause;
  }

  reset(): void {
    this.starts = [];
  }
}

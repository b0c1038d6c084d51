/** Decides when a server that exited is restarted. */

/** Delay before each restart; a server that exits more often than that is not restarted. */
const PAUSES_MS = [0, 1_000, 5_000, 15_000];
/** What is longer ago is forgiven. */
const WITHIN_MS = 180_000;

export class BackOff {
  private starts: number[] = [];

  /** How long to wait before another start; `undefined` where that is of no use. */
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

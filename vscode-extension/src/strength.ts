/** The strength of a rewrite: which share of the text starts as noise. */
export const USUAL_STRENGTH = 0.6;
const NOTCH = 0.1;

/** The strength one notch up (1) or down (-1), or the same at the end of the dial. */
export function turned(strength: number, by: 1 | -1): number {
  return Math.min(1, Math.max(NOTCH, Math.round((strength + by * NOTCH) * 100) / 100));
}

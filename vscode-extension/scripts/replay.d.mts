interface Frame {
  atMs: number;
  drafts: string[];
  ghost: string;
}

interface Spell {
  startMs: number;
  endMs: number;
  texts: string[];
  hasSettled: boolean;
  hasKey: boolean;
}

export function keysOf(text: string): string[];
export function spellsOf(frames: Frame[], keyTimes: number[]): Spell[];

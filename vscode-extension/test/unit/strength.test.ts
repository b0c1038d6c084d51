import { expect, test } from "vitest";
import { turned, USUAL_STRENGTH } from "../../src/strength";

test("the dial has ten notches, and stops at both ends", () => {
  const up = [USUAL_STRENGTH];
  const down = [USUAL_STRENGTH];
  for (let turns = 0; turns < 10; turns += 1) {
    up.push(turned(up.at(-1) ?? 0, 1));
    down.push(turned(down.at(-1) ?? 0, -1));
  }
  expect([...new Set(up)]).toEqual([0.6, 0.7, 0.8, 0.9, 1]);
  expect([...new Set(down)]).toEqual([0.6, 0.5, 0.4, 0.3, 0.2, 0.1]);
});

import { expect, test } from "vitest";
import { withoutOwn } from "../../src/section";

test("the server is not sent what it does not know", () => {
  const section = { enable: true, server: { path: "/x" }, drafts: { show: "on" }, context: {} };
  expect(withoutOwn(section)).toEqual({ enable: true, context: {} });
});

test.each([undefined, null, "wrong", 3, ["a"]])("what is not a section is passed on: %j", (raw) => {
  expect(withoutOwn(raw)).toBe(raw);
});

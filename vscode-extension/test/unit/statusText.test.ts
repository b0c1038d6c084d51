import { describe, expect, test } from "vitest";
import type { Status } from "../../src/lspExt";
import { describe as shown, type Facts } from "../../src/statusText";

const STATUS: Status = {
  busy: false,
  kind: "Normal",
  message: "",
  model: "/models/diffusiongemma-26B",
  device: "cuda:0",
  memoryBytes: 18 * 1024 ** 3,
};
const RUNNING: Facts = {
  phase: "running",
  trouble: "",
  status: STATUS,
  paused: undefined,
  isTrusted: true,
};

function check(status: Partial<Status>): ReturnType<typeof shown> {
  return shown({ ...RUNNING, status: { ...STATUS, ...status } });
}

test("the model, the device and its memory", () => {
  expect(check({})).toEqual({
    text: "$(sparkle) dg-lsp: diffusiongemma-26B",
    tooltip: "Model: /models/diffusiongemma-26B\nDevice: cuda:0\nMemory: 18.0 GiB",
    severity: "normal",
    isSmall: false,
  });
  expect(check({ model: "C:\\models\\big", device: "cpu" }).text).toContain("dg-lsp: big");
});

test("the small model is named as what it is", () => {
  const { text, tooltip, isSmall } = check({ model: "bundled", device: "cpu", memoryBytes: 0 });
  expect(text).toBe("$(sparkle) dg-lsp: small model");
  expect(tooltip).toContain("only a demonstration");
  expect(isSmall).toBe(true);
});

describe("work", () => {
  test("at a request", () => {
    expect(check({ busy: true }).text).toBe("$(loading~spin) dg-lsp: diffusiongemma-26B");
  });

  test("at loading, with percent where they are known", () => {
    const loading = { busy: true, code: "loading", message: "", model: "", device: "" };
    expect(check(loading).text).toBe("$(loading~spin) dg-lsp: loading");
    expect(check({ ...loading, percent: 43 }).text).toBe("$(loading~spin) dg-lsp: loading 43%");
  });
});

test.each([
  ["Warning", "warning", "out of memory"],
  ["Error", "error", "there is no GPU"],
  ["Inactive", "normal", "looks like secrets"],
] as const)("%s", (kind, severity, message) => {
  const said = check({ kind, message });
  expect(said.severity).toBe(severity);
  expect(said.tooltip).toContain(message);
});

test("nothing is loaded yet", () => {
  expect(check({ model: "", device: "", memoryBytes: 0 }).text).toBe("$(sparkle) dg-lsp");
});

test("paused, and no server", () => {
  expect(shown({ ...RUNNING, paused: "for python" }).tooltip).toBe("Paused for python.");
  const failed = shown({ ...RUNNING, phase: "failed", trouble: "no such file" });
  expect(failed).toMatchObject({ text: "$(error) dg-lsp", severity: "error" });
  expect(failed.tooltip).toContain("no such file");
  expect(shown({ ...RUNNING, phase: "starting" }).text).toContain("spin");
  expect(shown({ ...RUNNING, phase: "off" }).tooltip).toBe("No server is running.");
});

test("a server that is started again says why", () => {
  const first = shown({ ...RUNNING, phase: "starting" });
  expect(first.tooltip).toBe("The server is starting.");
  const again = shown({ ...RUNNING, phase: "starting", trouble: "it stopped answering" });
  expect(again.tooltip).toBe("The server is being restarted: it stopped answering");
});

test("a folder that is not trusted is told of, with all the rest", () => {
  const { text, tooltip } = shown({ ...RUNNING, isTrusted: false });
  expect(text).toBe("$(sparkle) dg-lsp: diffusiongemma-26B");
  expect(tooltip).toMatch(/^Model: .*\n(.*\n)*This folder is not trusted, /);
});

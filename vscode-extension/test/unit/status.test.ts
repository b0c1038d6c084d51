import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as vscode from "vscode";
import { StatusItem } from "../../src/status";
import { programs, programsDo, until } from "./fake/server";
import { Session } from "./fake/session";
import { workbench, type StatusBarItem } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

const RUNNING = {
  busy: false,
  kind: "Normal",
  message: "",
  model: "bundled",
  device: "cpu",
  memoryBytes: 0,
} as const;

let session: Session;
let status: StatusItem;
let item: StatusBarItem;

beforeEach(() => {
  session = new Session();
  status = new StatusItem(session.client);
  item = workbench.statusBar[0] as StatusBarItem;
  workbench.open("");
});

afterEach(async () => {
  await session.client.stop();
  status.dispose();
});

describe("the item", () => {
  test("is there from the start, and opens the menu", () => {
    expect(item).toMatchObject({ isVisible: true, command: "dgLsp.showMenu" });
    expect(item.text).toBe("$(loading~spin) dg-lsp");
  });

  test("goes along with the server", async () => {
    await session.start();
    expect(item.text).toBe("$(circle-outline) dg-lsp");
    await session.status({ ...RUNNING, busy: true, code: "loading", percent: 40 });
    expect(item.text).toBe("$(loading~spin) dg-lsp: loading 40%");
    await session.status(RUNNING);
    expect(item.text).toBe("$(sparkle) dg-lsp: small model");
    programsDo((program) => {
      program.say("no module torch");
      program.end(1);
    });
    session.server.program.end(1);
    await until(() => item.text === "$(loading~spin) dg-lsp");
    await until(() => item.text === "$(error) dg-lsp");
    expect(item.tooltip).toContain("no module torch");
    expect(programs).toHaveLength(1);
  });

  test("forgets what a server said that is gone", async () => {
    await session.start();
    await session.status(RUNNING);
    await session.client.stop();
    expect(item.text).toBe("$(circle-outline) dg-lsp");
    expect(status.said).toBeUndefined();
  });

  test.each([
    ["Error", "statusBarItem.errorBackground"],
    ["Warning", "statusBarItem.warningBackground"],
    ["Normal", undefined],
    ["Inactive", undefined],
  ] as const)("has the colour of %s", async (kind, color) => {
    await session.start();
    await session.status({ ...RUNNING, kind, message: "why" });
    expect(item.backgroundColor).toEqual(color && new vscode.ThemeColor(color));
  });
});

describe("pausing", () => {
  beforeEach(async () => {
    await session.start();
    await session.status(RUNNING);
  });

  test("in a file holds for that file", () => {
    const here = workbench.active;
    status.toggleFile();
    expect(item.tooltip).toContain("Paused in this file");
    const other = workbench.open("", "/work/b.py");
    expect(item.tooltip).not.toContain("Paused");
    expect(status.isPaused(other.document)).toBe(false);
    workbench.focus(here);
    expect(item.tooltip).toContain("Paused in this file");
    status.toggleFile();
    expect(item.tooltip).not.toContain("Paused");
  });

  test("for a language is a setting, beside those for others", async () => {
    workbench.settings.set("dgLsp.languages", { lua: false });
    await status.toggleLanguage();
    expect(workbench.settings.get("dgLsp.languages")).toEqual({
      "*": true,
      lua: false,
      python: false,
    });
    expect(item.tooltip).toContain("Paused for python");
    await status.toggleLanguage();
    expect(item.tooltip).not.toContain("Paused");
  });

  test("everywhere is a setting, of the workspace where that has one", async () => {
    await status.toggleEverywhere();
    expect(item.tooltip).toContain("Paused everywhere");
    workbench.settings.set("dgLsp.enable", true, "workspace");
    expect(item.tooltip).not.toContain("Paused");
    await status.toggleEverywhere();
    expect(item.tooltip).toContain("Paused everywhere");
    workbench.settings.set("dgLsp.enable", undefined, "workspace");
    expect(item.tooltip, "the user's own is as it was").toContain("Paused everywhere");
    await status.toggleEverywhere();
    expect(workbench.settings.get("dgLsp.enable")).toBe(true);
  });

  test("without an editor does no harm", async () => {
    workbench.focus(undefined);
    status.toggleFile();
    await status.toggleLanguage();
    expect(item.tooltip).not.toContain("Paused");
  });
});

describe("the menu", () => {
  async function entries(): Promise<readonly string[]> {
    void status.showMenu();
    await until(() => workbench.questions.length > 0);
    return workbench.question.choices.map((one) => one.replace(/^\$\(.*?\) /, ""));
  }

  test("offers to pause, and what is done now and then", async () => {
    expect(await entries()).toEqual([
      "Pause in this file",
      "Pause for python",
      "Pause everywhere",
      "Rewrite the selection…",
      "Restart the server",
      "Choose the server…",
      "Restart the engine, for all windows",
      "Unload the model",
      "Get or choose a model…",
      "Doctor's report",
      "Trace of this file's last request",
      "Report an issue…",
      "Log",
      "Settings",
      "Walkthrough",
    ]);
  });

  test("leads to a model that helps where the small one runs, and so does the item", async () => {
    await session.start();
    await session.status(RUNNING);
    expect((await entries())[0]).toBe("Get a model that helps…");
    expect(workbench.question.choices.filter((one) => /model/.test(one))).toHaveLength(2);
    expect(item.tooltip).toMatchObject({ isTrusted: { enabledCommands: ["dgLsp.getModel"] } });
    expect(item.accessibilityInformation?.label).toMatch(/^dg-lsp: small model, Model: bundled/);
    await session.status({ ...RUNNING, model: "diffusiongemma" });
    expect(typeof item.tooltip).toBe("string");
  });

  test("offers to resume what is paused", async () => {
    status.toggleFile();
    await status.toggleEverywhere();
    expect((await entries()).slice(0, 3)).toEqual([
      "Resume in this file",
      "Pause for python",
      "Resume everywhere",
    ]);
  });

  test("has no file to pause where none is open", async () => {
    workbench.focus(undefined);
    expect((await entries())[0]).toBe("Pause everywhere");
  });

  test("runs what is picked, and nothing where it is left", async () => {
    await entries();
    workbench.question.answer("$(gear) Settings");
    await until(() => workbench.executed.length > 0);
    expect(workbench.executed).toEqual([["dgLsp.openSettings"]]);
    const left = status.showMenu();
    await until(() => workbench.questions.length === 2);
    workbench.question.answer();
    await left;
    expect(workbench.executed).toHaveLength(1);
  });
});

/** The parts together: finding a server, making one, and what the user is told. */
import { mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { registerCommands } from "../../src/commands";
import { Extension } from "../../src/extension";
import { newContext, temporaryDirectory } from "./fake/context";
import { programs, programsDo, programsServe, quiet, Server, until } from "./fake/server";
import { EventEmitter } from "./fake/values";
import { workbench } from "./fake/workbench";
import { URI } from "vscode-uri";

vi.mock("node:child_process", () => import("./fake/server"));

let directory: string;
let extension: Extension;

beforeEach(() => {
  directory = temporaryDirectory();
  vi.stubEnv("PATH", path.join(directory, "bin"));
  programsServe();
  extension = new Extension(newContext(path.join(directory, "storage")));
  extension.context.subscriptions.push(...registerCommands(extension));
});

afterEach(async () => {
  await extension.client.stop();
  extension.dispose();
  vi.unstubAllEnvs();
});

/** A file below the directory of the test. */
function file(...names: string[]): string {
  const made = path.join(directory, ...names);
  mkdirSync(path.dirname(made), { recursive: true });
  writeFileSync(made, "");
  return made;
}

const started = () => programs.map((one) => one.command);

/** The Python extension, with an environment selected. */
function python(): { select(interpreter: string): void } {
  let selected: string;
  const changed = new EventEmitter<unknown>();
  const environments = {
    getActiveEnvironmentPath: () => ({ path: selected }),
    resolveEnvironment: async () => ({ executable: { uri: URI.file(selected) } }),
    onDidChangeActiveEnvironmentPath: changed.event,
  };
  workbench.extensions.set("ms-python.python", { activate: async () => ({ environments }) });
  return {
    select: (interpreter) => {
      selected = interpreter;
      changed.fire(undefined);
    },
  };
}

describe("the server is found", () => {
  test("in the setting, the Python environment, the PATH, and its own environment, in this order", async () => {
    const own = file("storage", "server", "bin", "dg-lsp");
    await extension.start();
    const onPath = file("bin", "dg-lsp");
    await extension.start();
    const inEnvironment = file("venv", "bin", "dg-lsp");
    python().select(path.join(directory, "venv", "bin", "python"));
    await extension.start();
    const set = file("set", "dg-lsp");
    workbench.settings.set("dgLsp.server.path", set);
    await extension.start();
    expect(new Set(started())).toEqual(new Set([own, onPath, inEnvironment, set]));
    expect(started().slice(0, 4)).toEqual([own, onPath, inEnvironment, set]);
  });

  test("beside the interpreter of the settings, where there is no Python extension", async () => {
    workbench.folders = [{ uri: URI.file(directory), name: "here", index: 0 }];
    const server = file("venv", "bin", "dg-lsp");
    workbench.settings.set("python.defaultInterpreterPath", "${workspaceFolder}/venv/bin/python");
    await until(() => extension.client.phase === "running");
    expect(started()).toEqual([server]);
  });

  test("not in the environment of a folder that is not trusted, until it is", async () => {
    python().select(path.join(directory, "venv", "bin", "python"));
    const inEnvironment = file("venv", "bin", "dg-lsp");
    const onPath = file("bin", "dg-lsp");
    workbench.isTrusted = false;
    await extension.start();
    expect(started()).toEqual([onPath]);
    workbench.isTrusted = true;
    workbench.trusted.fire();
    await until(() => started().length === 2);
    expect(started()[1]).toBe(inEnvironment);
  });

  test("although the Python extension fails", async () => {
    const onPath = file("bin", "dg-lsp");
    workbench.extensions.set("ms-python.python", {
      activate: () => Promise.reject(new Error("no Python")),
    });
    await extension.start();
    expect(started()).toEqual([onPath]);
  });

  test("anew when the setting changes", async () => {
    file("bin", "dg-lsp");
    await extension.start();
    const set = file("set", "dg-lsp");
    workbench.settings.set("dgLsp.server.path", set);
    await until(() => extension.client.phase === "running" && started().at(-1) === set);
    await until(() => programs[0]?.isRunning === false);
  });
});

test("another Python environment with a server of its own is used when it is selected", async () => {
  const environments = python();
  environments.select(path.join(directory, "one", "bin", "python"));
  const second = new Extension(newContext(path.join(directory, "other")));
  const one = file("one", "bin", "dg-lsp");
  await second.start();
  environments.select(path.join(directory, "none", "bin", "python"));
  await quiet();
  expect(started(), "what runs goes on where there is no other").toEqual([one]);
  environments.select(path.join(directory, "one", "bin", "python"));
  await quiet();
  expect(started(), "and where it is the same").toEqual([one]);
  const two = file("two", "bin", "dg-lsp");
  environments.select(path.join(directory, "two", "bin", "python"));
  await until(() => started().length === 2);
  expect(started()[1]).toBe(two);
  await until(() => second.client.phase === "running");
  await second.client.stop();
  second.dispose();
});

describe("without a server", () => {
  test("there is a message with the ways out, and the status says so", async () => {
    await extension.start();
    expect(workbench.question).toMatchObject({
      kind: "error",
      text: expect.stringContaining("neither in the selected Python environment nor on the PATH"),
      choices: ["Install dg-lsp", "Choose File…", "Open Settings"],
    });
    expect(workbench.statusBar[0]?.text).toBe("$(error) dg-lsp");
    workbench.question.answer("Open Settings");
    await until(() => workbench.executed.length > 0);
    expect(workbench.executed).toEqual([["workbench.action.openSettings", "dgLsp.server"]]);
  });

  test("a file that the user picks is set and started", async () => {
    await extension.start();
    workbench.question.answer("Choose File…");
    await until(() => workbench.question.kind === "file");
    const picked = file("picked", "dg-lsp");
    workbench.question.answer(picked);
    await until(() => extension.client.phase === "running");
    expect(started()).toEqual([picked]);
    expect(workbench.settings.get("dgLsp.server.path")).toBe(picked);
  });

  test("a path that is set and names nothing offers no installation", async () => {
    workbench.settings.set("dgLsp.server.path", "/not/there/dg-lsp");
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toContain("/not/there/dg-lsp, which is not a file");
    expect(workbench.question.choices).not.toContain("Install dg-lsp");
  });

  test("one click installs it, shows the progress and starts it", async () => {
    programsDo((program) => {
      const [verb, , , , requirement] = program.options;
      if (verb === "serve") {
        new Server(program);
        return;
      }
      if (verb === "pip") {
        program.say(`Installed ${requirement}`);
        file("storage", "server", "bin", "dg-lsp");
      }
      program.end(0);
    });
    await extension.start();
    workbench.question.answer("Install dg-lsp");
    await until(() => extension.client.phase === "running");
    expect(started().at(-1)).toBe(path.join(directory, "storage", "server", "bin", "dg-lsp"));
    expect(workbench.work[0]?.title).toBe("Installing dg-lsp");
    expect(workbench.work[0]?.messages).toContain("Installed dg-lsp==0.1.0");
    expect(new Set(programs.map((one) => one.cwd))).toEqual(new Set([homedir()]));
  });

  test("an installation that fails says why, and may be looked at", async () => {
    programsDo((program) => {
      program.say("No matching distribution found");
      program.end(program.options[0] === "pip" ? 1 : 0);
    });
    await extension.start();
    workbench.question.answer("Install dg-lsp");
    await until(() => workbench.questions.length === 2);
    expect(workbench.question.text).toBe(
      "dg-lsp could not be installed: No matching distribution found",
    );
    workbench.question.answer("Show Log");
    await until(() => workbench.executed.length > 0);
    expect(workbench.executed).toEqual([["log.show"]]);
    expect(extension.client.phase).toBe("failed");
  });
});

describe("installing where a server runs", () => {
  beforeEach(async () => {
    file("storage", "server", "bin", "dg-lsp");
    await extension.start();
  });

  test("ends it first, and starts the new one", async () => {
    const [before] = programs;
    programsDo((program) => {
      if (program.options[0] === "serve") {
        new Server(program);
        return;
      }
      expect(before?.isRunning).toBe(false);
      file("storage", "server", "bin", "dg-lsp");
      program.end(0);
    });
    await workbench.execute("dgLsp.installServer");
    expect(extension.client.phase).toBe("running");
    expect(programs.at(-1)?.options).toEqual(["serve"]);
  });

  test("can be stopped without a word of failure, and then there is nothing to run", async () => {
    programsDo((program) => {
      if (program.options[0] === "pip") {
        workbench.work[0]?.cancel.cancel();
      } else {
        program.end(0);
      }
    });
    void workbench.execute("dgLsp.installServer");
    await until(() => workbench.questions.length === 1);
    expect(workbench.questions.map((one) => one.text)).toEqual([
      expect.stringContaining("neither in the selected"),
    ]);
    expect(workbench.log.join("\n")).toContain("installing was cancelled");
  });
});

describe("a server that does not run", () => {
  beforeEach(async () => {
    file("bin", "dg-lsp");
    programsDo((program) => {
      program.say("no module torch");
      program.end(1);
    });
    await extension.start();
    await until(() => workbench.questions.length === 1);
  });

  test("is named once, with its reason and buttons", () => {
    expect(workbench.questions).toHaveLength(1);
    expect(workbench.question.text).toBe(
      `The language server ${path.join(directory, "bin", "dg-lsp")} does not run: no module torch`,
    );
    expect(workbench.question.choices).toEqual(["Try Again", "Show Log", "Open Settings"]);
  });

  test("is tried again", async () => {
    programsServe();
    workbench.question.answer("Try Again");
    await until(() => extension.client.phase === "running");
    expect(workbench.statusBar[0]?.text).not.toContain("error");
  });

  test("has its log and its settings", async () => {
    workbench.question.answer("Show Log");
    await quiet();
    expect(workbench.executed).toEqual([["log.show"]]);
  });
});

test("a server that hangs at its start is not waited for when another is wanted", async () => {
  file("bin", "dg-lsp");
  programsDo(() => undefined);
  void extension.start();
  await until(() => programs.length === 1);
  const [hanging] = programs;
  const servers: Server[] = [];
  programsDo((program) => servers.push(new Server(program)));
  await extension.start();
  expect(hanging?.wasKilled).toBe(true);
  expect(extension.client.phase).toBe("running");
  expect(servers).toHaveLength(1);
});

test("asked several times at once, one server is left", async () => {
  file("bin", "dg-lsp");
  await Promise.all([extension.start(), extension.start(), extension.start()]);
  await until(() => programs.filter((one) => one.isRunning).length === 1);
  expect(extension.client.phase).toBe("running");
});

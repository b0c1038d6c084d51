/** The parts together: finding a server, making one, and what the user is told. */
import { mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { registerCommands } from "../../src/commands";
import manifest from "../../package.json";
import { Extension } from "../../src/extension";
import { newContext, temporaryDirectory } from "./fake/context";
import {
  programs,
  programsDo,
  programsServe,
  quiet,
  Server,
  until,
  type Program,
} from "./fake/server";
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

/** The servers that were started, in order. */
const started = () =>
  programs.filter((one) => one.options[0] === "serve").map((one) => one.command);

/** As if the extension had installed a server. */
function own(version = manifest.version): string {
  const command = file("storage", "server", "1", "bin", "dg-lsp");
  writeFileSync(
    path.join(directory, "storage", "server", "installed.json"),
    JSON.stringify({ command, version }),
  );
  return command;
}

/** Programs as they are where there is a Python; `pip` says what its installations do. */
function pythonWorks(pip: (program: Program) => void = (program) => program.end(0)): void {
  file("bin", "python3");
  programsDo((program) => {
    const [first, second, third] = program.options;
    if (first === "serve") {
      new Server(program);
    } else if (first === "-L") {
      program.refuse("ENOENT");
    } else if (second === "pip" && third === "install") {
      pip(program);
    } else if (first === "-I") {
      const probed = { version: [3, 12, 1], implementation: "cpython", bits: 64 };
      const modules = { venv: true, ensurepip: true, debian: true };
      program.stdout.write(`${JSON.stringify({ ...probed, ...modules })}\n`);
      program.end(0);
    } else {
      if (first === "--version") {
        file(path.relative(directory, program.command));
      }
      program.end(0);
    }
  });
}

async function install(choose: string): Promise<void> {
  await until(() => workbench.questions.at(-1)?.kind === "pick");
  workbench.question.answer(choose);
}

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
    const installed = own();
    await extension.start();
    const onPath = file("bin", "dg-lsp");
    await extension.start();
    const inEnvironment = file("venv", "bin", "dg-lsp");
    python().select(path.join(directory, "venv", "bin", "python"));
    await extension.start();
    const set = file("set", "dg-lsp");
    workbench.settings.set("dgLsp.server.path", set);
    await extension.start();
    expect(new Set(started())).toEqual(new Set([installed, onPath, inEnvironment, set]));
    expect(started().slice(0, 4)).toEqual([installed, onPath, inEnvironment, set]);
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
      choices: ["Install dg-lsp", "Choose…", "Open Settings"],
    });
    expect(workbench.statusBar[0]?.text).toBe("$(error) dg-lsp");
    workbench.question.answer("Open Settings");
    await until(() => workbench.executed.length > 0);
    expect(workbench.executed).toEqual([["workbench.action.openSettings", "dgLsp.server"]]);
  });

  test("a file that the user picks is set and started", async () => {
    pythonWorks();
    await extension.start();
    workbench.question.answer("Choose…");
    await install("$(folder-opened) Browse…");
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

  test("it is installed from the wheel of the extension, with progress, and started", async () => {
    const wheel = file("storage", "dist", "wheel", "dg_lsp-1.0-py3-none-any.whl");
    const installations: string[][] = [];
    pythonWorks((program) => {
      installations.push([...program.options].slice(3));
      program.say("Downloading https://somewhere/torch-2.9.whl (180 MB)");
      program.end(0);
    });
    await extension.start();
    workbench.question.answer("Install dg-lsp");
    await install("For the CPU");
    await until(() => extension.client.phase === "running");
    expect(started().at(-1)).toMatch(`${path.join(directory, "storage", "server")}${path.sep}`);
    const [torch, server] = installations;
    expect(torch).toContain("https://download.pytorch.org/whl/cpu");
    expect(server).toContain(wheel);
    const work = workbench.work.find((one) => one.title === "Installing dg-lsp");
    expect(work?.messages).toContain("Downloading torch-2.9.whl (180 MB)");
    expect(new Set(programs.map((one) => one.cwd))).toEqual(new Set([homedir()]));
  });

  test("the build for a GPU brings what a GPU needs", async () => {
    workbench.settings.set("dgLsp.server.installFrom", "dg-lsp==9");
    const installations: string[] = [];
    pythonWorks((program) => {
      installations.push(program.options.join(" "));
      program.end(0);
    });
    await extension.start();
    workbench.question.answer("Install dg-lsp");
    await install("For an NVIDIA GPU");
    await until(() => extension.client.phase === "running");
    expect(installations).toEqual([expect.stringMatching(/dg-lsp\[cuda\]==9$/)]);
  });

  test("an installation that fails says why, and may be looked at", async () => {
    workbench.settings.set("dgLsp.server.installFrom", "dg-lsp==9");
    pythonWorks((program) => {
      program.say("No matching distribution found");
      program.end(1);
    });
    await extension.start();
    workbench.question.answer("Install dg-lsp");
    await install("For the CPU");
    await until(() => workbench.questions.at(-1)?.kind === "error");
    expect(workbench.question.text).toMatch(
      /^dg-lsp could not be installed: PyTorch .*: No matching distribution found$/,
    );
    workbench.question.answer("Show Log");
    await until(() => workbench.executed.length > 0);
    expect(workbench.executed).toEqual([["log.show"]]);
    expect(extension.client.phase).toBe("failed");
  });

  test("without a Python that will do, each is named with what it lacks, and the remedy", async () => {
    workbench.settings.set("dgLsp.server.installFrom", "dg-lsp==9");
    file("bin", "python3");
    programsDo((program) => {
      const probed = { version: [3, 12, 1], implementation: "cpython", bits: 64 };
      const modules = { venv: true, ensurepip: false, debian: true };
      program.stdout.write(`${JSON.stringify({ ...probed, ...modules })}\n`);
      program.end(program.options[0] === "-I" ? 0 : 1);
    });
    await extension.start();
    workbench.question.answer("Install dg-lsp");
    await until(() => workbench.questions.length === 2);
    expect(workbench.question.text).toContain(": its module ensurepip is not installed");
    workbench.question.answer('Copy "sudo apt install python3.12-venv"');
    await until(() => workbench.copied.length > 0);
    expect(workbench.copied).toEqual(["sudo apt install python3.12-venv"]);
  });

  test("an extension with no server in it says so", async () => {
    await extension.start();
    workbench.question.answer("Install dg-lsp");
    await until(() => workbench.questions.length === 2);
    expect(workbench.question.text).toMatch(/carries no server/);
  });
});

describe("installing where a server runs", () => {
  beforeEach(async () => {
    workbench.settings.set("dgLsp.server.installFrom", "dg-lsp==9");
    own();
    await extension.start();
  });

  test("keeps it until the new one is there", async () => {
    const [before] = programs;
    pythonWorks((program) => {
      expect(before?.isRunning).toBe(true);
      program.end(0);
    });
    void workbench.execute("dgLsp.installServer");
    await install("For the CPU");
    await until(() => started().length === 1 && extension.client.phase === "running");
    expect(before?.isRunning).toBe(false);
  });

  test("can be stopped without a word, and then the one before runs on", async () => {
    const [before] = programs;
    pythonWorks(() => workbench.work.at(-1)?.cancel.cancel());
    const done = workbench.execute("dgLsp.installServer");
    await install("For the CPU");
    await done;
    expect(before?.isRunning).toBe(true);
    expect(workbench.questions).toHaveLength(1);
    expect(workbench.log.join("\n")).toContain("installing was cancelled");
  });

  test("and what is left before it begins is nothing", async () => {
    pythonWorks();
    const done = workbench.execute("dgLsp.installServer");
    await until(() => workbench.questions.length === 1);
    workbench.question.answer();
    await done;
    expect(programs.some((one) => one.options.includes("venv"))).toBe(false);
  });
});

test("a server that an older extension has installed is offered anew, once", async () => {
  workbench.settings.set("dgLsp.server.installFrom", "dg-lsp==9");
  own("0.0.1");
  await extension.start();
  await until(() => workbench.questions.length === 1);
  expect(workbench.question.text).toContain("dg-lsp 0.0.1 is installed");
  expect(workbench.question.choices).toEqual(["Update"]);
  workbench.question.answer();
  await extension.start();
  await quiet();
  expect(workbench.questions, "it is said once").toHaveLength(1);
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

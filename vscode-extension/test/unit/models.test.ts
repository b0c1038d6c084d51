/** Getting a model: what is said before, how far it is, and what happens then. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { registerCommands } from "../../src/commands";
import { Extension } from "../../src/extension";
import type { Available } from "../../src/models";
import { newContext } from "./fake/context";
import { programs, programsDo, programsServe, until, type Program } from "./fake/server";
import { workbench } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

const REPOSITORY = "google/diffusiongemma-26B-A4B-it";
const ENTRY = "$(cloud-download) DiffusionGemma 26B";
const MODEL: Available = {
  name: "diffusiongemma",
  repository: REPOSITORY,
  about: "DiffusionGemma 26B",
  licence: "apache-2.0",
  licence_url: "https://huggingface.co/google",
  download_bytes: 52e9,
  kept_bytes: 15e9,
  is_here: false,
  is_begun: false,
  is_best: false,
  obstacles: [],
  published: [],
};
const BUNDLED = { name: "bundled", bytes: 12e6, default: true, checksum: "ok" };

const STATUS = {
  busy: false,
  kind: "Normal",
  message: "",
  code: null,
  model: "bundled",
  device: "cpu",
  memoryBytes: 1,
  percent: null,
  followsInstructions: false,
};

let extension: Extension;
let servers: ReturnType<typeof programsServe>;
let told: string[];
let here: object[];
let available: Available[];
let pull: (program: Program) => void;
let look: (program: Program) => void;

beforeEach(async () => {
  here = [BUNDLED];
  available = [MODEL];
  told = [];
  servers = programsServe();
  extension = new Extension(newContext("/nowhere"));
  extension.context.subscriptions.push(...registerCommands(extension));
  await extension.client.start({ command: "/bin/dg-lsp", foundIn: "the PATH" });
  servers[0]?.connection.onRequest("workspace/executeCommand", (params: { command: string }) => {
    told.push(params.command);
    return { done: true, reason: null };
  });
  extension.serverCommand = "/bin/dg-lsp";
  look = (program) => {
    say(program, { event: "found", licence: "gemma", needs_consent: true, missing_bytes: 40e9 });
    program.end(0);
  };
  pull = (program) => {
    say(program, { event: "progress", what: "downloading", done: 13e9, total: 52e9 });
    say(program, { event: "progress", what: "packing", done: 1, total: 1 });
    say(program, { event: "done", name: "diffusiongemma" });
    here = [{ name: "diffusiongemma", bytes: 15e9, default: true, checksum: "ok" }, BUNDLED];
    program.end(0);
  };
  programsDo((program) => {
    const [verb, ...options] = program.options;
    if (verb === "models") {
      const rows = options.includes("--available") ? available : here;
      rows.forEach((row) => say(program, row));
      program.end(0);
    } else if (options.includes("--look")) {
      look(program);
    } else {
      pull(program);
    }
  });
});

afterEach(async () => {
  await extension.client.stop();
  extension.dispose();
});

function say(program: Program, line: object): void {
  program.stdout.write(`${JSON.stringify(line)}\n`);
}

async function asked(kind: string): Promise<void> {
  await until(() => workbench.questions.at(-1)?.kind === kind);
}

async function choose(entry: string): Promise<unknown> {
  const count = workbench.questions.length;
  const done = workbench.execute("dgLsp.getModel");
  await until(() => workbench.questions.length > count);
  workbench.question.answer(entry);
  return done;
}

const pulls = () => programs.filter(({ options }) => options[0] === "pull");

test("the list says size, licence and whether it fits", async () => {
  const published = ["Infilling: 90.8 (a paper)"];
  const other = { ...MODEL, about: "Other", is_begun: true, obstacles: ["No GPU."] };
  available = [{ ...MODEL, published }, other];
  void workbench.execute("dgLsp.getModel");
  await asked("pick");
  const [, first, second, , bundled] = workbench.question.details;
  expect(first).toBe(
    "52.0 GB to download, 15.0 GB on disk afterwards $(check) Fits this machine · Licence: apache-2.0 · Infilling: 90.8 (a paper)",
  );
  expect(second).toMatch(/Partly downloaded; .*\. \$\(warning\) No GPU\./);
  expect(bundled).toMatch(/12 MB, used by default Only a demonstration/);
});

test("the best for this machine is marked", async () => {
  available = [MODEL, { ...MODEL, is_best: true }];
  void workbench.execute("dgLsp.getModel");
  await asked("pick");
  expect(workbench.question.details[2]).toMatch(/The best that fits this machine/);
});

describe("a user of the bundled model is told", () => {
  beforeEach(() => {
    available = [MODEL, { ...MODEL, about: "DreamOn 7B: infills", is_best: true }];
  });

  const status = (changes: object = {}) =>
    servers[0]?.connection.sendNotification("dgLsp/status", { ...STATUS, ...changes });

  test("once what this machine could run, and gets it", async () => {
    await status({ busy: true });
    await status();
    await asked("information");
    expect(workbench.question.text).toMatch(/only a demonstration.*could run DreamOn 7B: 52.0 GB/);
    expect(workbench.questions).toHaveLength(1);
    workbench.question.answer("Get It");
    await until(() => workbench.questions.length === 2);
    expect(workbench.question.text).toBe(`${REPOSITORY}: 40.0 GB to download`);
    await status();
    await status({ model: "other" });
    expect(workbench.questions).toHaveLength(2);
  });

  test("that nothing larger fits, if nothing does", async () => {
    available = [{ ...MODEL, obstacles: ["No GPU."] }];
    await status();
    await asked("information");
    expect(workbench.question.text).toMatch(/only a demonstration, and no larger one fits/);
    workbench.question.answer("Show All Models");
    await asked("pick");
  });
});

test("it is downloaded after its licence was agreed to, and used at once", async () => {
  void choose(ENTRY);
  await asked("information");
  expect(workbench.question.text).toBe(`${REPOSITORY}: 40.0 GB to download`);
  expect(workbench.question.details[0]).toMatch(/^Licence: gemma/);
  expect(pulls().map(({ options }) => options)).toEqual([["pull", REPOSITORY, "--look", "--json"]]);
  workbench.question.answer("Read the Licence");
  await until(() => workbench.questions.length === 3);
  expect(workbench.visited).toEqual(["https://huggingface.co/google"]);
  workbench.question.answer("Agree and Download");
  await until(() => told.length > 0);
  expect(pulls().at(-1)?.options).toEqual([
    "pull",
    REPOSITORY,
    "--accept-licence",
    "--force",
    "--json",
  ]);
  const work = workbench.work.find(({ title }) => title.startsWith("Downloading"));
  expect(work?.messages).toContain("downloading: 13.0 GB of 52.0 GB");
  expect(told).toEqual(["dg-lsp.restartEngine"]);
  expect(workbench.settings.get("dgLsp.engine.model"), "the best is used anyway").toBe("");
});

test("a setting that names another model gives way", async () => {
  workbench.settings.set("dgLsp.engine.model", "bundled");
  void choose(ENTRY);
  await asked("information");
  workbench.question.answer("Agree and Download");
  await until(() => told.length > 0);
  expect(workbench.settings.get("dgLsp.engine.model")).toBe("diffusiongemma");
});

test("without agreement nothing is downloaded", async () => {
  const done = choose(ENTRY);
  await asked("information");
  workbench.question.answer();
  await done;
  expect(pulls()).toHaveLength(1);
});

test("what does not fit is said before, and may be had anyway", async () => {
  available = [{ ...MODEL, obstacles: ["It needs an NVIDIA GPU.", "The disk is full."] }];
  const left = choose(ENTRY);
  await asked("warning");
  expect(workbench.question.details).toEqual(["It needs an NVIDIA GPU.\nThe disk is full."]);
  workbench.question.answer();
  await left;
  expect(pulls()).toEqual([]);
  void choose(ENTRY);
  await until(() => workbench.questions.length === 4);
  workbench.question.answer("Download Anyway");
  await asked("information");
});

test("it can be stopped and goes on", async () => {
  const finish = pull;
  pull = () => workbench.work.at(-1)?.cancel.cancel();
  void choose(ENTRY);
  await asked("information");
  workbench.question.answer("Agree and Download");
  await until(() => workbench.questions.at(-1)?.choices[0] === "Continue");
  expect(pulls().at(-1)?.wasKilled).toBe(true);
  expect(told).toEqual([]);
  pull = finish;
  workbench.question.answer("Continue");
  await until(() => told.length > 0);
});

describe("what goes wrong is said", () => {
  test("where the hub cannot be reached", async () => {
    look = (program) => {
      program.say("dg-lsp: x could not be fetched (no network)");
      program.end(2);
    };
    void choose(ENTRY);
    await asked("error");
    expect(workbench.question.text).toBe(
      `Could not read ${REPOSITORY}: x could not be fetched (no network)`,
    );
  });

  test("where a download breaks, with another try", async () => {
    const finish = pull;
    pull = (program) => {
      program.say("dg-lsp: the disk is full");
      program.end(2);
    };
    void choose(ENTRY);
    await asked("information");
    workbench.question.answer("Agree and Download");
    await asked("error");
    expect(workbench.question.text).toMatch(/: the disk is full$/);
    pull = finish;
    workbench.question.answer("Try Again");
    await until(() => told.length > 0);
  });

  test("where there is no server", async () => {
    extension.serverCommand = undefined;
    void workbench.execute("dgLsp.getModel");
    await asked("warning");
    expect(workbench.question.choices).toEqual(["Install dg-lsp"]);
    workbench.question.answer();
  });

  test("where an old server knows none of this", async () => {
    programsDo((program) => {
      program.say("Error: No such option: --available");
      program.end(2);
    });
    void workbench.execute("dgLsp.getModel");
    await asked("error");
    expect(workbench.question.text).toMatch(/No such option/);
  });
});

test("a checkpoint of this disk is packed", async () => {
  void choose("$(folder-opened) A checkpoint on this disk…");
  await asked("file");
  workbench.question.answer("/big/gemma");
  await until(() => told.length > 0);
  expect(pulls().map(({ options }) => options)).toEqual([
    ["pull", "--from", "/big/gemma", "--json"],
  ]);
});

test("another repository is looked at like the one that is offered", async () => {
  void choose("$(globe) Another repository on the Hugging Face Hub…");
  await asked("input");
  workbench.question.answer(" someone/gemma ");
  await asked("information");
  expect(pulls()[0]?.options).toEqual(["pull", "someone/gemma", "--look", "--json"]);
});

test("a model that is here is used when it is picked", async () => {
  here = [BUNDLED, { name: "mine", bytes: 1e9, default: false, checksum: "ok" }];
  await choose("$(sparkle) mine");
  expect(workbench.settings.get("dgLsp.engine.model")).toBe("mine");
});

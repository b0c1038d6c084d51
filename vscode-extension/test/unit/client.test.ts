/** The real language client with the fake editor, and with servers that the tests make up. */
import { homedir } from "node:os";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as vscode from "vscode";
import { Client } from "../../src/client";
import * as ext from "../../src/lspExt";
import { programs, programsDo, programsServe, quiet, rest, Server, until } from "./fake/server";
import { workbench } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

const HERE = { command: "/bin/dg-lsp", foundIn: "the PATH" } as const;

let client: Client;
let phases: string[];

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"],
  });
  client = new Client(vscode.window.createOutputChannel("dg-lsp", { log: true }), {});
  phases = [];
  client.onDidChange(() => phases.push(client.phase));
});

afterEach(async () => {
  const stopped = client.stop();
  await rest();
  await vi.advanceTimersByTimeAsync(5000);
  await stopped;
  vi.useRealTimers();
});

/** Time passes, and whatever it sets going comes to rest. */
async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await quiet();
}

/** The server has ended, and is there again after so long. */
async function startedAnew(ms: number): Promise<void> {
  await until(() => client.phase === "starting");
  await pass(ms + 1);
  await until(() => client.phase === "running");
}

describe("a server that runs", () => {
  let servers: Server[];

  beforeEach(async () => {
    servers = programsServe();
    await client.start(HERE);
  });

  const server = () => servers.at(-1) as Server;

  test("is started outside of the folder that is open, and told what the extension takes", () => {
    const [program] = programs;
    expect(program).toMatchObject({ command: "/bin/dg-lsp", options: ["serve"] });
    expect(program?.cwd).toBe(homedir());
    expect(client.phase).toBe("running");
    expect(server().initialized.capabilities?.experimental).toEqual({ dgLsp: ext.CAPABILITIES });
  });

  test("gets the settings at its start, without those that are the extension's own", async () => {
    workbench.settings.set("dgLsp.candidates", 5);
    workbench.settings.set("dgLsp.drafts.show", "off");
    await client.start(HERE);
    const options = server().initialized.initializationOptions as Record<string, unknown>;
    expect(options).toMatchObject({ candidates: 5, enable: true, engine: { model: "" } });
    expect(options).not.toHaveProperty("drafts");
    expect(options).not.toHaveProperty("server");
  });

  test("is told of a setting that the user changes, and asks for what it is now", async () => {
    const told: unknown[] = [];
    const { connection } = server();
    connection.onNotification("workspace/didChangeConfiguration", async () => {
      const items = [{ section: "dgLsp" }];
      told.push(...(await connection.sendRequest<unknown[]>("workspace/configuration", { items })));
    });
    const method = "workspace/didChangeConfiguration";
    await connection.sendRequest("client/registerCapability", {
      registrations: [{ id: "1", method, registerOptions: { section: "dgLsp" } }],
    });
    await until(() => told.length === 1);
    workbench.settings.set("editor.fontSize", 20);
    workbench.settings.set("dgLsp.deadlineMs", 300);
    await until(() => told.length === 2);
    expect(told[1]).toMatchObject({ deadlineMs: 300 });
    await rest();
    expect(told).toHaveLength(2);
  });

  test("is heard: drafts and its state", async () => {
    const heard: unknown[] = [];
    client.onDraft((draft) => heard.push(draft.text));
    client.onStatus((status) => heard.push(status.model));
    await server().connection.sendNotification(ext.DRAFT, { text: "a + b" });
    await server().connection.sendNotification(ext.STATUS, { model: "bundled" });
    await until(() => heard.length === 2);
    expect(heard).toEqual(["a + b", "bundled"]);
  });

  test("runs the commands that it has, and is not asked for others", async () => {
    server().connection.onRequest("workspace/executeCommand", ({ command }) => `did ${command}`);
    expect(await client.execute(ext.COMMAND_TRACE, {})).toBe("did dg-lsp.trace");
    expect(await client.execute("dg-lsp.unheardOf")).toBeUndefined();
    await client.stop();
    expect(await client.execute(ext.COMMAND_TRACE, {})).toBeUndefined();
  });

  test("is asked to end, and ends", async () => {
    await client.stop();
    await until(() => programs[0]?.isRunning === false);
    expect(server().hasShutDown).toBe(true);
    expect(programs[0]?.wasKilled).toBe(false);
    expect(client.phase).toBe("off");
  });

  test("is killed where it hangs and another is wanted", async () => {
    const [hanging] = programs;
    hanging?.stdin.removeAllListeners("data");
    const again = client.start(HERE);
    await pass(2000);
    await again;
    expect(hanging?.wasKilled).toBe(true);
    expect(programs).toHaveLength(2);
    expect(client.phase).toBe("running");
  });

  test("is ended and started anew where it answers nothing any more", async () => {
    const [hanging] = programs;
    server().connection.onRequest("workspace/executeCommand", () => new Promise(() => undefined));
    void client.patiently(new Promise(() => undefined));
    await pass(5000 + 3999);
    expect(hanging?.isRunning).toBe(true);
    await pass(1);
    expect(hanging?.wasKilled).toBe(true);
    await until(() => client.phase === "starting");
    expect(client.trouble).toBe("it stopped answering");
    await startedAnew(0);
    expect(programs).toHaveLength(2);
    expect(client.trouble).toBe("");
  });

  test("may answer with an error: that is a pulse", async () => {
    server().connection.onRequest("workspace/executeCommand", () => {
      throw new Error("not now");
    });
    void client.patiently(new Promise(() => undefined));
    for (let second = 0; second < 60; second += 1) {
      await pass(1000);
    }
    expect(programs[0]?.isRunning).toBe(true);
  });

  test("is started again when it goes, each time later, and given up at last", async () => {
    for (const pause of [0, 1000, 5000, 15_000]) {
      const before = programs.length;
      programs.at(-1)?.say("Segmentation fault");
      programs.at(-1)?.end(139);
      await until(() => client.phase === "starting");
      await pass(Math.max(0, pause - 1));
      expect(programs).toHaveLength(pause === 0 ? before + 1 : before);
      await pass(1);
      await until(() => client.phase === "running");
      expect(programs).toHaveLength(before + 1);
    }
    programs.at(-1)?.say("Segmentation fault");
    programs.at(-1)?.end(139);
    await pass(1000);
    expect(client.phase).toBe("failed");
    expect(client.trouble).toBe("Segmentation fault");
    expect(programs).toHaveLength(5);
  });

  test("may go now and then: only what comes close together counts", async () => {
    for (let times = 0; times < 6; times += 1) {
      programs.at(-1)?.end(1);
      await startedAnew(0);
      await pass(180_000);
    }
    expect(programs).toHaveLength(7);
  });

  test("has all its tries again where the user starts it", async () => {
    for (const pause of [0, 1000, 5000, 15_000]) {
      programs.at(-1)?.end(1);
      await startedAnew(pause);
    }
    await client.start(HERE);
    programs.at(-1)?.end(1);
    await startedAnew(0);
  });

  test("is not started again by itself where the user has stopped it meanwhile", async () => {
    programs.at(-1)?.end(1);
    await startedAnew(0);
    programs.at(-1)?.end(1);
    await until(() => client.phase === "starting");
    await client.stop();
    await pass(60_000);
    expect(programs.filter((one) => one.isRunning)).toHaveLength(0);
    expect(client.phase).toBe("off");
  });
});

describe("a server that does not start", () => {
  async function failing(): Promise<string> {
    const started = client.start(HERE);
    for (let turn = 0; turn < 5; turn += 1) {
      await pass(100);
    }
    await started;
    expect(client.phase).toBe("failed");
    return client.trouble;
  }

  test("leaves its last words", async () => {
    programsDo((program) => {
      program.say("Traceback (most recent call last):");
      program.say("ModuleNotFoundError: no module torch");
      program.say("");
      program.end(1);
    });
    expect(await failing()).toBe("ModuleNotFoundError: no module torch");
    expect(programs).toHaveLength(1);
  });

  test("without words, its status", async () => {
    programsDo((program) => program.end(3));
    expect(await failing()).toBe("it ended with status 3");
  });

  test("is no program", async () => {
    programsDo((program) => program.refuse("spawn /bin/dg-lsp EACCES"));
    expect(await failing()).toBe("spawn /bin/dg-lsp EACCES");
  });

  test("and answers nothing is not waited for", async () => {
    programsDo(() => undefined);
    void client.start(HERE);
    await pass(29_000);
    expect(client.phase).toBe("starting");
    await pass(1000);
    expect(client.phase).toBe("failed");
    expect(client.trouble).toBe("it did not answer within 30 s");
    expect(programs[0]?.wasKilled).toBe(true);
  });

  test("also where it ran before", async () => {
    programsServe();
    await client.start(HERE);
    const [first] = programs;
    programsDo((program) => {
      program.say("dg-lsp was removed");
      program.end(1);
    });
    first?.end(1);
    await until(() => client.phase === "starting");
    await pass(0);
    await pass(300);
    expect(client.phase).toBe("failed");
    expect(client.trouble).toBe("dg-lsp was removed");
  });
});

test("a server that is stopped while it starts does not go on", async () => {
  programsDo(() => undefined);
  void client.start(HERE);
  await pass(1000);
  await client.stop();
  expect(programs[0]?.wasKilled).toBe(true);
  await pass(60_000);
  expect(client.phase).toBe("off");
  expect(phases).not.toContain("failed");
});

describe("who waits for the server", () => {
  const { token } = new vscode.CancellationTokenSource();

  test("waits while it starts", async () => {
    programsServe();
    const waiting = client.whenRunning(token);
    void client.start(HERE);
    expect(await waiting).toBe(client.language);
    expect(client.language).toBeDefined();
  });

  test("gets none where there is none", async () => {
    client.fail("no Python");
    expect(await client.whenRunning(token)).toBeUndefined();
    const waiting = new Client(vscode.window.createOutputChannel("x", { log: true }), {});
    const asked = waiting.whenRunning(token);
    waiting.fail("no Python");
    expect(await asked).toBeUndefined();
  });

  test("may be called off", async () => {
    const source = new vscode.CancellationTokenSource();
    const waiting = client.whenRunning(source.token);
    source.cancel();
    expect(await waiting).toBeUndefined();
  });
});

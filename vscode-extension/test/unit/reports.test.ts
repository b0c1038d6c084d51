/** Pages that are read: the doctor's report, a trace, and what an issue would hold. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import manifest from "../../package.json";
import { registerCommands } from "../../src/commands";
import { Extension } from "../../src/extension";
import { newContext } from "./fake/context";
import { programs, programsDo, programsServe, until, type Server } from "./fake/server";
import { workbench, type Panel } from "./fake/workbench";

vi.mock("node:child_process", () => import("./fake/server"));

let extension: Extension;
let servers: Server[];

beforeEach(async () => {
  servers = programsServe();
  extension = new Extension(newContext("/nowhere"));
  extension.context.subscriptions.push(...registerCommands(extension));
  workbench.commands.set("markdown.api.render", (text) =>
    String(text).replaceAll(/`([^`\n]+)`/g, "<code>$1</code>"),
  );
  await extension.client.start({ command: "/bin/dg-lsp", foundIn: "the PATH" });
  workbench.open("a = 1\n");
});

afterEach(async () => {
  await extension.client.stop();
  extension.dispose();
  delete (manifest as { bugs?: unknown }).bugs;
});

const page = () => workbench.panels.at(-1) as Panel;

/** Commands behind the links of a page, with their arguments. */
function links(panel: Panel): Record<string, string> {
  const found = panel.webview.html.matchAll(/<a href="command:([^"]*)">([^<]*)<\/a>/g);
  return Object.fromEntries([...found].map(([, to = "", label = ""]) => [label, to]));
}

describe("the trace", () => {
  const told: unknown[] = [];

  beforeEach(() => {
    told.length = 0;
    servers[0]?.connection.onRequest("workspace/executeCommand", (params: unknown) => {
      told.push(params);
      return { markdown: "# Request\n`dgLsp.minConfidence` and `dg-lsp doctor` and `x`" };
    });
  });

  test("is that of the file in the editor, as a page with links", async () => {
    await workbench.execute("dgLsp.trace");
    const uri = "file:///work/a.py";
    expect(told).toEqual([
      { command: "dg-lsp.trace", arguments: [{ markdown: true, text: true, uri }] },
    ]);
    const found = links(page());
    expect(found["dgLsp.minConfidence"]).toBe(
      `workbench.action.openSettings?${encodeURIComponent('["dgLsp.minConfidence"]')}`,
    );
    expect(found["dg-lsp doctor"]).toBe("dgLsp.doctor");
    expect(found).not.toHaveProperty("x");
    for (const to of Object.values(found)) {
      expect(page().commands).toContain(to.replace(/\?.*/, ""));
    }
    expect(page().webview.html).toContain("default-src 'none'");
  });

  test("is that of the same file when the page is looked at again", async () => {
    await workbench.execute("dgLsp.trace");
    const argument = decodeURIComponent((links(page())["Look Again"] ?? "").split("?")[1] ?? "");
    workbench.focus(undefined);
    await workbench.execute("dgLsp.trace", ...(JSON.parse(argument) as unknown[]));
    expect(told[1]).toEqual(told[0]);
    expect(workbench.panels).toHaveLength(1);
  });

  test("says so where there is none", async () => {
    servers[0]?.connection.onRequest("workspace/executeCommand", () => null);
    void workbench.execute("dgLsp.trace");
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toMatch(/nothing has been asked for in this file yet/);
    expect(workbench.panels).toEqual([]);
    await extension.client.stop();
    void workbench.execute("dgLsp.trace");
    await until(() => workbench.questions.length === 2);
    expect(workbench.question.text).toBe("dg-lsp: the server is not running");
  });
});

describe("the doctor", () => {
  test("comes to a server that does not run, whatever its verdict", async () => {
    extension.serverCommand = "/bin/dg-lsp";
    programsDo((program) => {
      program.stdout.write("# dg-lsp doctor\n<b>");
      program.end(1);
    });
    await workbench.execute("dgLsp.doctor");
    expect(programs[0]?.options).toEqual(["doctor", "--markdown"]);
    expect(page().title).toBe("dg-lsp: Doctor");
    expect(Object.keys(links(page()))).toEqual([
      ...["Look Again", "Open Settings", "Open Log", "Copy", "Report an Issue…"],
    ]);
  });

  test("is readable without the editor's Markdown", async () => {
    workbench.commands.delete("markdown.api.render");
    extension.serverCommand = "/bin/dg-lsp";
    programsDo((program) => {
      program.stdout.write("# <script>");
      program.end(0);
    });
    await workbench.execute("dgLsp.doctor");
    expect(page().webview.html).toContain("<pre># &lt;script></pre>");
  });

  test("or says what it said instead", async () => {
    extension.serverCommand = "/bin/dg-lsp";
    programsDo((program) => {
      program.say("Traceback\nno module torch");
      program.end(1);
    });
    void workbench.execute("dgLsp.doctor");
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toBe("dg-lsp doctor gave no report: no module torch");
  });

  test("and needs something to look at", async () => {
    void workbench.execute("dgLsp.doctor");
    await until(() => workbench.questions.length === 1);
    expect(workbench.question.text).toBe("dg-lsp: there is no server to be looked at.");
  });
});

describe("an issue", () => {
  const REPORT = "### Environment\n\n- dg-lsp: 0.1.0\n";

  beforeEach(() => {
    extension.serverCommand = "/bin/dg-lsp";
    programsDo((program) => {
      program.stdout.write(REPORT);
      program.end(0);
    });
  });

  test("is shown before it goes anywhere, and is on the clipboard where there is no tracker", async () => {
    await workbench.execute("dgLsp.reportIssue");
    expect(programs[0]?.options).toEqual(["doctor", "--anonymous"]);
    expect(page().webview.html).toContain(REPORT);
    expect(workbench.copied).toEqual([REPORT]);
    expect(links(page())).not.toHaveProperty("Open the Issue Page");
    expect(workbench.visited).toEqual([]);
  });

  test("fills in the page of the tracker that package.json names, on request", async () => {
    (manifest as { bugs?: unknown }).bugs = { url: "https://example.org/dg-lsp/issues/" };
    await workbench.execute("dgLsp.reportIssue");
    expect(workbench.visited).toEqual([]);
    const [command, query = ""] = (links(page())["Open the Issue Page"] ?? "").split("?");
    await workbench.execute(String(command), ...(JSON.parse(decodeURIComponent(query)) as []));
    expect(workbench.visited[0]).toMatch(/^https:\/\/example\.org\/dg-lsp\/issues\/new\?body=/);
    expect(workbench.visited[0]).toContain("dg-lsp: 0.1.0");
  });

  test("that is long is cut where an address may end", async () => {
    (manifest as { bugs?: unknown }).bugs = "https://example.org/issues";
    for (const length of [5950, 5951, 5952]) {
      await workbench.execute("dgLsp.openIssue", `${"x".repeat(length)}ääääää`);
    }
    expect(workbench.visited).toHaveLength(3);
  });
});

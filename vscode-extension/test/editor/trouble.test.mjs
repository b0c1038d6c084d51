/** What goes wrong, and what the user is told and can do. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { DG_LSP, until, Workplace } from "./harness.mjs";

/** A package whose command is the server of this checkout, and a PyTorch that is none. */
const MAKE_WHEELS = `
import sys, zipfile
directory, command = sys.argv[1:]
def wheel(name, version, source, commands=""):
    with zipfile.ZipFile(f"{directory}/{name}-{version}-py3-none-any.whl", "w") as made:
        info = f"{name}-{version}.dist-info"
        made.writestr(f"{name}.py", source)
        made.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\nRoot-Is-Purelib: true\\n")
        made.writestr(f"{info}/entry_points.txt", commands)
        made.writestr(f"{info}/RECORD", "")
run = f"import os, sys\\ndef main():\\n    os.execv({command!r}, [{command!r}, *sys.argv[1:]])\\n"
wheel("dg_lsp_here", "1.0", run, "[console_scripts]\\ndg-lsp = dg_lsp_here:main\\n")
wheel("torch", "2.9.0", "")
`;

let workplace;
let window;

before(async () => {
  workplace = new Workplace({ "dgLsp.server.path": "" });
  const wheels = workplace.make("wheels");
  execFileSync("python3", ["-c", MAKE_WHEELS, wheels, DG_LSP]);
  Object.assign(workplace.environment, { PIP_NO_INDEX: "1", PIP_FIND_LINKS: wheels });
  const wheel = path.join(wheels, "dg_lsp_here-1.0-py3-none-any.whl");
  workplace.set({ "dgLsp.server.installFrom": wheel });
  await workplace.start();
  window = await workplace.open(workplace.file("a.py", "def add(a, b):\n    return a\n"));
  await window.page.keyboard.press("Control+b");
});

// What a failed test has left on the screen.
afterEach((context) => window.pictureOf(context));

after(async () => {
  await workplace.close();
});

async function said(pattern) {
  await until(async () => (await window.notifications()).some((text) => pattern.test(text)));
}

async function clearNotifications() {
  await window.command("Notifications: Clear All Notifications");
  await until(async () => (await window.notifications()).length === 0);
}

/** A request goes by the settings that are noticed by then. */
async function typeUntil(isSo) {
  await until(async () => {
    await window.page.keyboard.type("+");
    await window.page.waitForTimeout(1000);
    return isSo();
  });
}

test("without a server there is a way to get one", async () => {
  await said(/neither in the selected Python environment nor on the PATH/);
  await until(async () => /not running/.test(await window.tooltip()));
  await window.picture("vscode-missing", 560);
  await window.page.getByRole("button", { name: "Install dg-lsp" }).click();
  await window.box();
  await until(async () => (await window.entries()).some((entry) => /For the CPU/.test(entry)));
  await window.page.keyboard.press("Enter");
  await until(async () => (await window.status()) === "dg-lsp: small model");
  await clearNotifications();
});

test("a path that names nothing is named", async () => {
  workplace.set({ "dgLsp.server.path": "/not/there/dg-lsp" });
  await said(/dgLsp\.server\.path is \/not\/there\/dg-lsp, which is not a file/);
  await clearNotifications();
});

test("a server that ends at its start leaves its last words", async () => {
  const crash = workplace.program(
    "crash",
    "echo 'ModuleNotFoundError: no module torch' >&2; exit 1",
  );
  workplace.set({ "dgLsp.server.path": crash });
  await said(/does not run: ModuleNotFoundError: no module torch/);
  await until(async () => /no module torch/.test(await window.tooltip()));
  await clearNotifications();
});

test("a server that hangs at its start is not waited for: a good path makes up for it", async () => {
  const file = path.join(workplace.directory, "hanging-pid");
  const hanging = workplace.program("hanging", `echo $$ >${file}; exec sleep 600`);
  workplace.set({ "dgLsp.server.path": hanging });
  const pid = await until(() => Number(readFileSync(file, "utf8")));
  await until(async () => /The server is starting/.test(await window.tooltip()));
  workplace.set({ "dgLsp.server.path": DG_LSP });
  await until(async () => (await window.status()) === "dg-lsp: small model");
  assert.throws(() => process.kill(pid, 0), "it runs on");
});

test("a server that hangs later is ended and started again, and so is one on request", async () => {
  const [first] = workplace.pids("serve");
  process.kill(first, "SIGSTOP");
  await window.goTo(2, 13);
  await window.page.keyboard.type("+");
  await until(async () => /being restarted/.test(await window.tooltip()));
  await until(async () => (await window.status()) === "dg-lsp: small model");
  const [second] = workplace.pids("serve");
  process.kill(second, "SIGSTOP");
  await window.command("dg-lsp: Restart the Server");
  await until(() => workplace.pids("serve").some((pid) => ![first, second].includes(pid)));
  await until(async () => (await window.status()) === "dg-lsp: small model");
  await until(() => workplace.pids("serve").length === 1);
});

test("a setting of the wrong type is named, and everything else holds", async () => {
  workplace.file(".vscode/settings.json", '{ "dgLsp.candidates": "many" }');
  await said(/dgLsp\.candidates is "many", but must be a whole number from 1 to 10/);
  workplace.file(".vscode/settings.json", "{}");
  await clearNotifications();
  assert.equal(await window.status(), "dg-lsp: small model");
});

test("a GPU that is not there is named, and nothing falls back in silence", async () => {
  workplace.set({ "dgLsp.engine.device": "cuda" });
  await window.goTo(2, 13);
  await typeUntil(async () => /cuda|GPU/i.test(await window.tooltip()));
  await window.picture("vscode-no-gpu", 560);
  workplace.set({ "dgLsp.engine.device": "" });
  await typeUntil(async () => (await window.status()) === "dg-lsp: small model");
});

test("it is paused for a language and everywhere, in the settings", async () => {
  await window.command("dg-lsp: Pause or Resume for This Language");
  await until(async () => /Paused for python/.test(await window.tooltip()));
  await window.command("dg-lsp: Pause or Resume for This Language");
  await until(async () => !/Paused/.test(await window.tooltip()));
  await window.command("dg-lsp: Pause or Resume Everywhere");
  await until(async () => /Paused everywhere/.test(await window.tooltip()));
  await window.command("dg-lsp: Pause or Resume Everywhere");
  await until(async () => !/Paused/.test(await window.tooltip()));
});

test("the doctor's report is a page", async () => {
  await window.command("dg-lsp: Show the Doctor's Report");
  await until(async () => /Everything that was checked/.test(await window.pageText()));
  await window.picture("vscode-doctor", 560);
});

test("the trace of this file's last request is a page, with links", async () => {
  await window.page.locator('.tab[data-resource-name="a.py"]').click();
  await window.command("dg-lsp: Show the Trace of This File's Last Request");
  await until(async () => /Request at a\.py/.test(await window.pageText()));
  await window.picture("vscode-trace", 560);
  await window.clickLink("Report an Issue");
  await until(async () => /This is everything that the report holds/.test(await window.pageText()));
  const said = await window.pageText();
  assert.match(said, /nothing has been sent/);
  assert.ok(!said.slice(said.indexOf("### Environment")).includes(workplace.directory));
  await window.picture("vscode-issue", 560);
});

test("a file that nothing was asked for in has no trace of another's", async () => {
  workplace.file("b.txt", "nothing here\n");
  // Keys do not reach the editor from within a page.
  await window.page.locator('.tab[data-resource-name="a.py"]').click();
  await window.openFile("b.txt");
  await window.command("dg-lsp: Show the Trace of This File's Last Request");
  await said(/nothing has been asked for in this file yet/);
});

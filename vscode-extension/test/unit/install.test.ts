/** With a real Python and a real pip, and a wheel that is made here. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, utimesSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { install, installed, removeLeftovers, type Wish } from "../../src/install";
import { ProgramError } from "../../src/programs";

let directory: string;
let wheel: string;
let root: string;

const MAKE_WHEEL = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    info = "dg_lsp_fake-1.0.dist-info"
    wheel.writestr("dg_lsp_fake.py", "def main(): print('it runs')")
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: dg-lsp-fake\\nVersion: 1.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\nRoot-Is-Purelib: true\\n")
    wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\ndg-lsp = dg_lsp_fake:main\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), "dg-lsp-install-"));
  wheel = path.join(directory, "dg_lsp_fake-1.0-py3-none-any.whl");
  execFileSync("python3", ["-c", MAKE_WHEEL, wheel]);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeEach(() => {
  root = mkdtempSync(path.join(directory, "root-"));
});

const patience = 120_000;
const BUILD = { label: "", detail: "", downloadBytes: 0, diskBytes: 0 };

function wish(changes: Partial<Wish> = {}): Wish {
  return {
    root,
    requirement: wheel,
    version: "1.0",
    build: BUILD,
    interpreter: "python3",
    uv: undefined,
    platform: process.platform,
    ...changes,
  };
}

const never = () => new AbortController().signal;
/** The environments that are there. */
const left = () => readdirSync(root).filter((name) => !name.endsWith(".json"));

test("an environment with the server, in use from then on", { timeout: patience }, async () => {
  const lines: string[] = [];
  // A setting of pip that does not go with an environment.
  process.env["PIP_USER"] = "1";
  const first = await install(wish(), (line) => lines.push(line), never());
  delete process.env["PIP_USER"];
  expect(execFileSync(first.command, { encoding: "utf8" })).toBe("it runs\n");
  expect(await installed(root)).toEqual(first);
  expect(lines.join("\n")).toMatch(/making an environment with python3/);

  const broken = path.join(directory, "dg_lsp_broken-1.0-py3-none-any.whl");
  const source = MAKE_WHEEL.replaceAll(/dg([_-])lsp\1fake/g, "dg$1lsp$1broken");
  const failing = source.replace("print('it runs')", "raise SystemExit('no torch')");
  execFileSync("python3", ["-c", failing, broken]);
  const outcome = install(wish({ requirement: broken }), () => undefined, never());
  await expect(outcome, "what does not run is not taken into use").rejects.toThrow("no torch");
  expect(await installed(root)).toEqual(first);
  expect(left()).toHaveLength(1);
});

test("what fails leaves nothing behind, and says why", async () => {
  const wanted = wish({ interpreter: path.join(directory, "none") });
  const outcome = install(wanted, () => undefined, never());
  await expect(outcome).rejects.toThrow(ProgramError);
  await expect(outcome).rejects.toThrow(/none.*ENOENT/);
  expect(left()).toEqual([]);
  expect(await installed(root)).toBeUndefined();
});

test("what was left is removed after a day, but what is in use is not", async () => {
  const long = new Date(Date.now() - 25 * 3600 * 1000);
  for (const name of ["used", "old", "new"]) {
    mkdirSync(path.join(root, name));
    if (name !== "new") {
      utimesSync(path.join(root, name), long, long);
    }
  }
  const command = path.join(root, "used", "bin", "dg-lsp");
  writeFileSync(path.join(root, "installed.json"), JSON.stringify({ command, version: "1.0" }));
  await removeLeftovers(root);
  await removeLeftovers(path.join(root, "not", "there"));
  expect(left()).toEqual(["new", "used"]);
});

test("it can be stopped, and nothing is left", { timeout: patience }, async () => {
  for (const at of [/making/, /installing dg-lsp/]) {
    const abort = new AbortController();
    const report = (line: string) => at.test(line) && setTimeout(() => abort.abort(), 300);
    await expect(install(wish(), report, abort.signal)).rejects.toThrow(/abort/i);
    expect(left()).toEqual([]);
  }
});

/** With a real Python and a real pip, and a wheel that is made here. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { install, InstallError, type Wish } from "../../src/install";

let directory: string;
let wheel: string;

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

const patience = 120_000;

function wish(changes: Partial<Wish> = {}): Wish {
  return {
    directory: path.join(directory, "server"),
    requirement: wheel,
    interpreter: undefined,
    platform: process.platform,
    ...changes,
  };
}

test(
  "an environment with the server, by a Python that will do",
  { timeout: patience },
  async () => {
    const interpreter = path.join(directory, "python-that-is-none");
    writeFileSync(interpreter, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const lines: string[] = [];
    const { signal } = new AbortController();
    const command = await install(wish({ interpreter }), (line) => lines.push(line), signal);
    expect(execFileSync(command, { encoding: "utf8" })).toBe("it runs\n");
    expect(lines.join("\n")).toMatch(/making an environment with/);
  },
);

test("what fails leaves nothing behind, and says why", { timeout: patience }, async () => {
  const wanted = wish({ requirement: path.join(directory, "none.whl") });
  const outcome = install(wanted, () => undefined, new AbortController().signal);
  await expect(outcome).rejects.toThrow(InstallError);
  expect(existsSync(wanted.directory)).toBe(false);
});

test("it can be stopped", { timeout: patience }, async () => {
  const abort = new AbortController();
  const outcome = install(wish(), () => abort.abort(), abort.signal);
  await expect(outcome).rejects.toThrow();
  expect(existsSync(wish().directory)).toBe(false);
});

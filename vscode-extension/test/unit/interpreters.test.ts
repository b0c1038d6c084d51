/** With programs of a made-up home, which say what a Python would say. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { findInterpreters, findUv, type Search } from "../../src/interpreters";
import { temporaryDirectory } from "./fake/context";

let home: string;

beforeEach(() => {
  home = temporaryDirectory();
});

interface Said {
  version?: number[];
  implementation?: string;
  bits?: number;
  venv?: boolean;
  ensurepip?: boolean;
  debian?: boolean;
}

const GOOD = { version: [3, 12, 4], implementation: "cpython", bits: 64 };
const WHOLE = { venv: true, ensurepip: true, debian: false };

function python(name: string, said: Said = {}): string {
  return program(name, `echo '${JSON.stringify({ ...GOOD, ...WHOLE, ...said })}'`);
}

function program(name: string, text: string): string {
  const file = path.join(home, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
  return file;
}

function search(changes: Partial<Search> = {}): Search {
  const environment = { PATH: path.join(home, "bin") };
  return { preferred: undefined, environment, home, platform: "linux", ...changes };
}

/** Of this home; the machine has its own. */
async function found(changes: Partial<Search> = {}) {
  const { usable, rejected } = await findInterpreters(search(changes));
  const isOurs = ({ command }: { command: string }) => command.startsWith(home);
  return {
    usable: usable.filter(isOurs).map((one) => path.relative(home, one.command)),
    rejected: Object.fromEntries(
      rejected.filter(isOurs).map((one) => [path.relative(home, one.command), one.reason]),
    ),
  };
}

test("those that a desktop does not have on its PATH are found as well", async () => {
  const names = [
    "bin/python3",
    ".pyenv/versions/3.12.4/bin/python3",
    "miniconda3/bin/python3",
    "miniforge3/envs/work/bin/python3",
    ".local/share/uv/python/cpython-3.12/bin/python3",
    ".asdf/installs/python/3.12.4/bin/python3",
    ".local/bin/python3.12",
  ];
  names.forEach((name) => python(name));
  expect((await found()).usable.sort()).toEqual(names.sort());
});

test("each file once, whatever it is called, and what stands behind a shim", async () => {
  const real = python("versions/python3.12");
  mkdirSync(path.join(home, "bin"));
  symlinkSync(real, path.join(home, "bin", "python3"));
  symlinkSync(real, path.join(home, "bin", "python3.12"));
  python(".pyenv/shims/python3");
  const environment = {
    PATH: `${path.join(home, "bin")}:${path.join(home, ".pyenv/shims")}:relative`,
  };
  expect((await found({ environment })).usable).toEqual(["bin/python3"]);
});

test("the preferred one first, then those that PyTorch has been built for longest", async () => {
  const preferred = python("mine/python3", { version: [3, 15, 0] });
  python("bin/python3", { version: [3, 14, 0] });
  python("bin/python3.13", { version: [3, 13, 0] });
  python("bin/python3.12");
  python("bin/python3.11", { version: [3, 11, 9] });
  expect((await found({ preferred })).usable).toEqual([
    "mine/python3",
    "bin/python3.13",
    "bin/python3.12",
    "bin/python3.11",
    "bin/python3",
  ]);
});

describe("one that will not do is named with its reason", () => {
  test.each<[string, Said, RegExp]>([
    ["too old", { version: [3, 9, 2] }, /^Python 3\.9\.2 is too old; 3\.11 or newer/],
    ["PyPy", { implementation: "pypy" }, /no PyTorch for it \(64-bit pypy\)/],
    ["of 32 bits", { bits: 32 }, /no PyTorch for it \(32-bit cpython\)/],
    ["without venv", { venv: false }, /^its module venv is not installed$/],
    [
      "Debian's without its package",
      { ensurepip: false, debian: true },
      /ensurepip is not installed; sudo apt install python3\.12-venv$/,
    ],
  ])("%s", async (_, said, reason) => {
    python("bin/python3", said);
    const { usable, rejected } = await found();
    expect(usable).toEqual([]);
    expect(rejected["bin/python3"]).toMatch(reason);
  });

  test("one that does not run", async () => {
    program("bin/python3", "echo 'no license' >&2; exit 9");
    program("bin/python3.12", "echo hello");
    const { rejected } = await found();
    expect(rejected["bin/python3"]).toBe("it does not run (no license)");
    expect(rejected["bin/python3.12"]).toMatch(/^it does not run/);
  });
});

test("uv is found where its installer puts it", async () => {
  expect(await findUv(search())).toBeUndefined();
  const uv = program(".local/bin/uv", "echo uv 0.9");
  expect(await findUv(search())).toBe(uv);
  const broken = program("bin/uv", "exit 1");
  expect(await findUv(search())).not.toBe(broken);
});

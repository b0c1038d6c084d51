import { describe, expect, test } from "vitest";
import { findServer, type Places } from "../../src/discovery";

const LINUX: Places = {
  setting: "",
  interpreter: "/venv/bin/python",
  pathVariable: "/usr/bin:/opt/bin",
  privateEnvironment: "/storage/server",
  home: "/home/me",
  platform: "linux",
};
const WINDOWS: Places = {
  setting: "",
  interpreter: "C:\\venv\\Scripts\\python.exe",
  pathVariable: '"C:\\Program Files\\bin";D:\\tools',
  privateEnvironment: "C:\\storage\\server",
  home: "C:\\Users\\me",
  platform: "win32",
};

async function found(places: Partial<Places>, ...files: string[]): Promise<string> {
  const base = places.platform === "win32" ? WINDOWS : LINUX;
  const isFile = async (file: string) => files.includes(file);
  const server = await findServer({ ...base, ...places }, isFile);
  return "reason" in server ? server.reason : server.command;
}

describe("in order", () => {
  const all = [
    "/set/dg-lsp",
    "/venv/bin/dg-lsp",
    "/usr/bin/dg-lsp",
    "/opt/bin/dg-lsp",
    "/storage/server/bin/dg-lsp",
  ];
  test.each([0, 1, 2, 3, 4])("without the first %i", async (missing) => {
    const setting = missing === 0 ? "/set/dg-lsp" : "";
    expect(await found({ setting }, ...all.slice(missing))).toBe(all[missing]);
  });
});

test("nothing is found, and an installation would help", async () => {
  const missing = await findServer(LINUX, async () => false);
  expect(missing).toMatchObject({ canInstall: true });
});

test.each([
  ["/not/there", "dgLsp.server.path is /not/there, which is not a file."],
  ["bin/dg-lsp", "dgLsp.server.path is bin/dg-lsp, which is not an absolute path."],
])("a setting that names nothing is not passed over: %s", async (setting, reason) => {
  expect(await found({ setting }, "/usr/bin/dg-lsp", setting)).toBe(
    setting.startsWith("/") ? setting : reason,
  );
  expect(await found({ setting }, "/usr/bin/dg-lsp")).toBe(reason);
});

test("a tilde is the home", async () => {
  expect(await found({ setting: "~/bin/dg-lsp" }, "/home/me/bin/dg-lsp")).toBe(
    "/home/me/bin/dg-lsp",
  );
});

test("a relative entry of the PATH is not looked at: it would be the folder that is open", async () => {
  const places = { interpreter: undefined, pathVariable: ".:bin:" };
  expect(await found(places, "dg-lsp", "bin/dg-lsp", "./dg-lsp")).toMatch(/neither in/);
});

describe("on Windows", () => {
  test("a batch file is not started", async () => {
    const setting = "C:\\tools\\dg-lsp.CMD";
    expect(await found({ ...WINDOWS, setting }, setting)).toMatch(/dg-lsp\.exe is needed/);
  });

  test.each([
    ["beside the interpreter", {}, "C:\\venv\\Scripts\\dg-lsp.exe"],
    [
      "in a conda environment",
      { interpreter: "C:\\conda\\python.exe" },
      "C:\\conda\\Scripts\\dg-lsp.exe",
    ],
    ["on the PATH, quoted", {}, "C:\\Program Files\\bin\\dg-lsp.exe"],
    ["installed by the extension", {}, "C:\\storage\\server\\Scripts\\dg-lsp.exe"],
    ["set", { setting: "D:\\x\\dg-lsp.exe" }, "D:\\x\\dg-lsp.exe"],
  ])("%s", async (_, places, file) => {
    expect(await found({ ...places, platform: "win32" }, file)).toBe(file);
  });
});

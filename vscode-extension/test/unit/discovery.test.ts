import { describe, expect, test } from "vitest";
import { findServer, findServers, type Places } from "../../src/discovery";

const LINUX: Places = {
  setting: "",
  interpreter: "/venv/bin/python",
  folders: ["/work"],
  environment: { PATH: "/usr/bin:/opt/bin", PIPX_BIN_DIR: "/pipx/bin" },
  installed: "/storage/server/1/bin/dg-lsp",
  home: "/home/me",
  platform: "linux",
};
const WINDOWS: Places = {
  setting: "",
  interpreter: "C:\\venv\\Scripts\\python.exe",
  folders: ["D:\\work"],
  environment: { Path: '"C:\\Program Files\\bin";D:\\tools' },
  installed: "C:\\storage\\server\\1\\Scripts\\dg-lsp.exe",
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
    "/work/.venv/bin/dg-lsp",
    "/work/venv/bin/dg-lsp",
    "/usr/bin/dg-lsp",
    "/opt/bin/dg-lsp",
    "/pipx/bin/dg-lsp",
    "/home/me/.local/bin/dg-lsp",
    "/storage/server/1/bin/dg-lsp",
  ];
  test.each(all.map((_, index) => index))("without the first %i", async (missing) => {
    const setting = missing === 0 ? "/set/dg-lsp" : "";
    expect(await found({ setting }, ...all.slice(missing))).toBe(all[missing]);
  });

  test("all of them, to choose from, each once", async () => {
    const environment = { PATH: "/usr/bin:/home/me/.local/bin" };
    const isFile = async (file: string) => all.includes(file);
    const servers = await findServers({ ...LINUX, environment }, isFile);
    expect(servers.map((one) => one.command)).toEqual([
      "/venv/bin/dg-lsp",
      "/work/.venv/bin/dg-lsp",
      "/work/venv/bin/dg-lsp",
      "/usr/bin/dg-lsp",
      "/home/me/.local/bin/dg-lsp",
      "/storage/server/1/bin/dg-lsp",
    ]);
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
  const places = { interpreter: undefined, environment: { PATH: ".:bin:" } };
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
    ["in the folder", {}, "D:\\work\\.venv\\Scripts\\dg-lsp.exe"],
    ["a tool of uv", {}, "C:\\Users\\me\\.local\\bin\\dg-lsp.exe"],
    ["installed by the extension", {}, "C:\\storage\\server\\1\\Scripts\\dg-lsp.exe"],
    ["set", { setting: "D:\\x\\dg-lsp.exe" }, "D:\\x\\dg-lsp.exe"],
  ])("%s", async (_, places, file) => {
    expect(await found({ ...places, platform: "win32" }, file)).toBe(file);
  });
});

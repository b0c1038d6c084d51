import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import * as ext from "../../src/lspExt";

const ROOT = path.join(__dirname, "..", "..", "..");
const SERVER = readFileSync(path.join(ROOT, "dg_lsp", "server", "lsp_ext.py"), "utf8");

const NAMES = Object.entries(ext).filter(([, value]) => typeof value === "string");

test.each(NAMES)("%s is what the server calls it", (name, value) => {
  expect(SERVER).toContain(`\n${name} = "${value}"\n`);
});

test.each(Object.keys(ext.CAPABILITIES))("the server reads the opt-in %s", (name) => {
  expect(SERVER).toContain(`asked.get("${name}")`);
});

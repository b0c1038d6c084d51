// Puts together what is packaged: dist/main.js and the pictures of README and walkthrough.
import { cpSync, mkdirSync } from "node:fs";
import { build } from "esbuild";

// The tests take these pictures (`make pictures`).
mkdirSync("images", { recursive: true });
for (const name of ["draft", "install", "menu", "models", "rewrite"]) {
  cpSync(`../docs/images/vscode-${name}.png`, `images/vscode-${name}.png`);
}

await build({
  entryPoints: ["src/main.ts"],
  outfile: "dist/main.js",
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node18",
  external: ["vscode"],
  minify: true,
  sourcemap: process.argv.includes("--dev") ? "inline" : false,
  // Read by main.ts: loading this file is part of the activation.
  banner: {
    js: "globalThis.dgLspLoading = { since: performance.now(), cpu: process.cpuUsage() };",
  },
});

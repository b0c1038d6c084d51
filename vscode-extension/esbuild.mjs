// Bundles the extension into dist/main.js.
import { build } from "esbuild";

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

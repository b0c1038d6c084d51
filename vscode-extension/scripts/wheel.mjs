// Builds the wheel of this checkout into dist/wheel: the server that the extension installs.
// Does nothing where there is one already that is newer than its sources.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";

const ROOT = path.resolve("..");
const OUT = path.resolve("dist", "wheel");

const sources = [
  ...["pyproject.toml", "README.md", "LICENSE"],
  ...readdirSync(path.join(ROOT, "dg_lsp"), { recursive: true })
    .filter((name) => !name.includes("__pycache__"))
    .map((name) => path.join("dg_lsp", name)),
];
const modified = (file) => statSync(file).mtimeMs;
const newest = Math.max(...sources.map((name) => modified(path.join(ROOT, name))));

mkdirSync(OUT, { recursive: true });
const [wheel] = readdirSync(OUT);
if (wheel === undefined || modified(path.join(OUT, wheel)) < newest) {
  rmSync(OUT, { recursive: true });
  const own = path.join(ROOT, ".venv", "bin", "python");
  const python = process.env.PYTHON ?? (existsSync(own) ? own : "python3");
  const options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", OUT];
  execFileSync(python, ["-m", "pip", "wheel", ...options, ROOT], { stdio: "inherit" });
}

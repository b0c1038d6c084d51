"""Text in other languages, from folders made here in the form that npm and Neovim install."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dg_lsp.training.packages import clean, gather_packages

CODE = "".join(
    f"export function part{n}(list) {{\n  return list.filter((x) => x > {n});\n}}\n\n"
    for n in range(12)
)
LUA = "".join(f"function M.part{n}(list)\n  return #list + {n}\nend\n\n" for n in range(20))
NOTICE = "/*!\n * Copyright (c) Somebody. Licensed under the MIT License.\n */\n"


def package(modules: Path, name: str, licence: str, files: dict[str, str]) -> None:
    folder = modules / name
    folder.mkdir(parents=True)
    facts = {"name": name, "version": "1.2.3", "license": licence}
    (folder / "package.json").write_text(json.dumps(facts))
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    return tmp_path / "node_modules"


def paths(modules: Path) -> list[str]:
    # One package must not be more than its share of a language; twenty others stand beside it.
    for n in range(20):
        own = {f"a.{kind}": CODE.replace("part", f"{kind}{n}_") for kind in ("js", "ts")}
        package(modules, f"filler-{n}", "MIT", own)
    files, _ = gather_packages([modules])
    return [file.path for file in files if "filler" not in file.path]


def test_only_permissive_packages_are_read(modules: Path) -> None:
    package(modules, "open", "MIT", {"index.js": CODE})
    package(modules, "closed", "GPL-3.0", {"index.js": CODE.replace("part", "piece")})
    package(modules, "@scope/open", "(MIT OR CC0-1.0)", {"index.js": CODE.replace("part", "x")})

    assert paths(modules) == ["npm @scope/open/index.js", "npm open/index.js"]


@pytest.mark.parametrize(
    "path",
    [
        "index.d.ts",
        "index.min.js",
        "umd/index.js",
        "test/index.js",
        "dist/index.js",
        "node_modules/other/index.js",
    ],
)
def test_what_nobody_wrote_by_hand_is_left_out(modules: Path, path: str) -> None:
    files = {path: CODE, "src/index.ts": CODE.replace("part", "piece")}
    package(modules, "open", "MIT", files)

    assert paths(modules) == ["npm open/src/index.ts"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (CODE, CODE),
        (NOTICE + CODE, CODE),
        ("'use strict';\n" + NOTICE + CODE, "'use strict';\n" + CODE),
        ("// What it does.\n\n" + CODE, "// What it does.\n\n" + CODE),
        (CODE + "//# sourceMappingURL=index.js.map\n", CODE),
        ("// Licensed under the GNU General Public License\n" + CODE, None),
        (CODE + "const table = [" + "1, " * 200 + "];\n", None),
        ("Object.defineProperty(exports, '__esModule', {});\n" + CODE, None),
        (CODE[:200], None),
    ],
)
def test_notices_go_and_files_that_a_program_wrote(text: str, kept: str | None) -> None:
    assert clean(text.encode()) == kept


def test_where_it_comes_from_is_told(modules: Path, tmp_path: Path) -> None:
    for n in range(9):
        package(modules, f"open-{n}", "ISC", {"a.mts": CODE.replace("part", f"part{n}_")})
    runtime = tmp_path / "runtime"
    (runtime / "lua" / "vim").mkdir(parents=True)
    (runtime / "lua" / "vim" / "part.lua").write_text(LUA)

    files, sources = gather_packages([modules, runtime])

    assert [source.distribution for source in sources] == [
        "neovim",
        *(f"npm open-{n}" for n in range(9)),
    ]
    assert (sources[1].version, sources[1].licence, sources[1].files) == ("1.2.3", "ISC", 1)
    assert sources[0].licence == "Apache-2.0"
    assert len(files) == 10


def test_one_family_of_packages_does_not_make_up_a_language(modules: Path) -> None:
    large = {f"{n}.js": CODE.replace("part", f"part{n}_") for n in range(60)}
    package(modules, "large", "MIT", large)

    kept = [path for path in paths(modules) if path.startswith("npm large/")]

    assert 0 < len(kept) <= 0.15 * (60 + 20)


def test_a_folder_of_neither_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        gather_packages([tmp_path])

"""`dg-lsp models --available`: what `dg-lsp pull` can download, and whether it fits."""

from __future__ import annotations

import json


def print_available(*, as_json: bool) -> None:
    from dg_lsp.diagnosis.available import list_available
    from dg_lsp.diagnosis.findings import size_of

    for row in list_available():
        if as_json:
            print(json.dumps(row))
            continue
        state = "is here" if row["is_here"] else "is begun" if row["is_begun"] else ""
        print(f"{row['name']}{f' ({state})' if state else ''}: {row['about']}")
        print(
            f"  {size_of(row['download_bytes'])} to download, "
            f"{size_of(row['kept_bytes'])} to keep; dg-lsp pull {row['short_name']}"
        )
        print(f"  licence: {row['licence']} ({row['licence_url']})")
        for figure in row["published"]:
            print(f"  published elsewhere, not measured here: {figure}")
        fits = "fits this machine" + (", and is the best that does" if row["is_best"] else "")
        print("\n".join(f"  ! {one}" for one in row["obstacles"]) or f"  {fits}")

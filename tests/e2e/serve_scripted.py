"""The real server over stdio with an engine that follows a script; run as a process.

Usage: serve_scripted.py '{"answers": {"TEXT BEFORE": ["INFILL", ...]}, "step_s": 0.0, ...}'

`"rewrites": {"WORDS": "TEXT"}` says what comes of an instruction with these words in it; any
other one comes back as a comment.
`"pinned": ["TEXT", ...]` is what is written around pinned texts; without it, an INFILL is, with
`|` between these texts.
`{strength}` and `{seed}` in the text are those of the job. `"blocks": {"WORDS": NUMBER}` says
in how many blocks such a rewrite is written. With `"held": true` jobs draft, but end only when
the request `test/release` comes. Further arguments change nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys

from dg_lsp.job import InfillJob
from dg_lsp.server.app import create_server
from dg_lsp.server.link.scripted import Pace, ScriptedLink
from dg_lsp.server.rpc.transport import serve_stdio, serve_tcp

PACE = ("num_drafts", "step_s", "best_settles_last", "confidences")


async def main() -> int:
    options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    answers, rewrites = options.get("answers", {}), options.get("rewrites", {})

    def script(job: InfillJob) -> list[str]:
        pace.blocks = options.get("blocks", {}).get(job.instruction, 1)
        if job.pinned and "pinned" in options:
            return ["|".join(options["pinned"])]
        if job.instruction is not None:
            for words, text in rewrites.items():
                if words in job.instruction:
                    text = text.replace("{strength}", str(job.strength))
                    return [text.replace("{seed}", str(job.seed))]
            return [f"# {job.instruction}"]
        for before, texts in answers.items():
            if job.prefix.endswith(before):
                return [*texts]
        return [*options.get("otherwise", ["infilled"])]

    pace = Pace(**{name: options[name] for name in PACE if name in options})
    link = ScriptedLink(script, pace)
    session = create_server(link)
    protocol = session.server.protocol

    if options.get("held"):
        link.engine.gate.clear()

    @session.server.feature("test/release")
    def release(params: dict[str, str]) -> None:
        link.engine.gate.set()

    @session.server.feature("test/text")
    def text(params: dict[str, str]) -> str | None:
        document = protocol.documents.get(params["uri"])
        return None if document is None else document.text

    @session.server.feature("test/jobs")
    def jobs(params: dict[str, str]) -> list[str]:
        return [state.value for state in link.engine.states]

    if options.get("tcp"):

        def say(host: str, port: int) -> None:
            print(port, flush=True)

        status = await serve_tcp(protocol, session.close, "127.0.0.1", 0, say)
    else:
        status = await serve_stdio(protocol, session.close, sys.stdin.buffer, sys.stdout.buffer)
    heavy = {"torch", "transformers"} & set(sys.modules)
    assert not heavy, f"the front end loaded {heavy}"
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""Where an evaluation looks for texts that stand elsewhere."""

from __future__ import annotations

import pytest

from dg_lsp.evaluation import SeedSource
from dg_lsp.evaluation.elsewhere import contexts, with_open_files
from dg_lsp.evaluation.spans import TrueSpan, draw_spans, held_out, job_of
from dg_lsp.job import SeedOrigin

OTHER = ("other.py", "def frobnicate():\n    wibble = quux(frob, 7)\n")
SPAN = TrueSpan("own.py", "x = wibble(1)\n    wibble = quux(", ")\n", "frob, 7", "line")


@pytest.mark.parametrize(
    ("source", "is_found"),
    [(SeedSource.NONE, False), (SeedSource.DOCUMENT, False), (SeedSource.FOLDER, True)],
)
def test_only_the_folder_has_what_stands_in_another_file(source, is_found):
    context = contexts(source, [OTHER])(SPAN)
    texts = [seed.text for seed in job_of(SPAN, context=context).seeds]
    assert ("frob, 7" in texts) is is_found


def test_the_own_file_on_disk_is_no_evidence():
    context = contexts(SeedSource.FOLDER, [("own.py", OTHER[1])])(SPAN)
    assert "frob, 7" not in [seed.text for seed in job_of(SPAN, context=context).seeds]


def test_texts_of_open_files_come_from_other_files_of_the_set():
    found = [
        seed
        for span in draw_spans(held_out(False), 10, 1)
        for seed in job_of(span, context=with_open_files(span)).seeds
        if seed.origin is SeedOrigin.OPEN_FILE and seed.path != span.path
    ]
    assert found

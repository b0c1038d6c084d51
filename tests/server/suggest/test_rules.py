"""Where the model is not asked while the user types. `|` is the cursor."""

from __future__ import annotations

import pytest

from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.reason import ReasonCode
from dg_lsp.server.suggest.rules import RULES, Entry, Situation, reason_not_to_ask

DELETED = Situation(is_deletion=True)


def site(marked):
    prefix, suffix = marked.split("|")
    return InsertionSite("file:///a.py", "a.py", "python", "\n", prefix, suffix)


def rule(marked, situation=None):
    reason = reason_not_to_ask(site(marked), situation or Situation())
    if reason is None:
        return None
    assert reason.code is ReasonCode.NOT_ASKED
    [name] = [one.__name__ for one, message in RULES.items() if message == reason.message]
    return name


@pytest.mark.parametrize(
    ("marked", "situation", "expect"),
    [
        ("prin|", DELETED, "after_deletion_in_word"),
        ("größ|", DELETED, "after_deletion_in_word"),
        ("_|", DELETED, "after_deletion_in_word"),
        ("x = |", DELETED, None),
        ("f(|)", DELETED, None),
        ("prin|", None, None),
        ("pri|nt", None, "inside_word"),
        ("x = |name", None, None),
        ("name| + 1", None, None),
        ("name|(", None, None),
        ("f(g(x)|)", None, "only_closers_to_come"),
        ("f('x'|)", None, "only_closers_to_come"),
        ("f(x[0]|, )", None, None),
        ("if f(g()|):\n    pass", None, "only_closers_to_come"),
        ("f([g()|]);\nnext", None, "only_closers_to_come"),
        ("f(|)", None, None),
        ("f(x|)", None, None),
        ("f(g(x)|, y)", None, None),
        ("f(g(x))|\n", None, None),
        ("f(g(x),\n|)", None, None),
        ("import os|", Situation(entry=Entry("os.path", "os")), None),
        ("x.tostr|", Situation(entry=Entry("to_string", "tostr")), "entry_not_extended"),
        ("x.|", Situation(entry=Entry("append", "")), None),
    ],
)
def test_cases(marked, situation, expect):
    assert rule(marked, situation) == expect

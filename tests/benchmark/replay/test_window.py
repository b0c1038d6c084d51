"""What the simulated editors show after a key."""

from __future__ import annotations

import pytest

from dg_lsp.benchmark.replay.buffer import Buffer
from dg_lsp.benchmark.replay.typist import Key, Kind
from dg_lsp.benchmark.replay.window import NEOVIM, VSCODE, Seen, Window


class Client:
    """Takes what the window sends."""

    def open(self, text, uri, language):
        pass

    def change(self, uri, change):
        pass

    def complete(self, uri, line, character, **options):
        return 1


@pytest.mark.parametrize(
    ("manners", "shown", "key", "expect"),
    [
        (VSCODE, "a + b", "a", " + b"),
        (VSCODE, "a + b", "q", ""),
        # A pair that closes itself: what belongs between the two is left.
        (VSCODE, '"("', '"', "("),
        (VSCODE, "(rows)", "(", "rows"),
        # The suggestion goes on behind the pair, where the cursor is not.
        (VSCODE, "(rows):", "(", ""),
        (NEOVIM, '"("', '"', '("'),
    ],
)
def test_what_is_left_of_ghost_text_after_a_key(manners, shown, key, expect):
    buffer = Buffer("x = \n", 4, closes_brackets=manners.closes_brackets)
    window = Window(Client(), "file:///a.py", buffer, manners, Seen())
    window.press(Key(Kind.TYPE, " "), 0.0)
    window.tick(1000.0)
    answer = {"id": 1, "result": {"items": [{"insertText": shown}]}}
    window.take(answer, 1000.0)
    window.press(Key(Kind.TYPE, key), 2000.0)

    assert window.visible == expect

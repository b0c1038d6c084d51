"""What is recorded of typing, and what never is."""

from __future__ import annotations

import pytest

from dg_lsp.server.recorder import LEAST_EDITS, Recorder

URI = "file:///a.py"
SECRET = "password = 'tr0ub4dor-x81Kq2-vLm'"


class Typing:
    """A document that is typed into, one edit a tenth of a second."""

    def __init__(self, text="x = \n", most_edits=1000, most_chars=10_000):
        self.kept = []
        self.recorder = Recorder(lambda *kept: self.kept.append(kept), most_edits, most_chars)
        self.text, self.now_s = text, 0.0
        self.recorder.open(URI, "python", text, 0.0)

    def edit(self, at, removed, inserted):
        self.now_s += 0.1
        self.text = self.text[:at] + inserted + self.text[at + removed :]
        self.recorder.text_changed(URI, self.text, self.now_s)

    def type(self, text, at=4):
        for offset, key in enumerate(text):
            self.edit(at + offset, 0, key)

    def close(self):
        self.recorder.close(URI)
        return self.kept


def test_the_edits_lead_from_the_first_text_to_the_last():
    typing = Typing()
    typing.type("total + 1")
    typing.edit(4, 5, "sum")
    typing.edit(0, 0, "# note\n")
    [(language, text, edits)] = typing.close()
    for after_ms, at, removed, inserted in edits:
        assert after_ms == 100
        text = text[:at] + inserted + text[at + removed :]

    assert (language, text) == ("python", typing.text)


def test_a_few_edits_are_not_worth_keeping():
    typing = Typing()
    typing.type("a" * (LEAST_EDITS - 1))

    assert typing.close() == []


def test_a_document_with_a_secret_is_not_recorded():
    typing = Typing(SECRET + "\n")
    typing.type("# a long comment")

    assert typing.close() == []


@pytest.mark.parametrize("pasted", [True, False])
def test_a_secret_that_is_taken_back_is_not_recorded_either(pasted):
    typing = Typing()
    typing.type("# a long comment\n", at=5)
    if pasted:
        typing.edit(5, 0, SECRET)
    else:
        typing.type(SECRET, at=5)
    typing.edit(5, len(SECRET), "")
    typing.type("more of it", at=5)

    assert typing.close() == []


def test_recordings_are_bounded():
    typing = Typing(most_edits=20)
    typing.type("b" * 50)
    [(_, _, edits)] = typing.close()
    assert len(edits) == 20

    typing = Typing(most_chars=30)
    typing.type("b" * 50)
    assert typing.close() == []


def test_a_document_that_was_not_opened_for_it():
    recorder = Typing().recorder
    recorder.text_changed("file:///other.py", "x", 1.0)
    recorder.close("file:///other.py")

"""What is counted of suggestions, by the edits of an editor."""

from __future__ import annotations

import pytest

from dg_lsp.server.usage import Usage

URI = "file:///a.py"


class Session:
    """A document whose edits and answers are noted."""

    def __init__(self):
        self.records, self.later = [], []
        self.usage = Usage(
            self.records.append, lambda uri, accepted: self.later.append(accepted)
        )
        self.text = "x = \n"

    def show(self, *texts, at=4):
        self.usage.show(URI, self.text, (at, at), texts, "python", "bundled")

    def edit(self, at, text, removed=0):
        self.text = self.text[:at] + text + self.text[at + removed :]
        self.usage.text_changed(URI, self.text)

    @property
    def events(self):
        return [record["event"] for record in self.records]


@pytest.fixture
def session():
    return Session()


@pytest.mark.parametrize(
    ("edits", "expect"),
    [
        pytest.param([(4, "total + 1")], ["shown", "accepted"], id="whole"),
        pytest.param([(4, "other()")], ["shown", "accepted"], id="the second alternative"),
        pytest.param([(4, "total"), (9, " + 1")], ["shown", "partly", "completed"], id="parts"),
        pytest.param([(4, "total")], ["shown", "partly"], id="a word"),
        pytest.param(
            [(4, "t"), (5, "otal + 1")], ["shown", "accepted"], id="typed, then taken"
        ),
        pytest.param(
            [(4 + i, key) for i, key in enumerate("total + 1")], ["shown"], id="typed"
        ),
        pytest.param([(4, "q"), (5, "otal + 1")], ["shown"], id="something else"),
        pytest.param([(0, "y = 1\n"), (10, "total + 1")], ["shown"], id="moved away"),
        pytest.param(
            [(4, "t"), (4, "", 1), (4, "total + 1")], ["shown", "accepted"], id="back"
        ),
    ],
)
def test_edits_tell_what_was_accepted(session, edits, expect):
    session.show("total + 1", "other()")
    for edit in edits:
        session.edit(*edit)

    assert session.events == expect


def test_the_rest_of_what_is_shown_is_not_another_suggestion(session):
    session.show("total + 1")
    session.edit(4, "to")
    session.show("tal + 1", at=6)
    session.edit(6, "tal + 1")

    assert session.events == ["shown", "partly", "completed"]


def test_another_suggestion_is_another_one(session):
    session.show("total + 1")
    session.edit(4, "q")
    session.show("uick", at=5)
    session.edit(5, "uick")

    assert session.events == ["shown", "shown", "accepted"]


def test_a_line_that_the_editor_indents_is_typed(session):
    session.show("\n    return x")
    session.edit(4, "\n    ")

    assert session.events == ["shown"]


@pytest.mark.parametrize(("edit", "expect"), [((0, "y"), "kept"), ((5, "", 2), "changed")])
def test_what_is_left_after_a_while(session, edit, expect):
    session.show("total + 1")
    session.edit(4, "total + 1")
    session.edit(*edit)
    [accepted] = session.later
    session.usage.look_again(accepted, session.text)

    assert session.events[-1] == expect


def test_a_text_that_was_there_before_is_not_taken_for_the_accepted_one(session):
    session.text = "x = \ntotal + 1\n"
    session.show("total + 1")
    session.edit(4, "total + 1")
    session.edit(4, "", 9)
    session.usage.look_again(session.later[0], session.text)

    assert session.events[-1] == "changed"


def test_nothing_of_the_text_is_recorded(session):
    session.show("total + 1")
    session.edit(4, "total + 1")

    assert all("total" not in str(record) for record in session.records)
    assert session.records[-1]["chars"] == 9
    assert {record["model"] for record in session.records} == {"bundled"}


def test_a_closed_document_is_forgotten(session):
    session.show("total + 1")
    session.usage.forget(URI)
    session.edit(4, "total + 1")

    assert session.events == ["shown"]

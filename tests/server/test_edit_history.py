from dg_lsp.server.edit_history import MAX_CHARS, EditHistory

URI = "file:///a.py"


def history():
    told = []
    return EditHistory(lambda event, uri, offer: told.append((event, offer.text))), told


def test_an_accepted_edit_is_none_of_the_users():
    edits, told = history()
    edits.open(URI, "a = 1\n\n\nb = a\n")
    edits.text_changed(URI, "c = 1\n\n\nb = a\n")
    edits.offered(URI, "c", "python", "c = 1\n\n\nb = c\n")
    edits.text_changed(URI, "c = 1\n\n\nb = c\n")
    assert [edit.before for edit in edits.edits(URI)] == ["a"]
    assert told == [("shown", "c"), ("accepted", "c")]


def test_the_same_edit_that_is_offered_again_is_counted_once():
    edits, told = history()
    edits.open(URI, "a")
    first = edits.offered(URI, "c", "python", "c")
    assert edits.offered(URI, "c", "python", "c") is first
    edits.shown(first.id)
    edits.shown(first.id)
    edits.shown("unknown")
    assert told == [("shown", "c")]


def test_another_edit_withdraws_the_offer():
    edits, told = history()
    edits.open(URI, "a = 1\n")
    offer = edits.offered(URI, "c", "python", "c = 1\n")
    edits.text_changed(URI, "a = 12\n")
    edits.shown(offer.id)
    assert not edits.dismissed(offer.id)
    edits.text_changed(URI, "c = 1\n")
    assert told == []


def test_a_closed_document_and_a_very_long_one_have_no_edits():
    edits, _ = history()
    edits.open(URI, "a")
    edits.text_changed(URI, "b")
    edits.forget(URI)
    assert edits.edits(URI) == ()
    edits.open(URI, "a" * MAX_CHARS)
    edits.text_changed(URI, "a" * MAX_CHARS + "b")
    assert edits.edits(URI) == ()

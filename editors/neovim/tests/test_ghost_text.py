"""The plugin's ghost text: it follows what is typed, and is accepted as it is shown."""

from __future__ import annotations

import pytest

LOOP = "for i in "
BODY = "range(n):\n    print(i)\n"
SUM = {"return ": ["alpha + beta", "alpha - beta", "alpha * beta"]}


@pytest.fixture
def at_return(plugged):
    """Ghost text `alpha + beta` behind `return `."""
    editor = plugged(answers=SUM)
    editor.open("return\n")
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")
    return editor


def test_the_bundled_model_writes_and_tab_accepts(plugged_with_model, two_alike):
    editor = plugged_with_model
    editor.events("DgLspShown", "DgLspAccepted")
    editor.open(two_alike)
    editor.keys("10GA ")
    editor.wait_for_ghost("reserved.get(name, 0) + count", patience_s=90)
    editor.keys("<Tab>")
    editor.until(
        lambda: editor.text()[9] == "    reserved[name] = reserved.get(name, 0) + count"
    )
    names = [name for name, _ in editor.noted()]
    assert names[-1] == "DgLspAccepted"
    assert "DgLspShown" in names


def test_typing_in_agreement_leaves_the_rest_without_asking(at_return):
    with at_return.server_stopped():
        at_return.keys("al")
        at_return.wait_for_ghost("pha + beta")


def test_typing_otherwise_hides_it_without_asking(at_return):
    with at_return.server_stopped():
        at_return.keys("q")
        at_return.wait_for_no_ghost()


def test_accepted_right_after_typing_nothing_is_doubled(at_return):
    at_return.keys("al<Tab>")
    at_return.until(lambda: at_return.text() == ["return alpha + beta"])
    assert at_return.cursor() == [1, len("return alpha + beta")]


def test_what_is_typed_right_after_accepting_stands_behind(at_return):
    at_return.keys("<Tab>)")
    at_return.until(lambda: at_return.text() == ["return alpha + beta)"])
    assert at_return.cursor() == [1, len("return alpha + beta)")]


def test_a_disagreeing_key_and_tab_in_a_burst_accept_nothing(at_return):
    at_return.keys("q<Tab>")
    at_return.until(lambda: at_return.text()[0].startswith("return q "))
    assert at_return.text()[0].strip() == "return q"


def test_word_by_word_the_rest_stays_on_screen(at_return):
    for text, rest in (("alpha", " + beta"), ("alpha +", " beta"), ("alpha + beta", None)):
        at_return.keys("<M-Right>")
        at_return.until(lambda: at_return.text() == [f"return {text}"])  # noqa: B023
        assert at_return.ghost() == rest
    at_return.keys("<Esc>u")
    at_return.until(lambda: at_return.text() == ["return alpha +"])


def test_line_by_line(plugged):
    editor = plugged(answers={LOOP: [BODY.rstrip()]})
    editor.open("for i in\n")
    editor.keys("A ")
    editor.wait_for_ghost("range(n):\n    print(i)")
    editor.keys("<M-Down>")
    editor.until(lambda: editor.text() == ["for i in range(n):"])
    assert editor.ghost() == "\n    print(i)"
    editor.keys("<M-Down>")
    editor.until(lambda: editor.text() == ["for i in range(n):", "    print(i)"])
    assert editor.cursor() == [2, len("    print(i)")]


def test_accepting_is_a_step_of_undo(at_return):
    at_return.keys("<Tab>")
    at_return.until(lambda: at_return.text() == ["return alpha + beta"])
    at_return.keys("<Esc>u")
    at_return.until(lambda: at_return.text() == ["return "])


@pytest.mark.parametrize(
    ("before", "after", "written", "repeated"),
    [
        ("return", "", "alpha + beta", "x alpha + beta"),
        ("f(", ")", "alpha,\n  beta", "x alpha,\n  beta"),
    ],
)
def test_a_dot_repeats_an_accept(plugged, before, after, written, repeated):
    editor = plugged(answers={f"{before} ": [written]})
    editor.open(f"x\n{before}{after}\n")
    editor.keys(f"j0{len(before) - 1}la " if after else "jA ")
    editor.wait_for_ghost()
    editor.keys("<Tab>")
    accepted = f"{before} {written}{after}"
    editor.until(lambda: "\n".join(editor.text()[1:]) == accepted)
    editor.keys("<Esc>gg.")
    editor.until(lambda: "\n".join(editor.text()) == f"{repeated}\n{accepted}")


def test_the_next_candidate_is_asked_for_and_accepted(at_return):
    at_return.keys("<M-]>")
    at_return.wait_for_ghost("alpha - beta (2/3)")
    at_return.keys("<M-]>")
    at_return.wait_for_ghost("alpha * beta (3/3)")
    at_return.keys("<M-[>")
    at_return.wait_for_ghost("alpha - beta (2/3)")
    at_return.keys("al")
    at_return.wait_for_ghost("pha - beta")
    at_return.keys("<Tab>")
    at_return.until(lambda: at_return.text() == ["return alpha - beta"])


def test_dismissed_it_is_gone_and_tab_is_a_tab(at_return):
    at_return.keys("<C-]>")
    at_return.wait_for_no_ghost()
    at_return.keys("<Tab>")
    at_return.until(lambda: at_return.text() == ["return  "])


def test_on_demand_only(plugged):
    editor = plugged({"trigger": "manual"}, answers=SUM)
    editor.open("return\n")
    editor.keys("A ")
    editor.settle()
    assert editor.ghost() is None
    editor.keys("<M-\\>")
    editor.wait_for_ghost("alpha + beta")


def test_asked_by_hand_in_vain_the_reason_is_said(plugged):
    editor = plugged({"languages": {"python": False}}, answers=SUM)
    editor.open("return\n")
    editor.keys("A ")
    editor.settle()
    assert editor.messages() == ""
    editor.keys("<M-\\>")
    editor.until(lambda: "languages" in editor.messages())


def test_by_hand_without_a_server_it_says_so(plugged):
    editor = plugged({}, {"filetypes": ["lua"]})
    editor.command("edit a.py")
    editor.keys("i<M-\\>")
    editor.until(lambda: "no server runs in this buffer" in editor.messages())
    assert editor.mode() == "i"


def test_where_there_is_one_candidate_only_it_is_said(plugged):
    editor = plugged(answers={"= ": ["alpha"]})
    editor.open("x =\n")
    editor.keys("A ")
    editor.wait_for_ghost("alpha")
    editor.keys("<M-]>")
    editor.until(lambda: "there is no other candidate" in editor.messages())
    assert editor.ghost() == "alpha"


def test_several_lines_in_the_middle_of_a_line_are_shown_as_they_will_be(plugged):
    editor = plugged(answers={LOOP: [BODY]})
    editor.open(f"x = [\n{LOOP})]\n]\n")
    editor.keys("jf)i")
    editor.wait_for_ghost()
    shown = editor.screen()
    editor.keys("<Tab>")
    editor.until(lambda: len(editor.text()) > 3)
    assert editor.screen() == shown


@pytest.mark.parametrize("before", ["naïve = ", "变量 = ", "🙂 = "])
def test_beside_wide_characters(plugged, before):
    editor = plugged(answers={before: ["圆é + 1"]})
    editor.open(f"{before.rstrip()}\n")
    editor.keys("A ")
    editor.wait_for_ghost("圆é + 1")
    editor.keys("圆")
    editor.wait_for_ghost("é + 1")
    editor.keys("<M-Right>")
    editor.until(lambda: editor.text() == [f"{before}圆é"])
    editor.wait_for_ghost(" + 1")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text() == [f"{before}圆é + 1"])

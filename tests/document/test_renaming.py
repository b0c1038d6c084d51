"""What is called differently at another place."""

from __future__ import annotations

from dg_lsp.document.renaming import aligned


def test_equal_tokens_are_side_by_side() -> None:
    assert aligned(["f", "(", "a", ")"], ["f", "(", "a", ",", "b", ")"]) == [
        ("f", "f"),
        ("(", "("),
        ("a", "a"),
        ("", ","),
        ("", "b"),
        (")", ")"),
    ]


def test_very_long_sequences_are_side_by_side_as_far_as_they_begin_alike() -> None:
    there, here = [*".,.," * 25_000, "a"], [*".,.," * 25_000, *".;" * 50_000]
    pairs = aligned(there, here)
    assert pairs[:100_000] == [*zip(there[:100_000], here, strict=False)]
    assert pairs[100_000:] == [(one, "") for one in there[100_000:]] + [
        ("", one) for one in here[100_000:]
    ]

"""Text to ids and back, for both families of tokenizers."""

from __future__ import annotations

import functools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from dg_lsp.models.tokenizer import FileCodec, TokenizerError, read_codec
from dg_lsp.reason import ReasonCode
from dg_lsp.training.tokenizer import CONTROL

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def gemma_like(added: tuple[str, ...] = (), control: tuple[str, ...] = CONTROL) -> Tokenizer:
    """A small tokenizer of Gemma's family: spaces as U+2581, other characters as bytes."""
    pieces = [
        *control,
        *added,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *"▁abcdef()=\t",
        *("ab", "▁a", "▁ab", "▁▁"),
    ]
    merges = [("▁", "▁"), ("▁", "a"), ("▁a", "b"), ("a", "b")]
    tokenizer = Tokenizer(
        models.BPE(
            {piece: number for number, piece in enumerate(dict.fromkeys(pieces))},
            merges,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in control])
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in added])
    return tokenizer


@pytest.fixture(scope="session", params=["tiny_codec", "few_pieces", "gemma_codec"])
def codec(request) -> FileCodec:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def few_pieces() -> FileCodec:
    return FileCodec(gemma_like())


def read(codec: FileCodec, ids: list[int]) -> str:
    return b"".join(codec.token_bytes(i) for i in ids).decode()


@settings(deadline=None)
@given(text=TEXT)
@example("<bos><|turn>model\n<turn|><pad><eos>")
@example("<0x0A>\n\t naïve 圆🙂\r\n\x00")
@example("  ab (ab)\n    a = 1")
@example("\n\n\n" + " " * 40 + "return" + "\t" * 9)
@example("<table><mask>[multimodal]<unused0></table> <unused6241>")
def test_any_text_comes_back_as_it_was(codec, text):
    # The family with byte fallback writes a space and U+2581 alike.
    if codec.encode("▁") == codec.encode(" "):
        text = text.replace("▁", " ")

    ids = codec.encode(text)
    assert read(codec, ids) == text
    assert not set(ids) & set(codec.control.disallowed)


@functools.cache
def texts_of(codec: FileCodec) -> dict[int, bytes]:
    """The bytes of all tokens that are text."""
    pieces = {i: codec.token_bytes(i) for i in range(codec.vocab_size)}
    return {i: piece for i, piece in pieces.items() if piece}


@functools.cache
def some_piece(codec: FileCodec) -> st.SearchStrategy[bytes]:
    return st.sampled_from([b"", *texts_of(codec).values()])


def stems(codec: FileCodec) -> st.SearchStrategy[bytes]:
    pieces = some_piece(codec)
    return st.one_of(
        pieces,
        st.binary(max_size=3),
        st.tuples(pieces, st.integers(0, 5)).map(lambda cut: cut[0][cut[1] :]),
        st.tuples(pieces, st.integers(0, 5)).map(lambda cut: cut[0][: cut[1]]),
    )


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_tokens_by_their_first_or_last_bytes(codec, data):
    stem = data.draw(stems(codec))
    texts = texts_of(codec)

    starting, ending = codec.starting_with(stem).tolist(), codec.ending_with(stem).tolist()
    assert sorted(starting) == [i for i, piece in texts.items() if piece.startswith(stem)]
    assert sorted(ending) == [i for i, piece in texts.items() if piece.endswith(stem)]
    # Those that equal the stem come first.
    for found in (starting, ending):
        equal = [texts[i] == stem for i in found]
        assert equal == sorted(equal, reverse=True)


def test_control_tokens_write_nothing_and_are_barred(codec):
    control = codec.control
    named = (control.pad, control.bos, control.turn_start, control.turn_end)

    assert set(named) < set(control.disallowed)
    assert {codec.token_bytes(i) for i in control.disallowed} == {b""}
    assert all(
        codec.token_bytes(i) for i in range(codec.vocab_size) if i not in control.disallowed
    )


def test_zero_bytes_at_the_end_of_tokens_do_not_confuse_the_search():
    texts = ["\0", "\0\0", "a", "a\0", "a\0\0", "a\0b", "b\0", "\0a"]
    codec = FileCodec(gemma_like(added=(*texts,)))
    by_text = {codec.token_bytes(i): i for i in range(codec.vocab_size)}

    def found(ids) -> set[bytes]:
        return {codec.token_bytes(int(i)) for i in ids}

    assert found(codec.starting_with(b"a\0")) == {b"a\0", b"a\0\0", b"a\0b"}
    assert found(codec.ending_with(b"\0\0")) == {b"\0\0", b"a\0\0"}
    assert found(codec.ending_with(b"a")) == {b"a", b"\0a", b" a"}
    assert {text.encode() for text in texts} <= by_text.keys()


LIKE_CONTROL = ["<mask>", "[multimodal]", "<unused0>", "<unused6241>", "<|fim_prefix|>"]


@pytest.mark.parametrize("name", LIKE_CONTROL)
def test_an_added_token_that_looks_like_a_control_token_is_one(name):
    # Files declare these as ordinary added tokens.
    codec = FileCodec(gemma_like(added=(name, "<table>")))
    number = len(CONTROL)
    ids = codec.encode(f"a{name}b")

    assert number in codec.control.disallowed
    assert codec.token_bytes(number) == b""
    # In a document, it is nothing but its letters.
    assert number not in ids
    assert read(codec, ids) == f"a{name}b"


@pytest.mark.parametrize("names", [("<image_soft_token>",), ("one", "two")])
def test_added_tokens_beyond_the_models_vocabulary_are_ignored(names):
    tokenizer = gemma_like()
    model_size = tokenizer.get_vocab_size()
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in names])
    codec = FileCodec(tokenizer, model_size)
    text = f"a{names[0]}b"

    assert codec.vocab_size == model_size
    assert max(codec.encode(text)) < model_size
    assert read(codec, codec.encode(text)) == text


def test_a_vocabulary_that_is_larger_than_the_models_stays_so():
    assert FileCodec(gemma_like(), 200).vocab_size > 200


def test_a_control_token_beyond_the_models_vocabulary_is_missing():
    tokenizer = gemma_like(control=CONTROL[:-1])
    model_size = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens([AddedToken(CONTROL[-1], special=True)])

    with pytest.raises(TokenizerError) as raised:
        FileCodec(tokenizer, model_size)

    assert CONTROL[-1] in str(raised.value)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (" ab", [b" ab"]),
        ("a ab", [b"a", b" ab"]),
        ("\n", [b"\n"]),
        ("圆", [b"\xe5", b"\x9c", b"\x86"]),
        ("    a", [b"  ", b"  ", b"a"]),
        ("<0x0A>", [b"<", b"0", b"x", b"0", b"A", b">"]),
    ],
)
def test_byte_fallback_pieces(text, pieces):
    codec = FileCodec(gemma_like())

    assert [codec.token_bytes(i) for i in codec.encode(text)] == pieces


@pytest.mark.parametrize("text", ["\n\n", "▁▁▁▁", "<table>", "\t\t"])
def test_text_that_was_added_as_a_token_of_its_own_is_still_text(text):
    # Gemma's files list runs of line breaks and spaces and HTML tags as added tokens.
    codec = FileCodec(gemma_like(added=(text,)))
    written = text.replace("▁", " ")
    number = len(CONTROL)

    assert codec.token_bytes(number) == written.encode()
    assert number not in codec.control.disallowed
    assert read(codec, codec.encode(f"a{text}b")) == f"a{written}b"


@pytest.mark.parametrize("missing", ["<bos>", "<pad>", "<|turn>", "<turn|>"])
def test_a_tokenizer_without_control_tokens_is_refused(missing):
    control = tuple(name for name in CONTROL if name != missing)

    with pytest.raises(TokenizerError) as raised:
        FileCodec(gemma_like(control=control))

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    assert [name for name in CONTROL if name in str(raised.value)] == [missing]


def test_a_tokenizer_of_another_family_is_refused():
    tokenizer = Tokenizer(
        models.WordPiece({name: n for n, name in enumerate([*CONTROL, "ab", "▁圆"])})
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in CONTROL])

    with pytest.raises(TokenizerError):
        FileCodec(tokenizer)


def test_padding_and_truncation_of_the_file_are_no_matter(tmp_path):
    tokenizer = gemma_like()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    assert read(read_codec(tmp_path), read_codec(tmp_path).encode("ab ab ab")) == "ab ab ab"

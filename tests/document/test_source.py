"""What a file is read as, and the one line that each unreadable file gets."""

import os
from pathlib import Path

import pytest

from dg_lsp.document import source
from dg_lsp.document.source import SourceError, language_of, read_source


def check_read(tmp_path: Path, data: bytes, expect: str, name: str = "a.py") -> source.Source:
    path = tmp_path / name
    path.write_bytes(data)
    got = read_source(path)
    assert got.text == expect
    assert got.path == path
    return got


def check_refused(path: Path, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_source(path)
    assert str(caught.value) == message.format(path=path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "newline"),
    [
        (b"", "\n"),
        (b"one line", "\n"),
        (b"a\nb\r\nc\n", "\n"),
        (b"a\r\nb\r\nc\n", "\r\n"),
        (b"a\rb\r", "\r"),
        (b"a\nb\r\n", "\n"),
    ],
)
def test_newline_is_the_commonest(tmp_path: Path, data: bytes, newline: str) -> None:
    assert check_read(tmp_path, data, data.decode()).newline == newline


def test_byte_order_mark_is_kept_out_and_remembered(tmp_path: Path) -> None:
    got = check_read(tmp_path, b"\xef\xbb\xbfx = 1\n", "x = 1\n")
    assert (got.had_bom, got.encoding) == (True, "utf-8")
    assert not check_read(tmp_path, b"x = 1\n", "x = 1\n").had_bom


@pytest.mark.parametrize(
    ("data", "expect", "encoding"),
    [
        (b"# coding: latin-1\nx = '\xe9'\n", "# coding: latin-1\nx = '\xe9'\n", "iso8859-1"),
        (
            b"#!/usr/bin/python\n# -*- coding: cp1252 -*-\n'\x80'",
            "#!/usr/bin/python\n# -*- coding: cp1252 -*-\n'\u20ac'",
            "cp1252",
        ),
        (b"# vim: fileencoding=UTF-8\n", "# vim: fileencoding=UTF-8\n", "utf-8"),
        (b"\xef\xbb\xbf# coding: utf-8-sig\n", "# coding: utf-8-sig\n", "utf-8"),
        (b"\n\n# coding: latin-1\n", "\n\n# coding: latin-1\n", "utf-8"),
        (b"import a\n# coding: latin-1\n", "import a\n# coding: latin-1\n", "utf-8"),
    ],
)
def test_coding_cookie(tmp_path: Path, data: bytes, expect: str, encoding: str) -> None:
    assert check_read(tmp_path, data, expect).encoding == encoding


def test_coding_cookie_counts_in_python_only(tmp_path: Path) -> None:
    path = tmp_path / "a.rb"
    path.write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    check_refused(path, "{path} is not valid utf-8: byte 0xe9 at offset 23; save it as UTF-8")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ab\xffcd", "{path} is not valid utf-8: byte 0xff at offset 2; save it as UTF-8"),
        (
            b"\xef\xbb\xbfa\xff",
            "{path} is not valid utf-8: byte 0xff at offset 4; save it as UTF-8",
        ),
        (
            b"# coding: ascii\n\xc3\xa9",
            "{path} is not valid ascii: byte 0xc3 at offset 16; save it as UTF-8",
        ),
        (
            b"\x7fELF\0\0",
            "{path} is a binary file (a NUL byte at offset 4); name a text file",
        ),
        ("x = 1".encode("utf-16"), "{path} is UTF-16; save it as UTF-8"),
        (
            b"# coding: klingon\n",
            "{path} declares the encoding 'klingon', which cannot be read; "
            "save it as UTF-8 without the declaration",
        ),
        (
            b"# coding: rot13\n",
            "{path} declares the encoding 'rot13', which cannot be read; "
            "save it as UTF-8 without the declaration",
        ),
        (
            b"# coding: utf-16\n",
            "{path} declares the encoding 'utf-16', which cannot be read; "
            "save it as UTF-8 without the declaration",
        ),
        (
            b"\xef\xbb\xbf# coding: latin-1\n",
            "{path} starts with a UTF-8 byte order mark but declares 'latin-1'; remove one",
        ),
    ],
)
def test_unreadable_bytes(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    check_refused(path, message)


def test_missing(tmp_path: Path) -> None:
    check_refused(tmp_path / "none.py", "{path} does not exist; check the path")
    (tmp_path / "file").write_text("")
    check_refused(tmp_path / "file" / "a.py", "{path} does not exist; check the path")


def test_not_a_file(tmp_path: Path) -> None:
    check_refused(tmp_path, "{path} is a directory; name a file in it")
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    check_refused(fifo, "{path} is not a regular file; name a text file")


def test_odd_paths(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    check_refused(loop, "{path} cannot be read: Too many levels of symbolic links")
    with pytest.raises(SourceError, match="is not a path: embedded null byte"):
        read_source(Path("a\0b"))


def test_not_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, whom no file mode keeps out.
    monkeypatch.setattr(Path, "open", refuse)
    check_refused(path, "{path} is not readable; check its permissions")


def test_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_SOURCE_BYTES", 8)
    check_read(tmp_path, b"12345678", "12345678")
    path = tmp_path / "big.py"
    path.write_bytes(b"1234567890")
    check_refused(path, "{path} has 10 bytes; the limit is 8 bytes, name a smaller file")


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a.py", "python"),
        ("src/Main.TSX", "typescriptreact"),
        ("lib.d.ts", "typescript"),
        ("x.h", "c"),
        ("x.go", "go"),
        ("page.HTML", "html"),
        ("Makefile", "makefile"),
        ("docker/Dockerfile.prod", "dockerfile"),
        ("CMakeLists.txt", "cmake"),
        ("tsconfig.json", "jsonc"),
        ("notes.txt", "plaintext"),
        ("LICENSE", "plaintext"),
        (".bashrc", "shellscript"),
        ("", "plaintext"),
    ],
)
def test_language(path: str, language: str) -> None:
    assert language_of(Path(path)) == language

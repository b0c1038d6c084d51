"""What a file is read as, and the one line that each unreadable file gets."""

import errno
import os
from pathlib import Path

import pytest

from dg_lsp.document import source
from dg_lsp.document.source import SourceError, language_of, read_source
from dg_lsp.reason import ReasonCode


def check_read(tmp_path: Path, data: bytes, expect: str, name: str = "a.py") -> source.Source:
    path = tmp_path / name
    path.write_bytes(data)
    got = read_source(path)
    assert got.text == expect
    assert got.path == path
    return got


def check_refused(path: Path, *names: str) -> None:
    """One line, with the path and beside it what tells this cause from the others."""
    with pytest.raises(SourceError) as caught:
        read_source(path)
    message = str(caught.value)
    assert caught.value.code is ReasonCode.BAD_FILE
    assert str(path) in message
    assert "\n" not in message
    for name in names:
        assert name in message.replace(str(path), "")


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
    check_refused(path, "utf-8", "0xe9", "offset 23")


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"ab\xffcd", ("utf-8", "0xff", "offset 2", "UTF-8")),
        (b"\xef\xbb\xbfa\xff", ("utf-8", "0xff", "offset 4", "UTF-8")),
        (b"# coding: ascii\n\xc3\xa9", ("ascii", "0xc3", "offset 16", "UTF-8")),
        (b"\x7fELF\0\0", ("NUL", "offset 4")),
        ("x = 1".encode("utf-16"), ("UTF-16", "UTF-8")),
        (b"# coding: klingon\n", ("'klingon'", "UTF-8")),
        (b"# coding: rot13\n", ("'rot13'", "UTF-8")),
        (b"# coding: utf-16\n", ("'utf-16'", "UTF-8")),
        (b"\xef\xbb\xbf# coding: latin-1\n", ("byte order mark", "'latin-1'")),
    ],
)
def test_unreadable_bytes(tmp_path: Path, data: bytes, names: tuple[str, ...]) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    check_refused(path, *names)


def test_missing(tmp_path: Path) -> None:
    check_refused(tmp_path / "none.py", "exist")
    (tmp_path / "file").write_text("")
    check_refused(tmp_path / "file" / "a.py", "exist")


def test_not_a_file(tmp_path: Path) -> None:
    check_refused(tmp_path, "directory")
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    check_refused(fifo, "regular file")


def test_odd_paths(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    check_refused(loop, os.strerror(errno.ELOOP))
    with pytest.raises(SourceError) as caught:
        read_source(Path("a\0b"))
    assert caught.value.code is ReasonCode.BAD_FILE
    assert repr("a\0b") in str(caught.value)


def test_not_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, whom no file mode keeps out.
    monkeypatch.setattr(Path, "open", refuse)
    check_refused(path, "permissions")


def test_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_SOURCE_BYTES", 8)
    check_read(tmp_path, b"12345678", "12345678")
    path = tmp_path / "big.py"
    path.write_bytes(b"1234567890")
    check_refused(path, "10 bytes", "8 bytes")


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

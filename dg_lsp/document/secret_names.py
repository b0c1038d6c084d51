"""Finds secrets by the name that stands before them: `password = "..."`, `--token ...`.

A name is followed by a *link* and a value. The link determines how strictly the value is
judged: a quoted value after an equals sign may be any word, but the second argument of a call
whose first is `"password"` must look like a password. No programming language is parsed: the
links cover assignments, calls, mark-up, command lines and configuration files of any language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dg_lsp.document.secret_parts import Parts
from dg_lsp.document.secret_shapes import Secret, every
from dg_lsp.document.secret_values import (
    is_password,
    is_strong_password,
    is_strong_word,
    is_token,
)

MAX_NAME_CHARS = 80
"""How many characters of the line before a name are examined."""
MAX_VALUE_CHARS = 4096
"""Session tokens and keys in base64 can have a few thousand characters."""
MIN_PASSWORD_CHARS = 4
MIN_BARE_CHARS = 6
"""Shorter values without quotes are usually numbers or words."""

MAX_PASSWORD_CHARS = 200
MAX_LINK_CHARS = 100
"""Maximum length of a name and its link without blanks."""

# macOS writes "contrasen\u0303a" in file names, and so does text copied from them.
_FOREIGN = (
    *("contraseña", "contrasena", "contrasen\u0303a", "senha", "mot de passe", "kennwort"),
    *("wachtwoord", "parola", "hasło", "heslo", "salasana", "lösenord", "adgangskode"),
    *(
        "şifre",
        "jelszó",
        "пароль",
        "密码",
        "密碼",
        "口令",
        "パスワード",
        "暗証番号",
        "비밀번호",
        "암호",
    ),
)
_FOREIGN_TOKENS = (
    *("密钥", "密鑰", "令牌", "秘密", "トークン", "シークレット", "비밀 키", "비밀키", "토큰"),
    *("секрет", "токен", "секретный ключ", "geheimnis", "geheimschlüssel", "zugangsschlüssel"),
    *("jeton", "clé secrète", "clé api", "clave secreta", "clave api", "secreto"),
)
_PASSWORD_STARTS = ("pass", "pw", "psk", "identified by", "mnemonic", *_FOREIGN)
_TOKEN_STARTS = (
    *("secret", "token", "key", "credential", "bearer", "session"),
    *(word for word in _FOREIGN_TOKENS if not word.startswith("secret")),
)
_STARTS = [
    *((start, MAX_PASSWORD_CHARS + MAX_LINK_CHARS) for start in _PASSWORD_STARTS),
    *((start, MAX_VALUE_CHARS + MAX_LINK_CHARS) for start in _TOKEN_STARTS),
]
"""How names start, and how far after the start an unquoted value can end."""
_PARTS = Parts(start for start, _ in _STARTS)
_NAME = re.compile(
    r"(?i:(?P<password>pass(?:word|wort|wd|phrase|code)?|pwd|pw|psk|identified by|mnemonic"
    rf"|(?P<foreign>{'|'.join(_FOREIGN)}))"
    rf"|(?P<token>{'|'.join(sorted(_FOREIGN_TOKENS, reverse=True))})"
    r"|bearer|session(?:[_-]?id|[_-]?token)|secret(?:[_-]?key)?(?:_?base)?|token"
    r"|key(?:[_-]data)?|credentials?)\d?"
)
_WIDE = re.compile("[\uff01-\uff5e\u3000]")
# A plain "key" may hold anything; after one of these words it names a secret.
_KEYS = (
    *("api", "access", "auth", "account", "private", "encryption", "signing", "master"),
    *("client", "secret", "shared", "preshared", "license", "app", "server", "service"),
)
# What comes before "pass" in other words: "bypass" is not a password.
_OTHER_WORDS = ("by", "com", "encom", "sur", "tres", "over", "under", "im", "surrogate")
_PUBLIC_NAME = re.compile(r"(?:::|arn:)[\w:/-]*$|public[_-]?(?:key)?[_-]?$")
_CLOSE = r"(?P<close>\\{0,3}[\"'`])?\]?"
_LINK = re.compile(
    _CLOSE + r"(?:"
    # An argument after the name: of a call, of a dictionary's `get`, or an option's default.
    r"(?P<argument>\)?[ \t]{0,4},\s{0,40}(?:[\"']?(?:default|value)[\"']?[ \t]?[=:][ \t]?)?"
    r"|\)\.\w{1,20}\([ \t]{0,4})"
    r"|(?P<call>(?:\.\w{1,20})?\((?:\w{1,12}\()?[ \t]{0,4})"
    r"|(?P<other>\)?[ \t]{0,4}(?:\|\||\?\?|or\b)[ \t]{0,4})"
    # Mark-up: an element, a value attribute next to the name, a plist's `<key>` and `<string>`.
    r"|(?P<pair>[ \t]{1,8}value[ \t]?=[ \t]?|[ \t]{0,8}\r?\n[ \t]{0,40}value:[ \t]{1,8}"
    r"|[ \t]{1,4}\{\s{0,40}default[ \t]{1,8}=[ \t]{1,8})"
    r"|(?P<element>>|</key>\s{0,40}<string>)"
    # An assignment, possibly with a type, or with its value on the next line.
    r"|(?P<assign>(?:\[\])?[ \t]{0,16}"
    r"(?:(?::[ \t]?|[Aa]s )[&A-Za-z'][\w.\[\]|<>'& ]{0,40}=|=>|<-|[:?+]=|[!=]={1,2}|=|:)"
    r"(?P<space>[ \t]{0,16}(?:(?P<block>[|>][-+]?|[(\\])?[ \t]{0,8}\r?\n[ \t]{0,80})?))"
    r"|(?P<blank>[ \t]{1,8}\(?)"
    r")"
)
_OPEN = re.compile(r"[A-Za-z@$]{0,2}(?P<escape>\\{0,3})(?P<quote>\"\"\"\s?|'''\s?|[\"'`])")
# The run of characters that an unquoted value is part of; it usually ends where the run does.
_RUN = re.compile(r"[^\s\"'`()\[\]{}<>,;&\\]*+")
_BARE_PASSWORD = re.compile(r"[^\s\"'`()\[\]{}<>,;&\\]{4,200}+")
# An equals sign can only be padding, so a chain of names and equals signs is read only once.
_BARE_TOKEN = re.compile(r"[^\s\"'`()\[\]{}<>,;&\\=]{4,4096}+={0,2}")
_LINE = re.compile(r"[^\s\"'`]{6,128}+(?=[ \t]{0,16}(?:[\r\n]|$))")
_SYMBOLIC = re.compile(r"(?=.*\d)(?=.*[A-Za-z]).*[()\[\]<>,;&\\]")
# A call, an index or a type with parameters; an unfinished line; the end of a call.
_CODE = re.compile(
    r"^[*&!]?[A-Za-z_][\w.:?]*(?:\(.*\)|\[.*\]|<.*>)[\w.()!?]*[;,]?$|[;,(\[{=|+]$|^[\w.]+\)"
)
_INDENTED = re.compile(r"[ \t]*([^\s\"'`(){}<>]{4,4096}+)")
_ELEMENT = re.compile(r"[ \t]*([^\s<>]{4,4096}+)[ \t]*<")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_.]*\d{0,2}|[a-z]\w*(?:\.\w+)+")
_ODD = re.compile(r"[0-9!@#%^&?~+]")
_COMPARISONS = ("==", "===", "!=", "!==")
_DEFAULT = re.compile(r"\$\{[\w.-]*$")
_BARE_LINE = re.compile(
    r"[ \t]*(?:(?:#|//|--|;|<!--|\*)[ \t]*)?"
    r"(?:(?:export|ENV|ARG|set|env:|-)[ \t]+)?[ \t]*[\w.:/-]{0,60}"
)
_LINE_REST = re.compile(r"[ \t]{0,16}(?:[\r\n]|$|#|//|-->)")
_WORD_REST = re.compile(r"[\s;&\"'`}]|\\n|$|,[a-z]+=|, [A-Z_]+:")
_IN_TEXT = re.compile(r"(?:^|[\s;&?\"'`,{(=-])[\w.-]{0,60}$")
_IN_BRACES = re.compile(r"[{,][ \t]{0,4}[A-Z][A-Z0-9_]{0,60}$")
_COMMAND = re.compile(
    r"(?:^|[\s;&|\"'`])"
    r"(?:(?:ENV|ARG|setenv|set|#[ \t]?define)(?:[ \t]+-\w{1,4}){0,3}[ \t]+\w{0,60}"
    r"|--?[\w-]{0,40}|login[ \t]+\S{1,60}[ \t]+)$",
    re.IGNORECASE,
)
# A configuration line that consists of a name, a blank and a value: `requirepass ...`.
_DIRECTIVE = re.compile(r"[ \t]*[\w.-]{0,40}")


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that may belong to a secret, with the text before it and the link after it."""

    word: str
    is_password: bool
    line: str
    """The last characters of its line before the name."""
    is_whole: bool
    """Whether `line` is everything before the name on its line."""
    link: re.Match[str]

    @property
    def bare(self) -> re.Pattern[str]:
        """Matches an unquoted value of this name."""
        return _BARE_PASSWORD if self.is_password else _BARE_TOKEN

    def judge(self, value: str, is_sure: bool) -> bool:
        """Whether the value may be such a secret, and does not just repeat the name."""
        if f"{self.line}{self.word}".lower().endswith(value.lower()):
            return False
        if not self.is_password:
            return is_token(value) or (
                is_sure and self.word.lower() == "secret" and is_strong_word(value)
            )
        return is_password(value) if is_sure else is_strong_password(value)


def named_secrets(text: str) -> Iterator[Secret]:
    """The secrets that follow a name such as `password`."""
    text = _WIDE.sub(_narrow, text)
    # U+0130 is the only character that becomes longer in lower case.
    lowered = text.replace("\u0130", "I").lower()
    present = _PARTS.present_in(lowered)
    for part, reach in _STARTS if present else ():
        if part not in present:
            continue
        run_end = 0
        for at in every(lowered, part):
            if at >= run_end and (run := _RUN.match(text, at)):
                run_end = run.end()
            # In a run of thousands of characters, most names are too far from its end.
            if run_end - at > reach:
                continue
            name = _name_at(text, lowered, at)
            found = _value(text, name) if name else None
            if name and found:
                yield Secret(*found, "a password" if name.is_password else "a named secret")


def _narrow(wide: re.Match[str]) -> str:
    """The ASCII character of a full-width one, which East Asian keyboards write."""
    return " " if wide[0] == "\u3000" else chr(ord(wide[0]) - 0xFEE0)


def _name_at(text: str, lowered: str, at: int) -> _Name | None:
    name = _NAME.match(text, at)
    link = _LINK.match(text, name.end()) if name else None
    if name is None or link is None:
        return None
    near = max(0, at - MAX_NAME_CHARS)
    before = lowered[near:at]
    # `AWS::IAM::AccessKey` names a type.
    if _PUBLIC_NAME.search(before):
        return None
    if name[0][:3].lower() == "key" and not before.rstrip("_-. ").endswith(_KEYS):
        return None
    if name[0] == "pass" and before.endswith(_OTHER_WORDS):
        return None
    # `resenha` is Portuguese for a review, but `minhaSenha` is a password.
    if (name["foreign"] or name["token"]) and before[-1:].isalpha() and name[0][0].islower():
        return None
    if name[0] in ("pw", "psk") and before[-1:].isalpha() and not before.endswith("bind"):
        return None
    start = max(text.rfind("\n", near, at), text.rfind("\r", near, at)) + 1
    line = text[max(start, near) : at]
    return _Name(
        word=name[0],
        is_password=name["password"] is not None,
        line=line,
        is_whole=start > 0 or near == 0,
        link=link,
    )


def _value(text: str, name: _Name) -> tuple[int, int] | None:
    """The range of the value, if it is a secret."""
    link, kind, at = name.link, name.link.lastgroup, name.link.end()
    if kind == "element":
        return _element(text, name, at)
    is_literal = link["close"] is not None or name.word.isupper() or name.line.endswith("{")
    if kind == "argument" and not is_literal:
        return None
    quoted = _quoted(text, at)
    if kind == "blank":
        return _behind_blank(text, name, quoted)
    if quoted:
        is_compared = kind == "assign" and link["assign"].strip() in _COMPARISONS
        is_sure = kind in ("assign", "other", "pair") and not is_compared
        start, end = quoted
        return quoted if name.judge(text[start:end], is_sure) else None
    if kind == "pair":
        return _to_line_end(text, name, at)
    return _bare(text, name) if kind == "assign" else None


def _quoted(text: str, at: int) -> tuple[int, int] | None:
    """The range between the quotes that open here, if it may hold a secret."""
    opened = _OPEN.match(text, at)
    if opened is None:
        return None
    quote, start = opened["quote"].rstrip(), opened.end()
    closing = opened["escape"] + quote
    end = start
    while True:
        end = text.find(closing, end, start + MAX_VALUE_CHARS + 4)
        if end < 0:
            return None
        if not _is_escaped(text, end):
            break
        end += 1
    if len(quote) == 3:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        end = start + len(text[start:end].rstrip())
    is_one_line = text.find("\n", start, end) < 0 and text.find("\r", start, end) < 0
    return (start, end) if is_one_line and end - start >= MIN_PASSWORD_CHARS else None


def _is_escaped(text: str, at: int) -> bool:
    before = text[max(0, at - 8) : at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _element(text: str, name: _Name, at: int) -> tuple[int, int] | None:
    """The text of `<password>...</password>`, or of `<... name="password">...<`."""
    value = _ELEMENT.match(text, at) if "<" in name.line else None
    return value.span(1) if value and name.judge(value[1], is_sure=False) else None


def _behind_blank(
    text: str, name: _Name, quoted: tuple[int, int] | None
) -> tuple[int, int] | None:
    """`PASSWORD '...'`, `ENV DB_PASSWORD ...`, `--token ...`, `requirepass ...`."""
    is_command = _COMMAND.search(name.line) is not None
    if quoted:
        start, end = quoted
        return quoted if name.judge(text[start:end], is_sure=is_command) else None
    value = name.bare.match(text, name.link.end())
    if value is None or not name.judge(value[0], is_sure=False):
        return None
    is_directive = (
        name.is_password
        and name.is_whole
        and _DIRECTIVE.fullmatch(name.line)
        and _LINE_REST.match(text, value.end())
    )
    if is_directive or (is_command and _WORD_REST.match(text, value.end())):
        return value.span()
    return None


def _to_line_end(text: str, name: _Name, at: int) -> tuple[int, int] | None:
    value = _INDENTED.match(text, at)
    if value is None or not _LINE_REST.match(text, value.end()):
        return None
    return value.span(1) if name.judge(value[1], is_sure=False) else None


def _bare(text: str, name: _Name) -> tuple[int, int] | None:
    """`NAME=value` and `name: value`, as in shell scripts, connection strings and YAML."""
    space, at = name.link["space"], name.link.end()
    if "\n" in space:
        is_block = name.link["block"] and name.link["block"][0] in "|>"
        return _to_line_end(text, name, at) if is_block else None
    sign = name.link["assign"].strip()
    has_default = sign == ":" and _DEFAULT.search(name.line)
    if has_default:
        at += text[at : at + 1] in ("-", "=")
    value = name.bare.match(text, at)
    whole = _LINE.match(text, at)
    if name.link["close"]:
        return None
    if whole and not has_default and _is_symbolic(name, sign, whole[0]):
        return whole.span()
    if value is None or len(value[0]) < MIN_BARE_CHARS:
        return None
    end = value.end()
    if has_default:
        is_secret = text[end : end + 1] == "}" and name.judge(value[0], is_sure=False)
    elif name.is_whole and _BARE_LINE.fullmatch(name.line) and _LINE_REST.match(text, end):
        is_secret = _is_on_its_own(name, sign, value[0])
    else:
        # Within other text, `name=value` without blanks is hardly ever code.
        is_tight = sign == "=" and not space and bool(_IN_TEXT.search(name.line))
        is_header = sign == ":" and not name.is_password and text[end : end + 1] in ("'", '"')
        is_in_braces = sign == ":" and _IN_BRACES.search(name.line)
        is_secret = bool(
            (is_tight or is_header or is_in_braces)
            and _WORD_REST.match(text, end) is not None
            and name.judge(value[0], is_sure=False)
        )
    return value.span() if is_secret else None


def _is_symbolic(name: _Name, sign: str, value: str) -> bool:
    """Whether the rest of a line is a password with brackets or commas rather than code."""
    return (
        name.is_password
        and name.is_whole
        and (sign == ":" or not name.link["space"])
        and _BARE_LINE.fullmatch(name.line) is not None
        and _SYMBOLIC.search(value) is not None
        and _CODE.search(value) is None
        and is_strong_password(value)
    )


def _is_on_its_own(name: _Name, sign: str, value: str) -> bool:
    """Whether a value that is alone on its line with its name is a secret rather than code."""
    if not name.is_password:
        return is_token(value)
    if sign == "=" and not name.link["space"]:
        return is_password(value) and _ODD.search(value) is not None and not value.isdigit()
    if sign != ":" and _IDENTIFIER.fullmatch(value):
        return is_token(value)
    return is_strong_password(value)

"""Judges by its characters whether a value may be a password, a token or a key.

The callers judge the name and the position of a value.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter

MIN_TOKEN_CHARS = 12
MIN_STRONG_CHARS = 5

_PLACEHOLDER = re.compile(
    r"(?i)\*{4}|x{4}|0{6}|\.\.\.|[{}]|\$\(|%s(?!\w)|%\(\w+\)|^%\w+%$|^\$\w+$"
    r"|^<.*>$|^\(.*\)$|^\[.*\]$|^(?:~|\.{0,2})/[\w.~/-]*$"
    r"|example|change[_-]?me|placeholder|^your|your[_-]|dummy|redacted|^insert|1234567"
    r"|^(?:none|null|nil|true|false|undefined|string|text|infinity|nan)$|^[\^v=]?\d+\.\d+[\d.]*$"
)
# Words of a form, a message or a type, also in the languages that forms are translated to.
_ABOUT = re.compile(
    r"(?i)pass|pwd|secret|token|key|user|login|cred|auth|field|input|prompt|hidden|required"
    r"|optional|plain|default|basic|bearer|anonymous|empty|invalid|missing|hash|text|string"
    r"|contrase|senha|wachtwoord|parol|heslo|salasana|senord|adgangs|kennwort|sifre|jelsz"
)
_ALGORITHM = re.compile(
    r"(?i)(?:[a-z]{0,4}sha|md|utf|ucs|base|aes|rsa|u?int|float|uint|ed|x|hs|rs|es|latin)[-_]?\d{1,5}|0x[0-9a-f]{1,16}"
)
# A name with a number of bits or a counter behind it: `Base64`, `u8`, `Utf8`; `valid?`, `&str`.
_TYPE_NAME = re.compile(
    r"[A-Za-z_][A-Za-z_.]*(?:\d|16|32|64|128|256|512)[?!]?|[A-Za-z_.]+[?!]|[&*].*"
)
_PHRASE = re.compile(r"[a-z]{3,}(?: [a-z0-9]{3,}){2,23}")
_SENTENCE = re.compile(r"\b(?:the|and|for|are|not|has|must|your|with|this|that|from|was|can)\b")
_NUMBER = re.compile(r"\d{3}|\d.*[!@#%^&?~+$]|[!@#%^&?~+$].*\d")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_DIGIT = re.compile(r"\d")
_HEX_KEY = re.compile(r"[0-9a-f]{30,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SYMBOL = re.compile(r"[!@#%^&?~+$-]")
# Four small letters or more with a vowel among the first four.
_WORD = re.compile(r"(?=[a-z]{0,3}[aeiou])[a-z]{4,}")
_SEPARATOR = re.compile(r"[-_.:/]")


def is_placeholder(value: str) -> bool:
    """Whether a value is a placeholder: a template, an example, a row of x."""
    return _PLACEHOLDER.search(value) is not None


def is_password(value: str) -> bool:
    """Whether a value named a password may be one, and not a word about one."""
    if any(character.isspace() for character in value):
        return _is_phrase(value)
    if is_placeholder(value):
        return False
    letters = _SEPARATOR.sub("", value)
    return not letters.isalpha() or (letters.isascii() and not _ABOUT.search(value))


def is_strong_password(value: str) -> bool:
    """Whether it may be a password in a context where a name, a type or a word is as likely."""
    if len(value) < MIN_STRONG_CHARS or not is_password(value) or " " in value:
        return False
    if _ALGORITHM.fullmatch(value) or "://" in value:
        return False
    if _TYPE_NAME.fullmatch(value) and not (len(value) >= 8 and is_mixed(value, 0.4)):
        return False
    if re.fullmatch(r"[\w.-]*", value) and _ABOUT.search(value):
        return False
    return bool(re.search(r"[A-Za-z]", value)) and bool(
        _DIGIT.search(value) or _SYMBOL.search(value.strip("-?!&"))
    )


def is_token(value: str) -> bool:
    """Whether a value named a key, a token or a secret may be one."""
    value = value.removeprefix("base64:")
    if len(value) < MIN_TOKEN_CHARS or any(character.isspace() for character in value):
        return False
    if len(value) >= 32 and _BASE64.fullmatch(value) and is_mixed(value, changes=0.35):
        # It may begin with a slash like a path, but a path has words.
        value = value.lstrip("/")
    if is_placeholder(value) or "://" in value:
        return False
    if not _DIGIT.search(value):
        return _word_share(value) < 0.2 and is_mixed(value, changes=0.4)
    return is_mixed(value, changes=0.2)


def is_strong_word(value: str) -> bool:
    """Whether a value named a secret may be a password, and not the secret's name."""
    return "/" not in value and is_strong_password(value) and bool(_NUMBER.search(value))


def is_random(value: str) -> bool:
    """Whether the characters look like a random choice of letters of both cases and digits."""
    symbols = len(_SEPARATOR.findall(value))
    return (
        any(character.isupper() for character in value)
        and any(character.islower() for character in value)
        and len(_DIGIT.findall(value)) >= 2
        and symbols * 8 <= len(value)
        # Such runs are a few per cent of a random literal, and most of CamelCaseNames2.
        and _word_share(value) < 0.25
        and is_mixed(value, changes=0.35)
        and _entropy_bits(value) >= 3.5
    )


def is_key(value: str) -> bool:
    """Whether a value that stands where a key does is random: also a long hexadecimal number
    or a UUID, which elsewhere are public."""
    return is_random(value) or (
        _HEX_KEY.fullmatch(value) is not None and is_mixed(value, changes=0.2)
    )


def _word_share(value: str) -> float:
    """The share of the characters that may be words."""
    return sum(map(len, _WORD.findall(value))) / len(value)


def is_mixed(value: str, changes: float) -> bool:
    """Whether letters and digits alternate more than in words (random: 0.4 to 0.6)."""
    kinds = [(c.isdigit(), c.isupper(), c.islower()) for c in _SEPARATOR.sub("", value)]
    alternations = sum(one != other for one, other in itertools.pairwise(kinds))
    return len(set(kinds)) > 1 and alternations >= changes * (len(kinds) - 1)


def _is_phrase(value: str) -> bool:
    """Whether it is a list of words but not a sentence: `correct horse battery staple`."""
    return bool(_PHRASE.fullmatch(value)) and not (
        _ABOUT.search(value) or _SENTENCE.search(value)
    )


def _entropy_bits(value: str) -> float:
    """Shannon entropy in bits per character."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)

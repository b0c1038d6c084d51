"""Tells which files are neither completed nor used as context, and why.

Three reasons, asked in this order: the globs of the settings, a name that looks like secrets
(environment files, keys, credentials), and the .gitignore
files between the workspace folder and the file. A glob of the settings that starts with "!"
and names a file itself, not just a directory above it, lets the file in whatever the other two
say.

Decides by names alone: it never opens the file itself, does not know what git tracks, and
reads neither .git/info/exclude nor the user's global ignore file. Only `read_ignore_files`
touches the disk.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.document.globs import Glob

IGNORE_FILE = ".gitignore"
MAX_IGNORE_BYTES = 1024 * 1024
"""What is beyond this in an ignore file is not read; real ones have a few kilobytes."""

SECRET_FILES = {
    "an environment file": ".env* *.env",
    "a private key file": (
        "*.pem *.key *.p8 *.p12 *.pfx *.pkcs12 *.jks *.keystore *.ppk *.gpg *.pgp *.kdb *.kdbx "
        "id_rsa* id_dsa* id_ecdsa* id_ed25519* secring.* *.ovpn .ssh/ .gnupg/ .password-store/"
    ),
    "a certificate": "*.crt *.cer *.der *.p7b *.p7c *.csr",
    "a credential file": (
        ".netrc _netrc .npmrc .pypirc .pgpass pgpass.conf .my.cnf .mylogin.cnf .htpasswd "
        ".git-credentials .dockercfg .docker/config.json .boto .s3cfg .vault-token "
        "credentials credentials.json credentials.ini credentials.toml credentials.xml "
        "credentials.csv credentials.yml* credentials.yaml* client_secret*.json "
        "service-account*.json secrets.yml secrets.yaml secrets.json secrets.toml .secrets "
        ".aws/ .azure/ .kube/ kubeconfig *.kubeconfig .config/gcloud/ "
        ".config/gh/hosts.yml .cargo/credentials.toml"
    ),
    "Terraform state, which holds secrets": "*.tfstate *.tfstate.*",
    "a shell history": ".*_history",
}
"""Globs by what they find; those that end with "/" name a directory somewhere above the file.
No glob takes a source file for its subject: `secrets.py` is code about secrets."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file."""

    text: str
    line: int
    """From 1."""
    glob: Glob
    only_directories: bool
    excludes: bool
    """False for a line that starts with "!"."""


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """An ignore file as read."""

    directory: str
    """Relative to the workspace folder, "/" between the names, "" for the folder itself."""
    rules: tuple[Rule, ...]


def excluded_because(path: Path, root: Path | None, globs: Sequence[str] = ()) -> str | None:
    """Why a file is left out, in a few words for the status; None where it is not.

    Both paths are absolute. `root` is the workspace folder, None for a file outside of any.
    """
    ignored = read_ignore_files(path, root) if root else ()
    return reason(path.as_posix(), path_below(path, root), ignored, globs)


def reason(
    path: str, relative: str, ignored: Sequence[IgnoreFile] = (), globs: Sequence[str] = ()
) -> str | None:
    """`excluded_because` for ignore files as read; both paths have "/" between the names."""
    if globs:
        found = _deciding_rule(relative, [IgnoreFile("", parse_rules("\n".join(globs)))])
        if found:
            rule, _ = found
            return f"excluded: matches {rule.text} of the settings" if rule.excludes else None
    secret = _secret_file(path)
    if secret:
        what, glob = secret
        return f"excluded: looks like {what} ({glob})"
    found = _deciding_rule(relative, ignored)
    if found and found[0].excludes:
        rule, directory = found
        where = f"{directory}/{IGNORE_FILE}" if directory else IGNORE_FILE
        return f"excluded: ignored by {where} line {rule.line} ({rule.text})"
    return None


def matches_globs(relative: str, globs: Sequence[str]) -> bool:
    """Whether a list of globs, in the syntax of .gitignore, names the file."""
    found = _deciding_rule(relative, [IgnoreFile("", parse_rules("\n".join(globs)))])
    return found is not None and found[0].excludes


def path_below(path: Path, root: Path | None) -> str:
    """The path relative to the folder, or to the top where it is outside of it."""
    if root is not None and root in path.parents:
        return path.relative_to(root).as_posix()
    return path.as_posix().lstrip("/")


def read_ignore_files(path: Path, root: Path) -> tuple[IgnoreFile, ...]:
    """The ignore files that have a say on a path, the outermost first."""
    if root not in path.parents:
        return ()
    between = [parent for parent in reversed(path.parents) if parent.is_relative_to(root)]
    read = []
    for directory in between:
        file = directory / IGNORE_FILE
        try:
            if not file.is_file():
                continue
            with file.open("rb") as opened:
                data = opened.read(MAX_IGNORE_BYTES)
        except OSError:
            # As git does: what cannot be read ignores nothing.
            continue
        relative = directory.relative_to(root).as_posix()
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
        read.append(IgnoreFile("" if relative == "." else relative, parse_rules(text)))
    return tuple(read)


@functools.lru_cache(maxsize=32)
def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of an ignore file; as in git, a line that makes no sense matches nothing."""
    rules = []
    for number, line in enumerate(text.split("\n"), 1):
        rule = _parse_rule(_without_trailing_spaces(line.removesuffix("\r")), number)
        if rule:
            rules.append(rule)
    return tuple(rules)


def _parse_rule(line: str, number: int) -> Rule | None:
    if not line or line.startswith("#"):
        return None
    glob = line.removeprefix("!").removesuffix("/")
    if not glob:
        return None
    is_negated = line.startswith("!")
    return Rule(line, number, Glob(glob), line.endswith("/"), not is_negated)


def _without_trailing_spaces(line: str) -> str:
    """Trailing spaces go, unless a backslash stands before them."""
    stripped = line.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and stripped != line else stripped


def _deciding_rule(relative: str, ignored: Iterable[IgnoreFile]) -> tuple[Rule, str] | None:
    """The rule that has the last word on a path, and the directory of its file.

    Goes down from the folder: below a directory that is excluded nothing is let in again. On
    one level the innermost file counts most, and in a file the last rule that matches.
    """
    inner_first = sorted(ignored, key=lambda file: len(file.directory), reverse=True)
    names = relative.split("/")
    found = None
    for depth in range(1, len(names) + 1):
        entry = "/".join(names[:depth])
        found = _rule_for(entry, depth < len(names), inner_first)
        if found and found[0].excludes:
            return found
    return found


def _rule_for(
    entry: str, is_directory: bool, inner_first: Iterable[IgnoreFile]
) -> tuple[Rule, str] | None:
    for file in inner_first:
        start = f"{file.directory}/" if file.directory else ""
        if not entry.startswith(start):
            continue
        for rule in reversed(file.rules):
            if _names(rule, entry[len(start) :], is_directory):
                return rule, file.directory
    return None


def _names(rule: Rule, entry: str, is_directory: bool) -> bool:
    if rule.only_directories and not is_directory:
        return False
    return rule.glob.matches(entry)


def _secret_file(path: str) -> tuple[str, str] | None:
    # Lower case, as Windows and macOS do not tell ID_RSA from id_rsa.
    lowered = path.lower().lstrip("/")
    parents = [lowered[: at.start()] for at in re.finditer("/", lowered)]
    for what, rules in _secret_rules():
        for rule in rules:
            if rule.only_directories:
                if any(_names(rule, parent, True) for parent in parents):
                    return what, rule.text.removeprefix("**/")
            elif _names(rule, lowered, False):
                return what, rule.text.removeprefix("**/")
    return None


@functools.cache
def _secret_rules() -> tuple[tuple[str, tuple[Rule, ...]], ...]:
    # "**/" lets a glob with a slash in it match at any depth.
    return tuple(
        (what, parse_rules("\n".join(f"**/{glob}" for glob in globs.split())))
        for what, globs in SECRET_FILES.items()
    )

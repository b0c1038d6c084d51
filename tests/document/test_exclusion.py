"""Which files are left out and what the status says of it; ignore files mean what git means."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.exclusion import (
    IgnoreFile,
    excluded_because,
    matches_globs,
    parse_rules,
    path_below,
    read_ignore_files,
    reason,
)
from tests.fuzzing import effort


def check_reason(
    relative: str, expect: str | None, ignored: str = "", globs: tuple[str, ...] = ()
) -> None:
    files = [IgnoreFile("", parse_rules(ignored))]
    assert reason(f"/home/me/work/{relative}", relative, files, globs) == expect


@pytest.mark.parametrize(
    ("relative", "what"),
    [
        (".env", "an environment file (.env*)"),
        (".env.local", "an environment file (.env*)"),
        (".envrc", "an environment file (.env*)"),
        ("deploy/prod.env", "an environment file (*.env)"),
        ("server.pem", "a private key file (*.pem)"),
        ("keys/id_rsa", "a private key file (id_rsa*)"),
        ("ID_ED25519", "a private key file (id_ed25519*)"),
        ("store.JKS", "a private key file (*.jks)"),
        ("vault.kdbx", "a private key file (*.kdbx)"),
        (".ssh/config", "a private key file (.ssh/)"),
        (".ssh/keys/work/config", "a private key file (.ssh/)"),
        ("ca.crt", "a certificate (*.crt)"),
        (".netrc", "a credential file (.netrc)"),
        ("web/.npmrc", "a credential file (.npmrc)"),
        (".pypirc", "a credential file (.pypirc)"),
        (".git-credentials", "a credential file (.git-credentials)"),
        (".aws/credentials", "a credential file (.aws/)"),
        (".aws/config", "a credential file (.aws/)"),
        (".docker/config.json", "a credential file (.docker/config.json)"),
        ("home/.kube/config", "a credential file (.kube/)"),
        ("config/credentials.yml.enc", "a credential file (credentials.yml*)"),
        ("terraform.tfstate.backup", "Terraform state, which holds secrets (*.tfstate.*)"),
        (".bash_history", "a shell history (.*_history)"),
    ],
)
def test_files_that_look_like_secrets_are_left_out(relative: str, what: str) -> None:
    check_reason(relative, f"excluded: looks like {what}")


SECRET_NAMES = """
    .env .env.local .env.production .envrc prod.env .flaskenv .dev.vars .dev.vars.staging
    .env.example .npmrc .yarnrc.yml .pypirc auth.json NuGet.Config home/.m2/settings.xml
    .gradle/gradle.properties local.properties .cargo/credentials.toml pip.conf
    terraform.tfvars prod.auto.tfvars vars.tfvars.json terraform.tfstate .terraformrc
    credentials.tfrc.json .aws/config .azure/accessTokens.json .oci/config .kube/config
    kubeconfig kubeconfig.yaml rootkey.csv ci_accessKeys.csv serviceAccountKey.json
    service-account.json my-app-firebase-adminsdk-ab1c2-d3e4f5.json client_secret_12.json
    application_default_credentials.json google-services.json GoogleService-Info.plist
    local.settings.json appsettings.Development.json app.publishsettings
    credentials credentials.json .credentials.json config/credentials.yml.enc master.key
    secrets.yml secrets.prod.yaml .secrets.toml .streamlit/secrets.toml db-secret.yaml
    passwords.txt token.json api.token .vault-token .vault_pass group_vars/all/vault.yml
    .netrc .curlrc .git-credentials .pgpass .my.cnf .htpasswd config/database.yml
    wp-config.php LocalSettings.php .vscode/sftp.json sftp-config.json sitemanager.xml
    .idea/dataSources.local.xml cookies.txt logins.json key4.db bitwarden_export.json
    id_rsa id_ed25519.pub server.key release.keystore cert.p12 store.jks vault.kdbx
    ssh_host_rsa_key wg0.conf client.ovpn wallet.dat .gnupg/x .bash_history .zhistory
    .psql_history .sentryclirc rclone.conf ngrok.yml
"""


def test_names_that_hold_secrets_are_known() -> None:
    missed = [name for name in SECRET_NAMES.split() if reason(f"/work/{name}", name) is None]
    assert missed == []


@pytest.mark.parametrize(
    "relative",
    [
        *("secret.go", "password.ts", "password_reset.html.erb", "token.rs", "tokens.json"),
        *("auth.ts", "credentials_test.go", "access_token.rb", "api_keys.py", "vault.tf"),
        *(
            "variables.tf",
            "database.py",
            "config/settings.py",
            "gradle.properties",
            "vault/x.go",
        ),
        *(
            "appsettings.json",
            "pip/config.py",
            "docs/secrets.md",
            "kubeconfig.go",
            "shadow.css",
        ),
        *(
            "package.json",
            "docker-compose.yml",
            "deployment.yaml",
            "firebase.json",
            "history.py",
        ),
        "secrets.py",
        "dg_lsp/document/secrets.py",
        "credentials.ts",
        "credentials/store.go",
        "environment.py",
        "env.py",
        "env/settings.py",
        ".env/lib/python3/site.py",
        "keys.py",
        "key.rs",
        "keyboard.key.ts",
        "config.json",
        "docker/config.json",
        "netrc.py",
        "pem.c",
        "main.tf",
        "history.md",
        "ssh/client.py",
        "kube/config",
        ".gitignore",
        "naïve file.py",
    ],
)
def test_ordinary_files_are_not(relative: str) -> None:
    check_reason(relative, None)


@pytest.mark.parametrize(
    ("relative", "ignored", "expect"),
    [
        ("a.log", "*.log", ".gitignore line 1 (*.log)"),
        ("deep/er/a.log", "# logs\n\n*.log\n", ".gitignore line 3 (*.log)"),
        ("build/out/x.py", "build/", ".gitignore line 1 (build/)"),
        ("build/out/x.py", "x.py\r\n/build\r\n", ".gitignore line 2 (/build)"),
        ("build", "build/", None),
        ("src/build/x.py", "/build", None),
        ("keep.log", "*.log\n!keep.log", None),
        ("logs/keep.log", "logs/\n!keep.log", ".gitignore line 1 (logs/)"),
        ("logs/keep.log", "logs/*\n!keep.log", None),
        ("a b.txt", "a b.txt   ", ".gitignore line 1 (a b.txt)"),
        ("#x", "\\#x", ".gitignore line 1 (\\#x)"),
        ("x.py", "[", None),
        ("x.py", "\\", None),
        ("x.py", "x.py//", None),
        ("x.py", "[z-a].py\n!\n/\n", None),
        ("1.py", "[[:digit:]].py", ".gitignore line 1 ([[:digit:]].py)"),
    ],
)
def test_what_git_ignores_is_left_out(relative: str, ignored: str, expect: str | None) -> None:
    check_reason(relative, expect and f"excluded: ignored by {expect}", ignored)


@pytest.mark.parametrize(
    ("relative", "globs", "expect"),
    [
        ("notes/today.md", ("notes/",), "excluded: matches notes/ of the settings"),
        ("a/b/gen_pb2.py", ("*_pb2.py",), "excluded: matches *_pb2.py of the settings"),
        ("a/b/c.py", ("/b/*",), None),
        ("a/b/c.py", ("a/**/c.py", "!c.py"), None),
        # What the settings let in again counts more than a name or an ignore file.
        ("id_rsa_tools.py", ("!id_rsa_*.py",), None),
        (".env.example", ("!.env.example",), None),
        ("ignored/x.py", ("!ignored/**",), None),
        # Letting a directory in says nothing of the files in it.
        ("ignored/.env", ("!ignored/",), "excluded: looks like an environment file (.env*)"),
    ],
)
def test_the_settings_have_the_last_word(
    relative: str, globs: tuple[str, ...], expect: str | None
) -> None:
    check_reason(relative, expect, "ignored/", globs)


def test_globs_name_files_by_the_syntax_of_ignore_files() -> None:
    assert matches_globs("src/a.py", ("*.py", "!b.py"))
    assert not matches_globs("src/b.py", ("*.py", "!b.py"))
    assert not matches_globs("src/b.py", ())


def test_a_file_is_judged_from_the_folder_on_disk(tmp_path: Path) -> None:
    root = tmp_path / "work"
    inner = root / "src" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*\n")
    (root / ".gitignore").write_bytes(b"\xef\xbb\xbf*.gen\n/\xff\xfe[\nlate.py\n")
    (inner / ".gitignore").write_text("!late.py\n!keep.gen\nlocal.py\n")
    (root / "src" / ".gitignore").mkdir()

    def judged(name: str) -> str | None:
        return excluded_because(inner / name, root)

    assert judged("main.py") is None
    assert judged("late.py") is None
    assert judged("keep.gen") is None
    assert judged("a.gen") == "excluded: ignored by .gitignore line 1 (*.gen)"
    assert judged("local.py") == ("excluded: ignored by src/inner/.gitignore line 3 (local.py)")
    assert judged("main.py") is None
    (inner / ".gitignore").write_text("main.py\n")
    assert judged("main.py") == "excluded: ignored by src/inner/.gitignore line 1 (main.py)"


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes in directories")
def test_an_ignore_file_that_never_ends_ignores_nothing(tmp_path: Path) -> None:
    """What a hostile repository may have for one, as a symlink."""
    for name, target in (("zero", "/dev/zero"), ("proc", "/proc/kmsg"), ("loop", ".gitignore")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".gitignore").symlink_to(target)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / ".gitignore")

    for directory in tmp_path.iterdir():
        assert excluded_because(directory / "a.py", tmp_path) is None


def test_outside_of_a_folder_names_and_settings_still_count(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n")
    root = tmp_path / "work"

    assert excluded_because(tmp_path / "x.py", root) is None
    assert excluded_because(tmp_path / "x.py", None) is None
    assert excluded_because(tmp_path / ".env", root) is not None
    assert excluded_because(tmp_path / "x.md", None, ("*.md",)) is not None
    # The folder may itself be one that holds secrets.
    assert excluded_because(tmp_path / ".ssh" / "config", tmp_path / ".ssh") is not None
    assert path_below(root, root) == root.as_posix().lstrip("/")


def test_a_name_may_have_a_line_end_in_it(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("a*\n")
    assert read_ignore_files(tmp_path / "a\nb", tmp_path)
    assert excluded_because(tmp_path / "a\nb", tmp_path) is not None


NAMES = st.sampled_from(
    ["a", "b", "ab", "abb", "a.b", "b.a", "a b", "a ", "A", "-a", "#a", "!b", "a\\", "\xe4b"]
)
GLOB_PARTS = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "ab",
            ".",
            "*",
            "?",
            "**",
            " ",
            "[ab]",
            "[!a]",
            "[^b]",
            "[a-b]",
            "[!b-a]",
            "[[:alpha:]]",
            "[![:upper:].]",
            "[]a]",
            "[a-]",
            "[a",
            "[[:wrong:]]",
            "\\*",
            "\\a",
            "\\/",
        ]
    ),
    min_size=1,
    max_size=3,
).map("".join)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    middle = "/".join(draw(st.lists(GLOB_PARTS, min_size=1, max_size=3)))
    start = draw(
        st.sampled_from(["", "", "", "/", "**/", "!", "!", "!/", "#", "\\#", "\\!", "//"])
    )
    end = draw(
        st.sampled_from(["", "", "", "/", "/*", "/**", " ", "\\ ", "\r", "\\", "//", "/ "])
    )
    return start + middle + end


PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
IGNORE_FILES = st.dictionaries(
    st.lists(NAMES, max_size=2).map("/".join),
    st.lists(patterns(), min_size=1, max_size=4),
    max_size=3,
)


GIT_ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "--quiet", root], check=True, env=GIT_ENVIRONMENT)
    return root


def lay_out(root: Path, ignore_files: dict[str, list[str]], paths: list[str]) -> list[str]:
    """Write the files into an emptied repository; those of the paths that are files there."""
    for path in root.iterdir():
        if path.is_file():
            path.unlink()
        elif path.name != ".git":
            shutil.rmtree(path)
    for directory, lines in ignore_files.items():
        (root / directory).mkdir(parents=True, exist_ok=True)
        text = "".join(f"{line}\n" for line in lines)
        (root / directory / ".gitignore").write_text(text, encoding="utf-8")
    for path in paths:
        made = root / path
        # A name may be wanted as a file and as a directory: the first one has it.
        if not made.exists() and not any(parent.is_file() for parent in made.parents):
            made.parent.mkdir(parents=True, exist_ok=True)
            made.touch()
    return [path for path in paths if (root / path).is_file()]


@pytest.mark.timeout(1800)
@effort(examples=100)
@given(ignore_files=IGNORE_FILES, paths=st.lists(PATHS, min_size=1, max_size=8, unique=True))
def test_git_check_ignore_agrees(
    repository: Path, ignore_files: dict[str, list[str]], paths: list[str]
) -> None:
    files = lay_out(repository, ignore_files, paths)
    said = subprocess.run(
        ["git", "check-ignore", "-z", "--stdin", "--no-index"],
        cwd=repository,
        input="\0".join(files).encode(),
        capture_output=True,
        timeout=30,
        env=GIT_ENVIRONMENT,
    )

    assert said.stderr == b""
    by_git = sorted(filter(None, said.stdout.decode().split("\0")))
    ours = sorted(path for path in files if excluded_because(repository / path, repository))
    assert ours == by_git

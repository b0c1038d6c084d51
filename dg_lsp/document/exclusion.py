"""Decides which files are neither completed nor used as context, and why.

There are three reasons, checked in this order: the globs of the settings, a name that suggests
secrets (environment files, keys, credentials), and the .gitignore files between the root and
the file. A glob of the settings that starts with "!" and names the file itself, not just a
directory above it, overrides the other two. Only names decide; the file is never opened.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from dg_lsp.document.ignore_files import (
    MAX_IGNORE_BYTES,
    IgnoreFile,
    Rule,
    deciding_rule,
    parse_rules,
    path_below,
    read_ignore_files,
    rules_of,
)

SECRET_FILES = {
    "an environment file": ".env* *.env .flaskenv .dev.vars* serverless.env.yml",
    "a private key file": (
        "*.pem *.key *.p8 *.p12 *.pfx *.pkcs12 *.pvk *.jks *.keystore *.bks *.ppk *.gpg *.pgp "
        "*.kdb *.kdbx *.snk id_rsa* id_dsa* id_ecdsa* id_ed25519* ssh_host_*_key secring.* "
        "*.ovpn wg?.conf wallet.dat utc--* mnemonic.txt .ssh/ .gnupg/ .password-store/"
    ),
    "a certificate": "*.crt *.cer *.der *.p7b *.p7c *.csr *.mobileprovision",
    "a credential file": (
        # Package managers and build tools.
        ".npmrc .pnpmrc .yarnrc .yarnrc.yml .pypirc pip.conf pip.ini .condarc auth.json "
        "nuget.config .gem/credentials .bundle/config .cargo/credentials "
        ".cargo/credentials.toml .m2/settings.xml settings-security.xml "
        ".gradle/gradle.properties local.properties key.properties "
        "keystore.properties signing.properties *.pubxml.user "
        # Clouds, clusters and services.
        ".aws/ .azure/ .kube/ .oci/ .aliyun/ .bluemix/ .config/gcloud/ .config/doctl/ "
        ".config/gh/hosts.yml .config/hub .config/configstore/ .fly/config.yml "
        ".netlify/config.json .docker/config.json .dockercfg .dockerconfigjson .boto .s3cfg "
        ".passwd-s3fs .sentryclirc .clasprc.json .ngrok2/ ngrok.yml rclone.conf .rclone.conf "
        "kubeconfig *.kubeconfig kubeconfig.y*ml kubernetes/admin.conf .terraformrc "
        "terraform.rc *.tfrc.json rootkey.csv *accesskeys.csv accesstokens.json "
        "*.publishsettings client_secret*.json client-secret*.json service-account*.json "
        "service_account*.json *serviceaccount*.json *firebase-adminsdk*.json "
        "application_default_credentials.json google-credentials*.json gcp-key*.json "
        "keyfile.json google-services.json googleservice-info.plist local.settings.json "
        "appsettings.*.json connectionstrings.config hudson.util.secret "
        # What is called by what it holds.
        "credentials .credentials credentials.json .credentials.json credentials.ini "
        "credentials.toml credentials.xml *credentials.csv credentials.properties "
        "credentials.yml* credentials.yaml* secrets.yml* secrets.yaml* secrets.json "
        "secrets.toml secrets.ini secrets.xml secrets.txt secrets.properties .secrets "
        ".secrets.* *.secrets secrets.*.y*ml secrets.*.json secret.yml secret.yaml "
        "secret.json secret.toml secret.txt .secret *.secret *-secret.y*ml *-secrets.y*ml "
        "passwords.txt passwords.csv password.txt passwd.txt .passwd api_keys.json "
        "api_keys.txt api-keys.json apikeys.json token.json token.txt *.token .vault-token "
        ".vault_pass* .vault-pass* vault_pass* vault.yml vault.yaml .ansible_vault* "
        # Programs that log in somewhere.
        ".netrc _netrc .curlrc .wgetrc .msmtprc .fetchmailrc .muttrc .git-credentials .pgpass "
        "pgpass.conf .my.cnf .mylogin.cnf .htpasswd .htdigest database.yml wp-config.php "
        "localsettings.php .ftpconfig sftp.json sftp-config.json .remote-sync.json "
        "ftpsync.settings filezilla.xml sitemanager.xml recentservers.xml robomongo.json "
        ".idea/datasources*.xml credentials-config.json cookies.txt cookies.sqlite logins.json "
        "key3.db key4.db bitwarden*.json lastpass*.csv *.1pux"
    ),
    "Terraform state, which holds secrets": "*.tfstate *.tfstate.*",
    "Terraform variables, which may be secret": "*.tfvars *.tfvars.json",
    "a shell history": (
        ".*_history .histfile .zhistory fish_history consolehost_history.txt .dbshell"
    ),
}
"""Globs by what they find, in lower case; those that end with "/" name a directory somewhere
above the file. No glob matches a source file: `secrets.py` is code about secrets. Samples such
as `.env.example` are excluded like the real file, because many began as a copy of it; a
setting includes them again."""


def excluded_because(path: Path, root: Path | None, globs: Sequence[str] = ()) -> str | None:
    """Why a file is excluded, in a few words for the status; None if it is not.

    `root` is the workspace folder, or the directory whose ignore files apply instead; None for
    a
    file with neither.
    """
    ignored = read_ignore_files(path, root) if root else ()
    return reason(path.as_posix(), path_below(path, root), ignored, globs)


def reason(
    path: str, relative: str, ignored: Sequence[IgnoreFile] = (), globs: Sequence[str] = ()
) -> str | None:
    """`excluded_because` for ignore files already read; both paths use "/"."""
    if globs:
        named = deciding_rule(relative, rules_of(globs))
        if named:
            rule, _ = named
            return f"excluded: matches {rule.text} of the settings" if rule.excludes else None
    secret = _secret_file(path)
    if secret:
        what, glob = secret
        return f"excluded: looks like {what} ({glob})"
    for file in ignored:
        if file.is_too_large:
            mib = MAX_IGNORE_BYTES // 2**20
            return f"excluded: {file.path} is larger than {mib} MiB and is not read"
    found = deciding_rule(relative, ignored)
    if found and found[0].excludes:
        rule, file = found
        return f"excluded: ignored by {file.path} line {rule.line} ({rule.text})"
    return None


def matches_globs(relative: str, globs: Sequence[str]) -> bool:
    """Whether a list of globs, in the syntax of .gitignore, matches the file."""
    found = deciding_rule(relative, rules_of(globs))
    return found is not None and found[0].excludes


def _secret_file(path: str) -> tuple[str, str] | None:
    # Lower case, because Windows and macOS do not distinguish ID_RSA from id_rsa.
    lowered = path.lower().lstrip("/")
    parents = [lowered[: at.start()] for at in re.finditer("/", lowered)]
    for what, rules in _secret_rules():
        for rule in rules:
            if rule.only_directories:
                if any(rule.names(parent, True) for parent in parents):
                    return what, rule.text.removeprefix("**/")
            elif rule.names(lowered, False):
                return what, rule.text.removeprefix("**/")
    return None


@functools.cache
def _secret_rules() -> tuple[tuple[str, tuple[Rule, ...]], ...]:
    return tuple(
        (what, parse_rules("\n".join(map(_at_any_depth, globs.split()))))
        for what, globs in SECRET_FILES.items()
    )


def _at_any_depth(glob: str) -> str:
    return f"**/{glob}" if "/" in glob[:-1] else glob

"""Secrets turn into asterisks, ordinary code stays, offsets stay, and no line is too long.

Most are drawn at run time, as scanners of repositories would find them in this file.
"""

import random
import string
import sysconfig
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.secrets import MASK, find_secrets, mask_secrets

ROOT = Path(__file__).parent.parent.parent
DRAWN = random.Random(3)


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(DRAWN.choices(alphabet, k=length))


def check_masked(marked: str) -> None:
    """What stands between « and » is masked, and nothing else."""
    text = marked.replace("«", "").replace("»", "")
    expect, masked = "", False
    for character in marked:
        if character in "«»":
            masked = character == "«"
        else:
            expect += MASK if masked and character not in "\r\n" else character
    assert mask_secrets(text) == expect


HEX = "0123456789abcdef"


def wide(text: str) -> str:
    """In full-width characters."""
    return "".join(chr(ord(one) + 0xFEE0) for one in text)


PASSWORDS = (
    *("密码", "口令", "パスワード", "비밀번호", "암호", "пароль", "Passwort"),
    *("mot de passe", "contraseña", wide("password")),
)
TOKENS = (
    *("密钥", "令牌", "トークン", "シークレット", "토큰", "비밀 키", "секрет", "токен"),
    *("Geheimnis", "Geheimschlüssel", "jeton", "clé secrète", "secreto", "clave secreta"),
    *("token", wide("api_key")),
)


@pytest.mark.parametrize(
    "marked",
    [
        f"id = «AKIA{drawn(16, string.ascii_uppercase)}»",
        f'aws_secret_access_key = "«{drawn(40)}»"',
        f"export GITHUB_TOKEN=«ghp_{drawn(36)}»\n",
        f"git clone https://me:«github_pat_{drawn(40)}»@github.com/me/x",
        f"token: «glpat-{drawn(20)}»",
        f"run «dgl_{drawn(43)}» now",
        f"slack('«xoxb-{drawn(12, string.digits)}-{drawn(24)}»')",
        f"https://hooks.slack.com/services/«T{drawn(8)}/B{drawn(8)}/{drawn(24)}»",
        f"openai.api_key = '«sk-proj-{drawn(48)}»'",
        f"OpenAI(api_key='«sk-{drawn(48)}»')",
        f'"ANTHROPIC": "«sk-ant-api03-{drawn(93)}»"',
        f"key = «AIza{drawn(35)}»",
        f"login(«hf_{drawn(34)}»)",
        f"//registry.npmjs.org/:_authToken=«npm_{drawn(36)}»",
        f"stripe.key = «sk_live_{drawn(24)}»",
        f"cookie: «eyJ{drawn(30)}.eyJ{drawn(60)}.{drawn(43)}»; path=/",
        f"curl -H 'Authorization: Bearer «{drawn(40)}»'",
        f"AccountName=me;AccountKey=«{drawn(86)}==»;EndpointSuffix=core",
        f"x = «AGE-SECRET-KEY-1{drawn(58, string.ascii_uppercase + string.digits)}»",
    ],
)
def test_tokens_are_known_by_their_shape(marked: str) -> None:
    check_masked(marked)


@pytest.mark.parametrize(
    "marked",
    [
        'password = "«hunter2»"',
        "password='«correct-horse-battery»'",
        'db_password: str = "«swordfish»"',
        'String dbPassword = "«hunter2!»";',
        "const userPass = `«p4ss-phrase»`;",
        'config["password"] = "«s3same!»"',
        '{"user": "me", "password": "«s3same!»", "port": 1}',
        'connect(host="db", passwd="«geheim$parole»", port=3)',
        '$password = "«tiger#1»";',
        '"password" => "«tiger#1»",',
        "export DB_PASSWORD=«hunter2!x»\n",
        "  password: «hunter2!x»  \n",
        "ENV DB_PASSWORD=«tiger#1tiger»",
        "- POSTGRES_PASSWORD=«tiger#1tiger»\r\n",
        f"SECRET_KEY = '«django-insecure-{drawn(30)}»'",
        f"api_key = '«{drawn(32, HEX)}»'",
        "apiKey: '«3f2504e0-4f89-11d3-9a0c-0305e82c3301»',",
        f"secret_key_base: «{drawn(128, HEX)}»",
        f'clientSecret = "«{drawn(24)}»"',
        "postgres://app:«tiger#1»@db.local:5432/app",
        'url = "mongodb+srv://me:«p%40ssw0rd!»@cluster0.mongodb.net"',
        f'send("«{drawn(40)}»")',
        f'x = b"«{drawn(64, string.ascii_letters + string.digits + "+/")}»"',
    ],
)
def test_secrets_are_known_by_their_names_and_their_looks(marked: str) -> None:
    check_masked(marked)


BASE64 = string.ascii_letters + string.digits + "+/"


@pytest.mark.parametrize(
    "marked",
    [
        f"aws_session_token = «{drawn(300, BASE64)}»",
        f"AWS_SECRET_ACCESS_KEY=«/{drawn(39, BASE64)}»",
        "Server=h;User Id=sa;Password=«tiger#19»;",
        "define('DB_PASSWORD', '«tiger#19»');",
        "<password>«tiger#19»</password>",
        "ENV DB_PASSWORD «tiger#19»",
        "deploy --user me --password «tiger#19» now",
        "mysql -u root -p«tiger#19» shop",
        "curl -u admin:«tiger#19» https://example.org/",
        "Authorization: Basic «YWRtaW46aHVudGVyMg==»",
        '{\\"password\\": \\"«tiger#19»\\"}',
        f"client.run('«MTk4{drawn(21)}.Gh7x2L.{drawn(38)}»')",
        f"bot = Bot('«123456789:AA{drawn(33)}»')",
        f"https://x.blob.core.windows.net/c?sv=1&sig=«{drawn(43)}%3D»",
        f"MAILGUN = «key-{drawn(32, HEX)}»",
        f"    client-key-data: «LS0tLS1CRUdJTi{drawn(900, BASE64)}»",
        "password = os.getenv('DB_PASSWORD', '«tiger#19»')",
        "# password: «tiger#19»",
        'password = \\\n    "«tiger#19»"\n',
        'password = """«tiger#19»"""',
        "password: |\n  «tiger#19»\n",
        "\"password = '«tiger#19»'\\n\",",
        f"https://api.example.com/v1?access_token=«{drawn(40)}»&x=1",
        'password = "«correct horse battery staple»"',
        'password = "«$ecret99!»"',
        "DB_PASSWORD=«x7(Kq,2;m»\n",
        "password: «tiger&19[]z»\n",
        "contraseña: «tiger#19»\n",
        "contrasen\u0303a: «tiger#19»\n",
        'minhaSenha = "«tiger#19»"',
        '"CONTRASEÑA": "«tiger#19»",',
        "Mot de passe: «tiger#19»\n",
        "DB_SENHA=«tiger#19»\n",
        "wachtwoord='«tiger#19»'",
        "密码: «tiger#19»\n",
        '"пароль": "«tiger#19»"',
        'ŞIFRE="«tiger#19»"',
        *(
            f"{word}{sign}{blank}«{value}»\n"
            for words, value in ((PASSWORDS, "tiger#19"), (TOKENS, drawn(40)))
            for word in words
            for sign, blank in (
                *((":", " "), ("=", "")),
                *((wide(":"), ""), (wide("="), ""), (wide(":"), "\u3000")),
            )
        ),
        f"密码{wide('=')}{wide(chr(34))}«tiger#19»{wide(chr(34))}",
    ],
)
def test_secrets_are_found_wherever_they_are_written(marked: str) -> None:
    check_masked(marked)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "****",
        "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
        "password = get_password()",
        "password=get_password(user1)\n",
        "password: Option<String2>,\n",
        "password: values[u64],\n",
        "password=codecs.decode(b1,\n",
        "password = os.environ['DB_PASSWORD']",
        'password = ""',
        'password = "password"',
        'password = "********"',
        'password = "${DB_PASSWORD}"',
        'password = "<your password>"',
        'password = "changeme"',
        'password = f"{user}-{year}"',
        'label.password = "Password is required"',
        'input_type_for_password = "text"',
        "password: str = field(repr=False)",
        "password: Optional[str] = None",
        "password: string;",
        "password: u8",
        "def login(self, user, password='', account=''):",
        "PWD=/home/me/work",
        'if password == "hunter2":',
        'token = "IDENTIFIER"',
        'token = "access_token_v2"',
        'TOKEN_URL = "https://example.org/oauth2/token"',
        'headers["X-Auth-Token"] = token',
        'secret_name = "projects/p/secrets/s1"',
        'secret = "my-secret-name"',
        "for key, token in tokens.items():",
        'key = "some_dictionary_key_2"',
        'bypass = "abc1"',
        'resenha = "nota10!"',
        "const parolado = 'abc#1';",
        "passe: 1\n",
        '"AWS::IAM::AccessKey": "62d91b17309e76c8"',
        "url = 'https://user:pass@host/'",
        "url = f'https://{user}:{password}@host/'",
        "postgres://user:password@localhost/db",
        "http://localhost:8080/@scope/package",
        "git@github.com:me/x.git",
        # Digests and identifiers are public.
        f'rev = "{drawn(40, HEX)}"',
        f'"sha256": "{drawn(64, HEX)}"',
        f'"integrity": "sha512-{drawn(86)}=="',
        f"checksum = '{drawn(44)}'",
        f"resolved: 'h1:{drawn(43)}='",
        'id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"',
        'A = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"',
        'x = "SomeVeryLongCamelCaseIdentifier2"',
        'x = "cudaD3D10ResourceGetMappedPointer"',
        'x = "/usr/lib/x86_64-linux-gnu/libA1.so"',
        f'data = "{drawn(400)}"',
        '<div class="sk-circle-fade sk-Circle-fade-dot-12">',
        'token = "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"',
        "mask-image: url(xoxo.png)",
        'START = "-----BEGIN PRIVATE KEY-----"\nEND = "-----END PRIVATE KEY-----"\n',
        f"-----BEGIN CERTIFICATE-----\n{drawn(64)}\n-----END CERTIFICATE-----",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert find_secrets(text) == ()
    assert mask_secrets(text) == text


def key_block(newline: str, start: str = "", end: str = "") -> str:
    lines = [drawn(64), drawn(64), "aB3="]
    return newline.join(
        [
            f"{start}-----BEGIN RSA PRIVATE KEY-----{end}",
            *(f"{start}«{line}»{end}" for line in lines),
            f"{start}-----END RSA PRIVATE KEY-----{end}",
        ]
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_private_keys_are_masked_line_by_line(newline: str) -> None:
    check_masked(f"before{newline}{key_block(newline)}{newline}after")
    check_masked(key_block(newline, '    "', '\\n"'))
    check_masked(key_block(newline) + newline + key_block(newline))


def test_half_a_private_key_is_masked() -> None:
    whole = key_block("\n").replace("«aB3=»\n", "")
    lines = whole.split("\n")

    check_masked("\n".join(lines[:-1]) + "\n")
    check_masked("\n".join(lines[1:]) + "\nx = 1\n")


def test_it_says_what_gave_a_secret_away() -> None:
    text = f'password = "hunter2"\nx = "ghp_{drawn(36)}"\n'
    found = find_secrets(text)

    assert [secret.what for secret in found] == ["a password", "a GitHub token"]
    assert text[found[0].start : found[0].end] == "hunter2"


@pytest.mark.parametrize("seed", range(3))
def test_random_literals_are_nearly_always_found(seed: int) -> None:
    lots = random.Random(seed)
    letters = string.ascii_letters + string.digits
    texts = [f'x = "{"".join(lots.choices(letters, k=40))}"' for _ in range(300)]

    # Three in a hundred have so many small letters in a row that they pass for words.
    assert sum(mask_secrets(text) != text for text in texts) >= 280


def sources_of(*folders: Path) -> list[str]:
    read = []
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            try:
                read.append(path.read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                continue
    return read


def test_code_without_secrets_is_not_touched() -> None:
    here = [path for path in (ROOT / "dg_lsp").iterdir() if path.is_dir()]
    standard = Path(sysconfig.get_paths()["stdlib"])
    asked = [standard / name for name in (".", "asyncio", "email", "json", "http", "xml")]
    sources = sources_of(ROOT / "dg_lsp", *here, *asked)
    assert sum(map(len, sources)) > 3_000_000

    masked = [
        source[secret.start : secret.end]
        for source in sources
        for secret in find_secrets(source)
    ]
    assert len(masked) <= 1, masked


REPEATED = [
    *(
        "a",
        '"',
        "sk-",
        "eyJ",
        "-eyJ",
        "eyJaaaaaaaa.",
        "://",
        "://a:",
        "password=",
        "password='",
    ),
    *("token=", "token: ", "secret,", 'key"', 'api_key=\\"', "<password>", "password\n", "pw "),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "Bearer ",
        "Basic ",
        "M",
        "M.",
    ),
    *("curl -u ", "curl -u a:", "mysql ", "auth=(", 'auth=("a",', "${password:", "sig=", "%2B"),
    *("\npassword: |\n", "--token ", "identified by ", "a" * 32 + "-", "1:AA", "Q~", "\\"),
    *("hooks/a/", "hooks.a.b.", "_aB3", "a_", "?key=", "&sig=aB3", "login ", "-u a:", '"ab: '),
    *("api_key=/", "password=a=", "token = (\n", 'x = "' + "aB3" * 12 + '"; ', "name: key\n"),
]


def seconds_to_mask(text: str) -> float:
    """Of the processor, which other programs do not change much."""
    start = time.process_time()
    assert len(mask_secrets(text)) == len(text)
    return time.process_time() - start


@pytest.mark.parametrize("part", REPEATED)
def test_four_times_the_text_takes_four_times_the_work(part: str) -> None:
    small, large = (part * (size // len(part)) for size in (25_000, 100_000))
    once, four_times = (min(seconds_to_mask(text) for _ in range(3)) for text in (small, large))

    # What is not linear takes sixteen times the work, if not for ever.
    assert four_times < 9 * once + 0.01


PIECES = st.sampled_from(
    [
        *("password", "token", "api_key", "secret", "key", "=", ": ", " ", '"', "'", "`", "\n"),
        *(
            "hunter2!",
            "****",
            "*",
            "sk-",
            "ghp_",
            "AKIA",
            "eyJ",
            ".",
            "://",
            ":",
            "@",
            "Bearer ",
        ),
        *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "\r\n", "\u0130", "::"),
        *("aB3dE5gH1jKlMnO0pQrS", "ABCDEFGH12345678", drawn(36), drawn(64, HEX), "sha256"),
    ]
)


@given(text=st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_masking_keeps_offsets_and_settles(text: str) -> None:
    masked = mask_secrets(text)
    secrets = find_secrets(text)

    assert len(masked) == len(text)
    assert mask_secrets(masked) == masked
    hidden = {at for secret in secrets for at in range(secret.start, secret.end)}
    for at, (before, after) in enumerate(zip(text, masked, strict=True)):
        assert after == (MASK if at in hidden and before not in "\r\n" else before)

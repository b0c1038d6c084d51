"""What a client may send as settings, what is said of the rest, and that the docs are true."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.suggestions import MultiLine
from dg_lsp.server.settings import (
    Settings,
    Speculate,
    Trigger,
    docs_table,
    json_schema,
    parse,
)
from dg_lsp.server.settings_schema import json_name
from dg_lsp.service.address import AddressError, parse_address

MODEL_NEEDS = "the name of a model, or an absolute path (~/ is your home directory)"
DOCS = Path(__file__).parent.parent.parent / "docs" / "settings.md"
DEFAULTS = Settings()


def check_refused(raw: object, *expect: str) -> None:
    """Nothing is taken, and these are the messages."""
    assert parse(raw, DEFAULTS) == (DEFAULTS, list(expect))


def test_everything_can_be_set() -> None:
    parsed, messages = parse(
        {
            "enable": False,
            "languages": {"*": False, "python": True},
            "include": ["src/"],
            "exclude": ["*.gen.py", "!keep.gen.py"],
            "trigger": "manual",
            "debounceMs": 120,
            "deadlineMs": 900,
            "candidates": 5,
            "candidatesWhileTyping": 2,
            "multiLine": "never",
            "minConfidence": 0.25,
            "completionFallback": True,
            "speculate": "off",
            "nextEdits": "all",
            "holeMark": "???",
            "draftIntervalMs": 0,
            "trace": "text",
            "usage": False,
            "context": {"budgetChars": 9000, "relatedFiles": False},
            "engine": {
                "address": "127.0.0.1:8080",
                "token": "s3cret",
                "model": "bundled",
                "device": "cuda:1",
                "idleMinutes": 5,
            },
        },
        DEFAULTS,
    )

    assert messages == []
    assert (parsed.enable, parsed.candidates, parsed.min_confidence) == (False, 5, 0.25)
    assert (parsed.trigger, parsed.multi_line) == (Trigger.MANUAL, MultiLine.NEVER)
    assert parsed.speculate is Speculate.OFF
    assert (parsed.include, parsed.exclude) == (("src/",), ("*.gen.py", "!keep.gen.py"))
    assert (parsed.context.budget_chars, parsed.context.related_files) == (9000, False)
    assert (parsed.engine.device, parsed.engine.idle_minutes) == ("cuda:1", 5.0)
    assert {field.name for field in dataclasses.fields(Settings)} == {
        field.name
        for field in dataclasses.fields(Settings)
        if getattr(parsed, field.name) != getattr(DEFAULTS, field.name)
    }


@pytest.mark.parametrize(
    "raw", [None, {}, {"dgLsp": None}, {"dgLsp": {}}, {"engine": None}, [], {"dgLsp": []}]
)
def test_what_is_not_set_stays(raw: object) -> None:
    check_refused(raw)
    check_refused({"candidates": None, "engine": {"token": None}})


def test_lua_sends_an_empty_object_as_a_list() -> None:
    parsed, messages = parse({"engine": [], "languages": []}, DEFAULTS)
    assert (messages, parsed.engine, dict(parsed.languages)) == ([], DEFAULTS.engine, {})


def test_the_section_may_come_with_its_name() -> None:
    assert parse({"dgLsp": {"candidates": 2}}, DEFAULTS)[0].candidates == 2


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            {"debounceMs": "fast"},
            'debounceMs is "fast", but must be a whole number from 0 to 10000',
        ),
        ({"debounceMs": -1}, "debounceMs is -1, but must be a whole number from 0 to 10000"),
        ({"debounceMs": 1.5}, "debounceMs is 1.5, but must be a whole number from 0 to 10000"),
        ({"candidates": True}, "candidates is true, but must be a whole number from 1 to 10"),
        (
            {"candidates": 10**30},
            f"candidates is {10**30}, but must be a whole number from 1 to 10",
        ),
        (
            {"minConfidence": float("nan")},
            "minConfidence is NaN, but must be a number from 0 to 1",
        ),
        ({"enable": 1}, "enable is 1, but must be true or false"),
        ({"trigger": "Manual"}, 'trigger is "Manual", but must be one of automatic, manual'),
        ({"multiLine": []}, "multiLine is [], but must be one of auto, never, always"),
        ({"exclude": "*.py"}, 'exclude is "*.py", but must be a list of at most 1000 strings'),
        (
            {"exclude": ["a", 1]},
            'exclude is ["a", 1], but must be a list of at most 1000 strings',
        ),
        (
            {"languages": ["python"]},
            'languages is ["python"], but must be an object with true or false for each name',
        ),
        (
            {"engine": {"device": "tpu"}},
            'engine.device is "tpu", but must be cpu, cuda or cuda:N',
        ),
        ({"engine": {"model": 4}}, f"engine.model is 4, but must be {MODEL_NEEDS}"),
        # They would mean another model in each project, perhaps one that came with it.
        (
            {"engine": {"model": "./packed1"}},
            f'engine.model is "./packed1", but must be {MODEL_NEEDS}',
        ),
        ({"engine": {"model": "../x"}}, f'engine.model is "../x", but must be {MODEL_NEEDS}'),
        (
            {"engine": {"model": "a/packed1"}},
            f'engine.model is "a/packed1", but must be {MODEL_NEEDS}',
        ),
    ],
)
def test_what_is_not_valid_is_named_and_the_default_stays(raw: object, message: str) -> None:
    parsed, messages = parse(raw, DEFAULTS)

    assert parsed == DEFAULTS
    assert len(messages) == 1
    assert messages[0].startswith(f"dgLsp.{message}; it stays ")


def test_what_stays_is_what_was_there_before() -> None:
    base, _ = parse({"candidates": 7}, DEFAULTS)
    parsed, messages = parse({"candidates": 70, "debounceMs": 9}, base)

    assert (parsed.candidates, parsed.debounce_ms) == (7, 9)
    assert messages == [
        "dgLsp.candidates is 70, but must be a whole number from 1 to 10; it stays 7"
    ]


@pytest.mark.parametrize("raw", ["on", 3, True, ["enable"]])
def test_a_section_that_is_no_object_changes_nothing(raw: object) -> None:
    said = json.dumps(raw)
    check_refused(raw, f"dgLsp is {said}, but must be an object; it stays as it was")
    check_refused(
        {"engine": raw}, f"dgLsp.engine is {said}, but must be an object; it stays as it was"
    )


def test_what_does_not_exist_is_named_with_what_is_near() -> None:
    check_refused(
        {"debonceMs": 5, "debounce_ms": 5, "zzz": 1, "engine": {"adress": "x"}, "a\nb": 1},
        "dgLsp.debonceMs is not a setting; did you mean dgLsp.debounceMs?",
        "dgLsp.debounce_ms is not a setting; did you mean dgLsp.debounceMs?",
        "dgLsp.zzz is not a setting",
        "dgLsp.engine.adress is not a setting; did you mean dgLsp.engine.address?",
        'dgLsp."a\\nb" is not a setting',
    )


def test_one_bad_value_costs_no_other() -> None:
    parsed, messages = parse({"candidates": 0, "enable": False, "nope": 1}, DEFAULTS)

    assert (parsed.enable, parsed.candidates, len(messages)) == (False, 3, 2)


def test_whole_numbers_may_come_as_floats() -> None:
    parsed, messages = parse({"debounceMs": 50.0, "engine": {"idleMinutes": 5}}, DEFAULTS)

    assert messages == []
    assert repr(parsed.debounce_ms) == "50"
    assert repr(parsed.engine.idle_minutes) == "5.0"


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("", True),
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("gpu-box.local:9", True),
        ("https://gpu.example.org/dg", True),
        ("vllm+https://gpu.example.org:8000", True),
        ("llama+http://127.0.0.1:8080", True),
        ("vllm+gpu:8000", False),
        ("other+https://gpu", False),
        ("gpu-box", False),
        ("ftp://x:1", False),
        ("http://me:hunter2@gpu:80", False),
        ("a b:80", False),
    ],
)
def test_addresses(address: str, good: bool) -> None:
    parsed, messages = parse({"engine": {"address": address}}, DEFAULTS)

    assert (parsed.engine.address == address, messages == []) == (good or address == "", good)


@pytest.mark.parametrize(
    "raw",
    [
        {"engine": {"token": ["hunter2"]}},
        {"engine": {"token": "hunter2 "}},
        {"engine": {"address": "http://me:hunter2@gpu:80"}},
        {"engine": {"token": "hunter2"}},
        {"engine": {"tokne": "hunter2"}},
    ],
)
def test_a_token_is_shown_nowhere(raw: object) -> None:
    parsed, messages = parse(raw, DEFAULTS)

    assert "hunter2" not in repr(parsed) + "".join(messages)


@pytest.mark.parametrize(
    ("raw", "language", "expect"),
    [
        ({}, "python", True),
        ({"languages": {"markdown": False}}, "markdown", False),
        ({"languages": {"markdown": False}}, "python", True),
        ({"languages": {"*": False, "python": True}}, "python", True),
        ({"languages": {"*": False, "python": True}}, "c", False),
        ({"enable": False, "languages": {"python": True}}, "python", False),
    ],
)
def test_languages_are_switched_one_by_one(raw: object, language: str, expect: bool) -> None:
    assert parse(raw, DEFAULTS)[0].is_language_enabled(language) is expect


def defaults_by_path(section: object, path: str = "dgLsp") -> dict[str, object]:
    found: dict[str, object] = {}
    for field in dataclasses.fields(section):  # type: ignore[arg-type]
        name, value = f"{path}.{json_name(field.name)}", getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            found |= defaults_by_path(value, name)
        else:
            found[name] = value
    return found


def schemas_by_path(schema: dict, path: str = "dgLsp") -> dict[str, dict]:
    assert schema["additionalProperties"] is False
    assert schema["description"]
    found: dict[str, dict] = {}
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            found |= schemas_by_path(inner, f"{path}.{name}")
        else:
            found[f"{path}.{name}"] = inner
    return found


def test_the_schema_has_every_setting_and_its_default_is_valid() -> None:
    schemas = schemas_by_path(json_schema())

    assert schemas.keys() == defaults_by_path(DEFAULTS).keys()
    assert json.loads(json.dumps(json_schema())) == json_schema()
    types = {"boolean": bool, "integer": int, "number": float, "string": str}
    types |= {"array": list, "object": dict}
    for path, schema in schemas.items():
        assert schema["description"].endswith("."), path
        assert type(schema["default"]) is types[schema["type"]], path
        assert schema.get("minimum", 0) <= schema.get("maximum", 0), path
        assert re.search(schema.get("pattern", ""), str(schema["default"])), path
        assert schema["default"] in schema.get("enum", [schema["default"]]), path


def test_the_defaults_of_the_schema_are_the_settings() -> None:
    raw: dict[str, object] = {}
    for path, schema in schemas_by_path(json_schema()).items():
        *groups, name = path.split(".")[1:]
        section = raw
        for group in groups:
            section = section.setdefault(group, {})  # type: ignore[assignment]
        section[name] = schema["default"]

    assert parse(raw, DEFAULTS) == (DEFAULTS, [])


def test_the_docs_are_the_settings() -> None:
    assert docs_table() in DOCS.read_text(encoding="utf-8")


def test_the_examples_of_the_docs_are_valid() -> None:
    examples = re.findall(r"```json\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)

    assert len(examples) == 2
    for example in examples:
        parsed, messages = parse(json.loads(example), DEFAULTS)
        assert messages == []
        assert parsed != DEFAULTS


KEYS = st.sampled_from([path.split(".")[-1] for path in defaults_by_path(DEFAULTS)]) | st.text()
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS | st.just("engine"), inner),
    max_leaves=20,
)


@given(raw=ANYTHING)
def test_nothing_that_is_sent_raises(raw: object) -> None:
    parsed, messages = parse(raw, DEFAULTS)

    assert all(len(message.splitlines()) == 1 for message in messages)
    assert isinstance(parsed, Settings)
    assert parse(raw, parsed)[0] == parsed


@pytest.mark.parametrize("model", ["", "bundled", "packed-1.5_b", "/m/x", "~/m x", "C:\\\\m"])
def test_a_model_is_a_name_or_an_absolute_path(model: str) -> None:
    parsed, messages = parse({"engine": {"model": model}}, DEFAULTS)

    assert (parsed.engine.model, messages) == (model, [])


def test_what_is_no_fingerprint_is_kept_so_that_the_address_is_refused_with_it() -> None:
    """Ignored, it would leave the engine's certificate to what the system trusts."""
    parsed, messages = parse({"engine": {"fingerprint": "sha256:zz"}}, DEFAULTS)
    assert (messages, parsed.engine.fingerprint) == ([], "sha256:zz")
    with pytest.raises(AddressError, match="sha256:zz"):
        parse_address("https://host:8000", None, parsed.engine.fingerprint)

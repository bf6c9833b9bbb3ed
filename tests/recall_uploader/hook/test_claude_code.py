"""Which entries are ours, and what an edit makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recall_uploader.hook.claude_code import (
    find,
    hook_command,
    installed,
    settings_path,
    uninstalled,
)
from recall_uploader.hook.json_text import JsonRefused, parse

OURS = "/opt/recall hook session-end"
NOTHING = "{}\n"


def settings(*commands: str) -> str:
    hooks = [{"type": "command", "command": command} for command in commands]
    return json.dumps({"hooks": {"SessionEnd": [{"hooks": hooks}]}}, indent=2)


def commands(text: str) -> list[str]:
    groups = json.loads(text).get("hooks", {}).get("SessionEnd", [])
    return [hook["command"] for group in groups for hook in group["hooks"]]


def test_the_settings_lie_where_the_agent_looks() -> None:
    assert settings_path({"CLAUDE_CONFIG_DIR": "/c"}) == Path("/c/settings.json")
    assert settings_path({}) == Path.home() / ".claude/settings.json"


def test_the_command_is_quoted_for_a_shell() -> None:
    command = hook_command(Path("/a b/recall"), Path("/it's"), Path("/$HOME.yaml"))
    assert command == (
        "'/a b/recall' hook session-end --state-dir '/it'\"'\"'s' --config '/$HOME.yaml'"
    )
    assert find(parse(settings(command)))[0].whole


def test_a_new_file_has_the_form_the_agent_documents() -> None:
    hook = {"type": "command", "command": OURS, "timeout": 10}
    assert json.loads(installed(NOTHING, OURS)) == {"hooks": {"SessionEnd": [{"hooks": [hook]}]}}
    assert installed(NOTHING, OURS).endswith("}\n")


@pytest.mark.parametrize(
    "command",
    [
        "/elsewhere/recall hook session-end",
        "recall hook session-end",
        '"/a b/recall"   hook session-end --state-dir "/x y"',
        "exec recall hook session-end --config=/y",
        "RECALL_STATE_DIR=/x env A='b c' recall hook session-end",
        "'/it'\"'\"'s/recall' hook session-end",
    ],
)
def test_ours_changed_by_hand_is_updated_not_doubled(command: str) -> None:
    text = settings("before", command, "after")
    after = installed(text, OURS)
    assert commands(after) == ["before", OURS, "after"]
    assert installed(after, OURS) == after
    assert commands(uninstalled(after, None)) == ["before", "after"]


def test_the_same_words_in_other_quotes_are_left() -> None:
    text = settings('"/opt/recall" hook  session-end')
    assert installed(text, OURS) == text


@pytest.mark.parametrize(
    "command",
    [
        "recall hook session-end && say bye",
        "recall hook session-end 2>/dev/null",
        "$HOME/bin/recall hook session-end",
        "uv run recall hook session-end",
        "cd /x; recall hook session-end",
        'sh -c "$(x)" recall hook session-end',
        "recall hook session-end &",
    ],
)
def test_a_command_around_ours_counts_and_stays(command: str) -> None:
    text = settings(command)
    assert installed(text, OURS) == text
    assert uninstalled(text, None) == text
    assert not find(parse(text))[0].whole


def test_a_command_that_is_spawned_with_arguments_counts_and_stays() -> None:
    hook = {"type": "command", "command": "/x/recall", "args": ["hook", "session-end"]}
    text = json.dumps({"hooks": {"SessionEnd": [{"hooks": [hook]}]}})
    assert installed(text, OURS) == text


@pytest.mark.parametrize(
    "command",
    ["recall upload", "/x/recalld hook session-end", "recall hook install", "hook session-end", ""],
)
def test_others_are_not_ours(command: str) -> None:
    text = settings(command)
    assert commands(installed(text, OURS)) == [command, OURS]
    assert uninstalled(text, None) == text


def test_two_of_ours_become_one() -> None:
    assert commands(installed(settings(OURS, "x", "recall hook session-end"), OURS)) == [OURS, "x"]
    assert commands(installed(settings("recall hook session-end; y", OURS), OURS)) == [
        "recall hook session-end; y"
    ]
    groups = [{"hooks": [{"type": "command", "command": OURS}]} for _ in range(3)]
    text = json.dumps({"hooks": {"SessionEnd": groups}})
    assert commands(installed(text, OURS)) == [OURS]
    assert uninstalled(text, None) == "{}"


def test_what_the_user_set_beside_the_command_stays() -> None:
    hook = {"type": "command", "command": "recall hook session-end", "timeout": 3, "x": "ü"}
    text = json.dumps({"hooks": {"SessionEnd": [{"matcher": "clear", "hooks": [hook]}]}})
    (group,) = json.loads(installed(text, OURS))["hooks"]["SessionEnd"]
    assert group == {"matcher": "clear", "hooks": [hook | {"command": OURS}]}


@pytest.mark.parametrize(
    "before",
    [
        '{"model": "opus", "n": 1e400, "é": "\\u00e9"}',
        '{\n\t"hooks": {\n\t\t"Stop": []\n\t}\n}',
        '{\r\n  "hooks": {}\r\n}\r\n',
        '{ "hooks" : { "SessionEnd" : [ ] } }',
        '{\n  "hooks": {\n    "SessionEnd": [\n      {"hooks": []}\n    ]\n  }\n}\n',
        "{ }",
        "{}",
    ],
)
def test_in_and_out_again_gives_every_byte_back(before: str) -> None:
    after = installed(before, OURS)
    assert json.loads(after) != json.loads(before)
    assert uninstalled(after, before) == before


def test_containers_that_were_empty_before_stay_when_others_changed_meanwhile() -> None:
    for before in ('{"hooks": {"SessionEnd": []}}', '{"hooks": {}}', "{}"):
        after = installed(before, OURS)
        changed = after[:-1] + ', "model": "opus"}'
        assert json.loads(uninstalled(changed, before)) == json.loads(before) | {"model": "opus"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "the whole is no object"),
        ('  "x"', "the whole is no object"),
        ('{"hooks": []}', "hooks is no object"),
        ('{"hooks": null}', "hooks is no object"),
        ('{"hooks": {"SessionEnd": {}}}', "hooks.SessionEnd is no list"),
        ('{"hooks": {"SessionEnd": [1]}}', r"hooks.SessionEnd\[0\] is no object"),
        ('{"hooks": {"SessionEnd": [{}]}}', "has no hooks"),
        ('{"hooks": {"SessionEnd": [{"hooks": {}}]}}', "is no list"),
        ('{"hooks": {"SessionEnd": [{"hooks": ["x"]}]}}', "is no object"),
    ],
)
def test_entries_of_another_kind_are_refused(text: str, says: str) -> None:
    with pytest.raises(JsonRefused, match=says):
        installed(text, OURS)

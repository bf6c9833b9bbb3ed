"""What of a turn somebody wrote."""

from __future__ import annotations

import pytest

from recall_uploader.sources.written import text_of_assistant, text_of_user

COMMAND = (
    "<command-message>review is running…</command-message>\n"
    "<command-name>/review</command-name>\n<command-args>{}</command-args>"
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain <b>words</b>", "plain <b>words</b>"),
        ("  spaced \n", "spaced"),
        ("<system-reminder>\nx\n</system-reminder>\nreal", "real"),
        ("real\n<system-reminder>x</system-reminder>\nmore", "real\n\nmore"),
        ("why is a <system-reminder> here?", "why is a <system-reminder> here?"),
        ("say <system-reminder>x</system-reminder>", "say <system-reminder>x</system-reminder>"),
        ("<system-reminder> never closed", "<system-reminder> never closed"),
        ('<ide_selection lines="1-2">code</ide_selection>explain', "explain"),
        ("<bash-input>ls</bash-input>", ""),
        ("<task-notification><id>1</id></task-notification>", ""),
        ("<div>\nmy html\n</div>", "<div>\nmy html\n</div>"),
        ("<user-memory-input>use tabs</user-memory-input>", "use tabs"),
        (
            "a\n<user-memory-input>b</user-memory-input>",
            "a\n<user-memory-input>b</user-memory-input>",
        ),
        ("<system-reminder>a</system-reminder>\n<system-reminder>b</system-reminder>c", "c"),
        (COMMAND.format("the last commit"), "/review the last commit"),
        (COMMAND.format(""), ""),
        ("<command-name>/x</command-name><command-args>never closed", ""),
        ("what is <command-name>?", "what is <command-name>?"),
        ("[Request interrupted by user]", ""),
        ("", ""),
    ],
)
def test_a_users_turn(text: str, written: str) -> None:
    assert text_of_user(text) == written


def test_an_assistants_turn_is_left_as_it_is() -> None:
    assert text_of_assistant(" <system-reminder>x</system-reminder> ") == (
        "<system-reminder>x</system-reminder>"
    )
    assert text_of_assistant("(no content)") == ""


def test_many_tags_take_no_time() -> None:
    text = "<system-reminder>\n" * 200_000
    assert text_of_user(text) == text.strip()

"""Where a setting comes from, and what a person reads when it is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field, SecretStr, ValidationError

from recall_wire.errors import SettingsInvalid
from recall_wire.settings import BucketSettings, load


class Program(BucketSettings):
    tolerated_env: ClassVar[frozenset[str]] = frozenset({"RECALL_CONFIG"})

    poll_interval_s: float = Field(default=30.0, gt=0)
    embedder: Literal["auto", "hash"] = "auto"
    sources: tuple[str, ...] = ()
    state_dir: Path = Path("/var/lib/recall")
    hub_token: SecretStr | None = None


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("RECALL_", "RECALLD_"))]:
        monkeypatch.delenv(name)


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "recall.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(yaml_file: Path | None = None, **overrides: object) -> Program:
    return load(Program, env_prefix="RECALL_", yaml_file=yaml_file, overrides=overrides)


def refused(yaml_file: Path | None = None, **overrides: object) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        read(yaml_file, **overrides)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_defaults() -> None:
    settings = read()
    assert (settings.poll_interval_s, settings.embedder) == (30.0, "auto")
    assert settings.bucket_url is None
    assert settings == Program()


def test_command_line_over_environment_over_file_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "poll_interval_s: 1\nembedder: hash\nbucket_url: s3://file\n")
    assert (read(file).poll_interval_s, read(file).bucket_url) == (1.0, "s3://file")
    monkeypatch.setenv("RECALL_POLL_INTERVAL_S", "2")
    monkeypatch.setenv("RECALL_BUCKET_URL", "s3://env")
    assert (read(file).poll_interval_s, read(file).bucket_url) == (2.0, "s3://env")
    settings = read(file, poll_interval_s=3, bucket_url=None)  # None: not given
    assert (settings.poll_interval_s, settings.bucket_url, settings.embedder) == (
        3.0,
        "s3://env",
        "hash",
    )


def test_made_directly_it_reads_nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_BUCKET_URL", "s3://env")
    monkeypatch.setenv("BUCKET_URL", "s3://other")
    assert Program().bucket_url is None


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        read().poll_interval_s = 1.0  # type: ignore[misc]


def test_empty_variables_count_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_BUCKET_URL", "")
    monkeypatch.setenv("RECALL_UNKNOWN", "")
    assert read(write(tmp_path, "bucket_url: s3://file")).bucket_url == "s3://file"


def test_lists_in_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(write(tmp_path, "sources: [a, b]")).sources == ("a", "b")
    monkeypatch.setenv("RECALL_SOURCES", '["c"]')
    assert read().sources == ("c",)
    monkeypatch.setenv("RECALL_SOURCES", "s3cr3t")
    assert refused() == "RECALL_SOURCES is not valid JSON; write it as JSON"


# Typos


def test_a_typo_in_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "bucket_ulr: s3://x")
    assert refused(file) == f"'bucket_ulr' in {file} names no setting; did you mean bucket_url?"


def test_a_typo_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_POLL_INTERVALS", "1")
    assert "RECALL_POLL_INTERVALS names no setting" in refused()
    assert "did you mean RECALL_POLL_INTERVAL_S?" in refused()


def test_a_typo_on_the_command_line() -> None:
    assert "'embeder' on the command line names no setting; did you mean embedder?" in refused(
        embeder="hash"
    )


def test_nothing_like_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "take it out" in refused(write(tmp_path, "zzz: 1"))
    monkeypatch.setenv("RECALL_ZZZ", "1")
    assert "unset it" in refused()


def test_tolerated_variables_and_other_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_CONFIG", "/etc/recall.yaml")
    monkeypatch.setenv("RECALLD_POLL_INTERVAL_S", "1")
    monkeypatch.setenv("RECALLD_ZZZ", "1")
    assert read().poll_interval_s == 30.0
    with pytest.raises(SettingsInvalid, match="RECALLD_ZZZ"):
        load(Program, env_prefix="RECALLD_")


# Wrong values


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan"])
def test_a_wrong_value_in_the_environment(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RECALL_POLL_INTERVAL_S", value)
    assert "poll_interval_s, set in RECALL_POLL_INTERVAL_S, is wrong" in refused()


def test_a_wrong_value_in_the_file_and_on_the_command_line(tmp_path: Path) -> None:
    file = write(tmp_path, "embedder: magic")
    assert f"embedder, set in {file}, is wrong: Input should be 'auto' or 'hash'" in refused(file)
    assert "embedder, set on the command line, is wrong" in refused(embedder="magic")
    assert "sources.1, set on the command line" in refused(sources=["a", 5])


def test_a_secret_is_never_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(s3_access_key_id="AKID", s3_secret_access_key="s3cr3t", hub_token="t0ken")
    for text in (repr(settings), str(settings), repr(settings.s3_options())):
        assert "s3cr3t" not in text
        assert "t0ken" not in text
    for said in (
        refused(hub_token=["s3cr3t"]),
        refused(s3_secret_access_key="s3cr3t"),
        refused(s3_access_key_id=["s3cr3t"], s3_secret_access_key="s3cr3t"),
        refused(s3_endpoint_url="https://me:s3cr3t@host"),
        refused(write(tmp_path, "hub_token: *s3cr3t")),
        refused(write(tmp_path, "hub_token: [s3cr3t")),
        refused(write(tmp_path, "hub_token: {s3cr3t: 1}")),
        refused(write(tmp_path, "hub_token: !s3cr3t x")),
    ):
        assert "s3cr3t" not in said


def test_one_key_without_the_other() -> None:
    assert "only one of s3_access_key_id and s3_secret_access_key is set" in refused(
        s3_access_key_id="AKID"
    )


def test_the_options_it_makes() -> None:
    options = read(
        s3_endpoint_url="https://minio",
        s3_region="auto",
        s3_access_key_id="AKID",
        s3_secret_access_key="s3cr3t",
    ).s3_options()
    assert (options.endpoint_url, options.region) == ("https://minio", "auto")
    assert (options.access_key_id, options.secret_access_key) == ("AKID", "s3cr3t")


# The file itself


@pytest.mark.parametrize("text", ["", "\n# nothing but a comment\n", "---\n"])
def test_an_empty_file_is_no_mistake(tmp_path: Path, text: str) -> None:
    assert read(write(tmp_path, text)) == Program()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c\n", "not valid YAML at line 1, column 5"),
        ("embedder: hash\n\tx: 1\n", "not valid YAML at line 2"),
        ("embedder: hash\nembedder: auto\n", "at line 2, column 1: a name is there twice"),
        ("- a\n- b\n", "holds no settings"),
        ("just words", "holds no settings"),
        ("embedder: hash\n---\nembedder: auto\n", "not valid YAML"),
        ("d: 2026-99-99\n", "not valid YAML"),
        ("[1, 2]: x\n", "not valid YAML"),
        ("{a: 1}: x\n", "not valid YAML"),
        ("1: x\n", "names no setting"),
        ("a: &a [*a]\n", "names no setting"),
        ("[" * 5000, "not valid YAML"),
        (b"embedder: \xff\n", "not UTF-8"),
        (b"embedder: \x00\n", "not valid YAML"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, text: str | bytes, said: str) -> None:
    file = write(tmp_path, text)
    assert said in refused(file)
    assert str(file) in refused(file)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(tmp_path / "absent.yaml")
    assert "cannot be read: Is a directory" in refused(tmp_path)

"""`recall mcp`."""

from __future__ import annotations

from pathlib import Path

DEFAULT_HUB_URL = "http://127.0.0.1:8682"


def mcp(*, agents: bool = False, config: Path | None = None) -> int:
    """Serve the hub's tools to an agent over standard input and output, until the input ends.

    For agents that start a command rather than ask an address. The hub is at hub_url, or on this
    machine; hub_token says who asks.

    Parameters
    ----------
    agents
        Serve the tools for agents that share memories instead.
    config
        A YAML settings file.
    """
    from recall_uploader.settings import load_settings
    from recall_wire.errors import SettingsInvalid

    try:
        from recall_uploader.mcp_proxy import AGENTS_PATH, COMMON_PATH, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise SettingsInvalid(
            "the package mcp is not installed", hint="pip install 'recalld[mcp]'"
        ) from error
    settings = load_settings(config)
    token = settings.hub_token.get_secret_value() if settings.hub_token else None
    serve(settings.hub_url or DEFAULT_HUB_URL, token, AGENTS_PATH if agents else COMMON_PATH)
    return 0

"""`personas slack manifest`: what one pastes into Slack to make the app."""

from __future__ import annotations

import argparse
import json

from bot.commands.output import make_console
from core.settings import Settings


def print_manifest(_arguments: argparse.Namespace, _settings: Settings) -> int:
    from bot.slack_chat.manifest import manifest  # needs slack-bolt

    make_console().print_json(json.dumps(manifest()), ensure_ascii=False)
    return 0

"""`personas doctor`: looks at everything serving needs, a line each: ok, warn or fail, and what to do."""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bot.chat.findings import Finding, Level
from bot.commands import discord_side, slack_side
from bot.commands.advice import base_option, install_command, personas_command, train_command, worded
from bot.commands.chat_side import is_installed
from bot.commands.listening import listen
from bot.commands.output import make_console, print_finding
from bot.service.process_lock import ProcessLock
from bot.service.storage import Storage, open_storage
from core.adapters.check import check_adapter, local_fingerprint
from core.adapters.content_hash import adapter_content_hash
from core.base_names import base_folder
from core.errors import PersonasError
from core.gguf_path import gguf_file, is_gguf
from core.outside_files import real_path
from core.private_files import close_folder, is_open_to_others
from core.settings import SETTINGS_FILE, Settings

FREE_BYTES, LEAST_FREE_BYTES = 2**30, 2**27  # below the latter hardly a day of messages fits
EXTRAS = {"web": "gradio", "engine": "transformers", "train": "trl"}


def doctor(arguments: argparse.Namespace, settings: Settings) -> int:
    """1 when something fails that serving cannot do without, else 0."""
    console = make_console()
    is_failed = False
    checks = (
        check_packages,
        check_port,
        check_data,
        check_personas,
        check_device,
        check_model,
        check_discord,
        check_slack,
    )
    for check in checks:
        try:
            findings = list(check(settings))
        except PersonasError as error:
            findings = [Finding("fail", check.__name__.removeprefix("check_"), worded(error))]
        for finding in findings:
            is_failed |= finding.level == "fail"
            print_finding(console, finding)
    return 1 if is_failed else 0


def check_packages(settings: Settings) -> Iterator[Finding]:
    missing = [extra for extra, package in EXTRAS.items() if find_spec(package) is None]
    for extra in missing:
        level: Level = "warn" if extra == "train" else "fail"
        advice = f"`{install_command(extra)}` does it."
        yield Finding(level, "packages", f"the extra {extra} is not installed; {advice}")
    if not missing:
        yield Finding("ok", "packages", f"Python {platform.python_version()} with {', '.join(EXTRAS)}")


def check_port(settings: Settings) -> Iterator[Finding]:
    listener: socket.socket = listen(settings.host, settings.port)
    listener.close()
    yield Finding("ok", "port", f"{settings.host}:{settings.port} is free")


def check_data(settings: Settings) -> Iterator[Finding]:
    folder = real_path(settings.data_dir)
    mended = close_folder(settings.data_dir)
    with ProcessLock(settings.data_dir):
        yield Finding("ok", "data", f"{folder} can be written")
    if mended:
        yield Finding("warn", "rights", f"others on this machine could read {mended[0]}; now only its owner can")
    elif is_open_to_others(folder):
        yield Finding("warn", "rights", f"others on this machine may read {folder}; set PERSONAS_DATA_DIR to one's own")
    else:
        yield Finding("ok", "rights", f"{folder} is its owner's alone")
    if settings.secrets and is_open_to_others(Path(SETTINGS_FILE)):
        advice = f"`chmod 600 {SETTINGS_FILE}` closes it"
        yield Finding(
            "warn", "rights", f"others on this machine may read {SETTINGS_FILE}, and secrets are set; {advice}"
        )
    yield _space(folder)


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    level: Level = "fail" if free < LEAST_FREE_BYTES else "warn" if free < FREE_BYTES else "ok"
    advice = "" if level == "ok" else "; free some, or set PERSONAS_DATA_DIR to a folder on a larger disk"
    return Finding(level, "space", f"{free / 2**30:.1f} GiB are free for {folder}{advice}")


def check_personas(settings: Settings) -> Iterator[Finding]:
    """The personas, the store and the adapters that answer, in one visit."""

    async def visit() -> list[Finding]:
        async with open_storage(settings) as storage:
            await storage.store.check_integrity()
            found = [
                Finding("ok", "database", f"{settings.store_url} is intact" if settings.is_sqlite else "up to date"),
                Finding("ok", "personas", f"{', '.join(storage.personas)}; {storage.default_persona} is the default"),
            ]
            fingerprint = local_fingerprint(settings.base_model_path)
            return found + [await _adapter(storage, slug, fingerprint) for slug in storage.personas]

    yield from asyncio.run(visit())


async def _adapter(storage: Storage, slug: str, fingerprint: str | None) -> Finding:
    settings = storage.settings
    async with storage.store.read() as session:
        champion = await storage.registry.champion(session, slug, settings.base_slug)
    if champion is None:
        advice = f"`{train_command(slug, settings.base_model)}` makes one."
        text = f"{slug} has none for {settings.base_model}, so its system prompt alone speaks; {advice}"
        return Finding("warn", "adapter", f"{text}{_former_folders(settings, slug)}")
    try:
        is_intact = adapter_content_hash(champion.folder) == champion.ref.content_hash
        check_adapter(champion.ref, champion.folder, champion.lineage, fingerprint)
    except PersonasError as error:
        return Finding("fail", "adapter", str(error))
    if is_intact:
        return Finding("ok", "adapter", champion.ref.name)
    rollback = personas_command("rollback", slug, *base_option(settings.base_model))
    text = f"{champion.folder} has changed since {champion.ref.name} was registered; restore it, or run `{rollback}`."
    return Finding("fail", "adapter", text)


def _former_folders(settings: Settings, slug: str) -> str:
    """What to do with adapters that were trained when the base model's folder lay elsewhere; empty without any."""
    if base_folder(settings.base_model) is None:
        return ""
    name, _, _ = settings.base_slug.rpartition("-")
    found = (settings.adapters_dir / slug).glob(f"{name}-{'[0-9a-f]' * 8}")
    former = sorted(str(folder) for folder in found if folder.name != settings.base_slug)
    return f" If the model has moved, rename {' or '.join(former)} to {settings.base_slug}." if former else ""


def check_device(settings: Settings) -> Iterator[Finding]:
    if find_spec("torch") is None:
        return  # said by check_packages
    from core.engine.loading import choose_device, describe_dtype
    from core.engine.quantization import probe_quantization

    device = choose_device(settings.device)
    yield Finding("ok", "device", f"{device}, computing in {describe_dtype(settings.dtype, device)}")
    problem = probe_quantization(device).problem("int8" if settings.quantization == "int8" else "nf4")
    if problem is None:
        yield Finding("ok", "quantised", "bitsandbytes works here")
    else:
        is_asked = settings.quantization in ("nf4", "int8")
        yield Finding("warn" if is_asked else "ok", "quantised", f"not available, 16 or 32 bits are used: {problem}")


def check_model(settings: Settings) -> Iterator[Finding]:
    if find_spec("torch") is None:
        return
    if is_gguf(settings.base_model):
        file, copy = gguf_file(settings.base_model), Path(settings.base_model_path)
        has_copy = "is dequantised" if copy.is_dir() else "will be dequantised at the first start,"
        yield Finding("ok", "model", f"{settings.base_model}: {file.name} {has_copy} in {copy}")
        return
    from core.adapters.fingerprint import folder_fingerprint
    from core.engine.loading import model_folder

    folder_fingerprint(model_folder(settings.base_model_path))  # reads every weight file's header
    yield Finding("ok", "model", f"{settings.base_model} is on this machine")


def check_discord(settings: Settings) -> Iterator[Finding]:
    if settings.discord_token is None:
        yield Finding("ok", "discord", "not set up (PERSONAS_DISCORD_TOKEN is not set); docs/discord.md says how")
        return
    if not is_installed(discord_side.PACKAGE):
        yield Finding("fail", "discord", discord_side.NOT_INSTALLED)
        return

    async def visit() -> list[Finding]:
        from bot.discord_chat.doctor import inspect

        return [finding async for finding in inspect(settings, serve=personas_command("serve"))]

    yield from asyncio.run(visit())


def check_slack(settings: Settings) -> Iterator[Finding]:
    if settings.slack_bot_token is None and settings.slack_app_token is None:
        yield Finding("ok", "slack", "not set up (PERSONAS_SLACK_BOT_TOKEN is not set); docs/slack.md says how")
        return
    if not is_installed(slack_side.PACKAGE):
        yield Finding("fail", "slack", slack_side.NOT_INSTALLED)
        return

    async def visit() -> list[Finding]:
        from bot.slack_chat.doctor import inspect

        return [finding async for finding in inspect(settings, manifest=personas_command("slack", "manifest"))]

    yield from asyncio.run(visit())

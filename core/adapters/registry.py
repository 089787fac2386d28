"""Adapter versions and the names that move over them. Knows no torch, and never decides that a version is good.

Versions are immutable; `champion` answers, `challenger` wants to, `previous` is what a rollback returns to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy.ext.asyncio import AsyncSession

from core.adapters import alias_moves
from core.adapters.content_hash import adapter_content_hash
from core.adapters.lineage import read_lineage
from core.adapters.on_disk import AdapterRoots, finished_folders, has_content
from core.advice import ListVersions
from core.errors import AdapterRejected, InvalidData, NotFound, PersonasError
from core.generation import AdapterRef
from core.personas import Persona
from core.store import adapter_versions
from core.store.adapter_versions import Alias
from core.store.db import Store
from core.store.models import AdapterVersion

Origin = Literal["bundled", "trained"]

logger = logging.getLogger(__name__)


class ChampionMoved(PersonasError):
    """Another version answers than the one that a promotion was decided against."""


@dataclass(frozen=True, slots=True)
class RegisteredAdapter:
    """An adapter version as it stands now. `base_model` is a slug, `created_at` a unix time in seconds.

    `gate_passed` and `gate_report`, its verdict with every number, are None until it was measured against the champion.
    """

    persona: str
    base_model: str
    version: int
    ref: AdapterRef
    folder: Path
    origin: Origin
    lineage: dict[str, Any]
    created_at: float
    aliases: tuple[str, ...]
    gate_passed: bool | None
    gate_report: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """An adapter folder as it was read, and where the same content was registered but is not any more."""

    root: str
    path: str
    content_hash: str
    lineage: dict[str, Any]
    origin: Origin
    lost: tuple[str, str] | None


class Registry:
    """Reads aliases within the caller's transaction and keeps nothing between calls.

    What reads an adapter's files takes the store instead of a session: hashing takes its time, and happens before its
    own transaction begins.
    """

    def __init__(self, personas_dir: Path, adapters_dir: Path) -> None:
        self._roots = AdapterRoots(personas_dir, adapters_dir)

    async def sync_bundled(
        self, store: Store, personas: Mapping[str, Persona], base_slug: str, *, by: str = "bundled"
    ) -> None:
        """Register the adapters that the personas ship for this base model; harmless when they are known.

        A persona without a champion gets the shipped version. A changed adapter is a new version, and every alias on
        the former one follows, because its files are gone; an alias on a trained version stays where it is. No gate
        is asked: a champion that is replaced so is recorded as forced, by whom `by` names. A broken folder is left
        out, and logged.
        """
        shipped: dict[str, _Found] = {}
        for slug, persona in personas.items():
            folder = persona.adapter_folder(base_slug)
            try:
                if folder.is_dir():
                    shipped[slug] = await self._find(store, slug, base_slug, folder, read_lineage(folder), "bundled")
            except (AdapterRejected, InvalidData) as error:
                logger.warning("%s is not registered: %s", folder, error)
        if shipped:
            async with store.write() as session:
                for slug, found in shipped.items():
                    await self._ship(session, slug, base_slug, found, by)

    async def sync_trained(self, store: Store, personas: Mapping[str, Persona], base_slug: str) -> None:
        """Register finished adapters that no version knows, the oldest first; harmless when there is none.

        Their training ended before it could register them, or the database is a new one. A folder that cannot be
        registered is left out, and logged.
        """
        for slug in personas:
            folders = finished_folders(self._roots.data / slug / base_slug)
            if not folders:
                continue
            async with store.read() as session:
                all_stored = await adapter_versions.versions(session, slug, base_slug)
            known = {self._folder(stored) for stored in all_stored}
            for folder in folders:
                if folder not in known:
                    await self._adopt(store, slug, base_slug, folder, {stored.content_hash for stored in all_stored})

    async def register(
        self,
        store: Store,
        *,
        persona: str,
        base_slug: str,
        folder: Path,
        lineage: dict[str, Any],
        origin: Origin = "trained",
        exchange_ids: Collection[str] = (),
    ) -> RegisteredAdapter:
        """Make a trained adapter folder a version and the challenger; it is promoted only by `promote`.

        The same content is the same version, wherever its folder is now; its lineage is the latest one, because an
        adapter may be measured later. `exchange_ids` are what it learned from, which forgetting asks for.
        Raises AdapterRejected when the folder is unreadable or outside the two roots.
        """
        found = await self._find(store, persona, base_slug, folder, lineage, origin)
        async with store.write() as session:
            version = await self._add(session, persona, base_slug, found)
            stored = await adapter_versions.get(session, persona, base_slug, version)
            await adapter_versions.note_examples(session, stored, exchange_ids)
            if (await adapter_versions.aliases(session, persona, base_slug)).get("champion") != version:
                await adapter_versions.point(session, persona, base_slug, "challenger", version)
            return await self.get(session, persona, base_slug, version)

    async def champion(self, session: AsyncSession, persona: str, base_slug: str) -> RegisteredAdapter | None:
        """The version that answers for this persona now; None when it has no adapter for this base model."""
        return (await self.champions(session, (persona,), base_slug)).get(persona)

    async def champions(
        self, session: AsyncSession, personas: Collection[str], base_slug: str
    ) -> dict[str, RegisteredAdapter]:
        """The versions that answer for these personas now; those without an adapter for this base are left out."""
        named = await adapter_versions.named(session, personas, base_slug)
        aliases: dict[str, dict[Alias, int]] = {}
        for stored, alias in named:
            aliases.setdefault(stored.persona, {})[alias] = stored.version
        return {
            stored.persona: self._registered(stored, aliases[stored.persona])
            for stored, alias in named
            if alias == "champion"
        }

    async def get(self, session: AsyncSession, persona: str, base_slug: str, version: int) -> RegisteredAdapter:
        """One version. Raises NotFound."""
        stored = await adapter_versions.get(session, persona, base_slug, version)
        return self._registered(stored, await adapter_versions.aliases(session, persona, base_slug))

    async def versions(self, session: AsyncSession, persona: str, base_slug: str) -> list[RegisteredAdapter]:
        """Every version of this persona for this base model, the oldest first."""
        all_stored = await adapter_versions.versions(session, persona, base_slug)
        aliases = await adapter_versions.aliases(session, persona, base_slug)
        return [self._registered(stored, aliases) for stored in all_stored]

    async def folders(self, session: AsyncSession, content_hash: str) -> list[Path]:
        """Where the adapter with this content was registered; empty for an unknown one."""
        return [self._folder(stored) for stored in await adapter_versions.with_content(session, content_hash)]

    async def record_gate(
        self,
        session: AsyncSession,
        persona: str,
        base_slug: str,
        version: int,
        *,
        passed: bool,
        by: str,
        reason: str | None = None,
        report: dict[str, Any] | None = None,
    ) -> RegisteredAdapter:
        """Note whether a version passed its gate against the champion, with every number; promotes nothing. The same
        verdict again is no further event. Raises NotFound."""
        stored = await adapter_versions.get(session, persona, base_slug, version)
        if report is None or (stored.gate_passed, stored.gate_report) != (passed, report):
            stored.gate_passed, stored.gate_report = passed, report
            adapter_versions.note(session, stored, "gated", actor=by, reason=reason)
        return await self.get(session, persona, base_slug, version)

    async def promote(
        self,
        store: Store,
        persona: str,
        base_slug: str,
        version: int,
        *,
        force: bool,
        by: str,
        reason: str | None = None,
        over: int | Literal["any"] | None = "any",
    ) -> RegisteredAdapter:
        """Let a version answer from the next reply on; the former champion becomes `previous`. `reason` is recorded.

        `over` is the champion that it was compared with, None for none. Raises ChampionMoved when another one answers
        by now, NotFound, AdapterRejected when its files are gone or changed, and PermissionNeeded when it has not
        passed a gate and `force` is False. A promotion that needed force is recorded as forced.
        """
        async with store.read() as session:
            stored = await adapter_versions.get(session, persona, base_slug, version)
        await self._check_intact(stored)
        async with store.write() as session:
            stored = await adapter_versions.get(session, persona, base_slug, version)
            former = (await adapter_versions.aliases(session, persona, base_slug, is_locking=True)).get("champion")
            if former != version:
                if over not in ("any", former):
                    raise ChampionMoved(f"Another version than {persona}@{over or 0} answers by now.")
                alias_moves.check_gate(stored, force=force)
                await alias_moves.promote(session, stored, former, by=by, reason=reason)
            return await self.get(session, persona, base_slug, version)

    async def rollback(
        self, store: Store, persona: str, base_slug: str, *, by: str, reason: str | None = None
    ) -> RegisteredAdapter:
        """Let the previous champion answer again; a second rollback needs another promotion first.

        Raises NotFound when there is no previous one, or another one by now, and AdapterRejected when its files are
        gone or changed.
        """
        async with store.read() as session:
            version = (await adapter_versions.aliases(session, persona, base_slug)).get("previous")
            if version is None:
                raise NotFound(
                    f"{persona} has no previous version on {base_slug} to roll back to.", advice=ListVersions(persona)
                )
            stored = await adapter_versions.get(session, persona, base_slug, version)
        await self._check_intact(stored)
        async with store.write() as session:
            aliases = await adapter_versions.aliases(session, persona, base_slug, is_locking=True)
            if aliases.get("previous") != version:
                raise NotFound(
                    f"{persona}@{version} is not the previous version any more.", advice=ListVersions(persona)
                )
            stored = await adapter_versions.get(session, persona, base_slug, version)
            await alias_moves.roll_back(session, stored, aliases.get("champion"), by=by, reason=reason)
            return await self.get(session, persona, base_slug, version)

    async def _adopt(self, store: Store, persona: str, base_slug: str, folder: Path, known: Collection[str]) -> None:
        try:
            if await asyncio.to_thread(adapter_content_hash, folder) not in known:
                lineage = read_lineage(folder)
                await self.register(store, persona=persona, base_slug=base_slug, folder=folder, lineage=lineage)
        except (AdapterRejected, InvalidData) as error:
            logger.warning("%s is not registered: %s", folder, error)

    async def _ship(self, session: AsyncSession, persona: str, base_slug: str, found: _Found, by: str) -> None:
        version = await self._add(session, persona, base_slug, found)
        versions = await adapter_versions.versions(session, persona, base_slug)
        replaced = {stored.version for stored in versions if stored.origin == "bundled"} - {version}
        aliases = await adapter_versions.aliases(session, persona, base_slug)
        for alias, pointed in aliases.items():
            if pointed in replaced:
                await adapter_versions.point(session, persona, base_slug, alias, version)
        former = aliases.get("champion")
        if former is None or former in replaced:
            stored = await adapter_versions.get(session, persona, base_slug, version)
            await alias_moves.ship(session, stored, former, by=by)

    async def _find(
        self, store: Store, persona: str, base_slug: str, folder: Path, lineage: dict[str, Any], origin: Origin
    ) -> _Found:
        """Read a folder. Raises AdapterRejected."""
        root, path = self._roots.locate(folder)
        content_hash = await asyncio.to_thread(adapter_content_hash, folder)
        async with store.read() as session:
            stored = await adapter_versions.find_by_content(session, persona, base_slug, content_hash)
        lost = None
        if stored is not None and not await asyncio.to_thread(has_content, self._folder(stored), content_hash):
            lost = (stored.root, stored.path)
        return _Found(root, path, content_hash, lineage, origin, lost)

    async def _add(self, session: AsyncSession, persona: str, base_slug: str, found: _Found) -> int:
        stored = await adapter_versions.find_by_content(session, persona, base_slug, found.content_hash)
        if stored is not None:
            if (stored.root, stored.path) == found.lost:
                stored.root, stored.path = found.root, found.path
            stored.lineage = found.lineage or stored.lineage
            return stored.version
        stored = await adapter_versions.add(
            session,
            persona,
            base_slug,
            content_hash=found.content_hash,
            root=found.root,
            path=found.path,
            origin=found.origin,
            lineage=found.lineage,
        )
        adapter_versions.note(session, stored, "registered", actor=found.origin)
        return stored.version

    def _folder(self, stored: AdapterVersion) -> Path:
        return self._roots.folder(stored.root, stored.path)

    async def _check_intact(self, stored: AdapterVersion) -> None:
        if not await asyncio.to_thread(has_content, self._folder(stored), stored.content_hash):
            raise AdapterRejected(
                f"The files of {stored.persona}@{stored.version} in {self._folder(stored)} are gone or have changed"
                " since it was registered; restore them, or choose another version."
            )

    def _registered(self, stored: AdapterVersion, aliases: Mapping[Alias, int]) -> RegisteredAdapter:
        return RegisteredAdapter(
            persona=stored.persona,
            base_model=stored.base_model,
            version=stored.version,
            ref=AdapterRef(f"{stored.persona}@{stored.version}", stored.content_hash),
            folder=self._folder(stored),
            origin=cast(Origin, stored.origin),
            lineage=dict(stored.lineage),
            created_at=stored.created_at,
            aliases=tuple(sorted(alias for alias, version in aliases.items() if version == stored.version)),
            gate_passed=stored.gate_passed,
            gate_report=stored.gate_report,
        )

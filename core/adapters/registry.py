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

from core.adapters.content_hash import LINEAGE_FILE, adapter_content_hash
from core.adapters.lineage import read_lineage
from core.advice import ForcePromotion, ListVersions
from core.errors import AdapterRejected, InvalidData, NotFound, PermissionNeeded
from core.generation import AdapterRef
from core.personas import Persona
from core.store import adapter_versions
from core.store.adapter_versions import Alias
from core.store.models import AdapterVersion, RegistryEvent

Origin = Literal["bundled", "trained"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RegisteredAdapter:
    """An adapter version as it stands now. `base_model` is a slug, `created_at` a unix time in seconds.

    `gate_passed` is None until the version was measured against the champion.
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


class Registry:
    """Reads and moves aliases within the caller's transaction; keeps nothing between calls.

    Folders are stored relative to one of two roots, the bundled personas or the data folder, so that both may move.
    """

    def __init__(self, personas_dir: Path, adapters_dir: Path) -> None:
        self._roots = {"bundled": personas_dir.resolve(), "data": adapters_dir.resolve()}

    async def sync_bundled(
        self, session: AsyncSession, personas: Mapping[str, Persona], base_slug: str, *, by: str = "bundled"
    ) -> None:
        """Register the adapters that the personas ship for this base model; harmless when they are known.

        A persona without a champion gets the shipped version. A changed adapter is a new version, and every alias on
        the former one follows, because its files are gone; an alias on a trained version stays where it is. No gate
        is asked: a champion that is replaced so is recorded as forced, by whom `by` names. A broken folder is left
        out, and logged.
        """
        for slug, persona in personas.items():
            folder = persona.adapter_folder(base_slug)
            try:
                if folder.is_dir():
                    await self._sync(session, slug, base_slug, folder, by)
            except (AdapterRejected, InvalidData) as error:
                logger.warning("%s is not registered: %s", folder, error)

    async def sync_trained(self, session: AsyncSession, personas: Mapping[str, Persona], base_slug: str) -> None:
        """Register finished adapters that no version knows, the oldest first; harmless when there is none.

        Their training ended before it could register them, or the database is a new one. A folder that cannot be
        registered is left out, and logged.
        """
        for slug in personas:
            folders = _trained_folders(self._roots["data"] / slug / base_slug)
            rows = await adapter_versions.versions(session, slug, base_slug) if folders else []
            known = {self._folder(row) for row in rows}
            for folder in folders:
                if folder not in known:
                    await self._adopt(session, slug, base_slug, folder, {row.content_hash for row in rows})

    async def register(
        self,
        session: AsyncSession,
        *,
        persona: str,
        base_slug: str,
        folder: Path,
        lineage: dict[str, Any],
        origin: Origin = "trained",
    ) -> RegisteredAdapter:
        """Make a trained adapter folder a version and the challenger; it is promoted only by `promote`.

        The same content is the same version, wherever its folder is now; its lineage is the latest one, because an
        adapter may be measured later.
        Raises AdapterRejected when the folder is unreadable or outside the two roots.
        """
        version = await self._add(session, persona, base_slug, folder, lineage, origin)
        if (await adapter_versions.aliases(session, persona, base_slug)).get("champion") != version:
            await adapter_versions.point(session, persona, base_slug, "challenger", version)
        return await self.get(session, persona, base_slug, version)

    async def champion(self, session: AsyncSession, persona: str, base_slug: str) -> RegisteredAdapter | None:
        """The version that answers for this persona now; None when it has no adapter for this base model."""
        version = (await adapter_versions.aliases(session, persona, base_slug)).get("champion")
        return None if version is None else await self.get(session, persona, base_slug, version)

    async def get(self, session: AsyncSession, persona: str, base_slug: str, version: int) -> RegisteredAdapter:
        """One version. Raises NotFound."""
        row = await adapter_versions.get(session, persona, base_slug, version)
        return self._registered(row, await adapter_versions.aliases(session, persona, base_slug))

    async def versions(self, session: AsyncSession, persona: str, base_slug: str) -> list[RegisteredAdapter]:
        """Every version of this persona for this base model, the oldest first."""
        rows = await adapter_versions.versions(session, persona, base_slug)
        aliases = await adapter_versions.aliases(session, persona, base_slug)
        return [self._registered(row, aliases) for row in rows]

    async def folders(self, session: AsyncSession, content_hash: str) -> list[Path]:
        """Where the adapter with this content was registered; empty for an unknown one."""
        return [self._folder(row) for row in await adapter_versions.with_content(session, content_hash)]

    async def bases_of(self, session: AsyncSession, persona: str) -> list[str]:
        """The base models, as slugs, that this persona has versions for, whether or not there still is such a one."""
        return await adapter_versions.bases_of(session, persona)

    async def record_gate(
        self, session: AsyncSession, persona: str, base_slug: str, version: int, *, passed: bool, by: str
    ) -> RegisteredAdapter:
        """Note whether a version passed its gate against the champion; promotes nothing. Raises NotFound."""
        row = await adapter_versions.get(session, persona, base_slug, version)
        row.gate_passed = passed
        adapter_versions.note(session, row, "gated", actor=by)
        return await self.get(session, persona, base_slug, version)

    async def promote(
        self, session: AsyncSession, persona: str, base_slug: str, version: int, *, force: bool, by: str
    ) -> RegisteredAdapter:
        """Let a version answer from the next reply on; the former champion becomes `previous`.

        Raises NotFound, AdapterRejected when its files are gone or changed, and PermissionNeeded when it has not
        passed a gate and `force` is False. A promotion that needed force is recorded as forced.
        """
        row = await adapter_versions.get(session, persona, base_slug, version)
        former = (await adapter_versions.aliases(session, persona, base_slug, is_locking=True)).get("champion")
        if former == version:
            return await self.get(session, persona, base_slug, version)
        if not row.gate_passed and not force:
            verdict = "has not been through an evaluation gate" if row.gate_passed is None else "failed its gate"
            raise PermissionNeeded(f"{persona}@{version} {verdict}, so it is not promoted.", advice=ForcePromotion())
        await self._check_intact(row)
        if former is not None:
            await adapter_versions.point(session, persona, base_slug, "previous", former)
        await adapter_versions.point(session, persona, base_slug, "champion", version)
        await adapter_versions.drop(session, persona, base_slug, "challenger", version)
        adapter_versions.note(session, row, "promoted", former_champion=former, is_forced=not row.gate_passed, actor=by)
        return await self.get(session, persona, base_slug, version)

    async def rollback(self, session: AsyncSession, persona: str, base_slug: str, *, by: str) -> RegisteredAdapter:
        """Let the previous champion answer again; a second rollback needs another promotion first.

        Raises NotFound when there is no previous one, and AdapterRejected when its files are gone or changed.
        """
        aliases = await adapter_versions.aliases(session, persona, base_slug, is_locking=True)
        version = aliases.get("previous")
        if version is None:
            raise NotFound(
                f"{persona} has no previous version on {base_slug} to roll back to.", advice=ListVersions(persona)
            )
        row = await adapter_versions.get(session, persona, base_slug, version)
        await self._check_intact(row)
        await adapter_versions.point(session, persona, base_slug, "champion", version)
        await adapter_versions.drop(session, persona, base_slug, "previous", version)
        adapter_versions.note(session, row, "rolled_back", former_champion=aliases.get("champion"), actor=by)
        return await self.get(session, persona, base_slug, version)

    async def events(self, session: AsyncSession, persona: str, base_slug: str) -> list[RegistryEvent]:
        """What happened to this persona's versions, the oldest first."""
        return await adapter_versions.events(session, persona, base_slug)

    async def _adopt(
        self, session: AsyncSession, persona: str, base_slug: str, folder: Path, known: Collection[str]
    ) -> None:
        try:
            if await asyncio.to_thread(adapter_content_hash, folder) not in known:
                lineage = read_lineage(folder)
                await self.register(session, persona=persona, base_slug=base_slug, folder=folder, lineage=lineage)
        except (AdapterRejected, InvalidData) as error:
            logger.warning("%s is not registered: %s", folder, error)

    async def _sync(self, session: AsyncSession, persona: str, base_slug: str, folder: Path, by: str) -> None:
        version = await self._add(session, persona, base_slug, folder, read_lineage(folder), "bundled")
        versions = await adapter_versions.versions(session, persona, base_slug)
        replaced = {row.version for row in versions if row.origin == "bundled"} - {version}
        aliases = await adapter_versions.aliases(session, persona, base_slug)
        for alias, pointed in aliases.items():
            if pointed in replaced:
                await adapter_versions.point(session, persona, base_slug, alias, version)
        former = aliases.get("champion")
        if former is None or former in replaced:
            await adapter_versions.point(session, persona, base_slug, "champion", version)
            row = await adapter_versions.get(session, persona, base_slug, version)
            is_forced = former is not None and not row.gate_passed
            adapter_versions.note(session, row, "shipped", former_champion=former, is_forced=is_forced, actor=by)

    async def _add(
        self,
        session: AsyncSession,
        persona: str,
        base_slug: str,
        folder: Path,
        lineage: dict[str, Any],
        origin: Origin,
    ) -> int:
        root, path = self._locate(folder)
        content_hash = await asyncio.to_thread(adapter_content_hash, folder)
        row = await adapter_versions.find_by_content(session, persona, base_slug, content_hash)
        if row is not None:
            if (row.root, row.path) != (root, path) and not await self._is_intact(row):
                row.root, row.path = root, path
            row.lineage = lineage or row.lineage
            return row.version
        row = await adapter_versions.add(
            session,
            persona,
            base_slug,
            content_hash=content_hash,
            root=root,
            path=path,
            origin=origin,
            lineage=lineage,
        )
        adapter_versions.note(session, row, "registered", actor=origin)
        return row.version

    def _locate(self, folder: Path) -> tuple[str, str]:
        resolved = folder.resolve()  # a symlink counts by where it leads
        for root, root_folder in self._roots.items():
            if resolved.is_relative_to(root_folder):
                return root, resolved.relative_to(root_folder).as_posix()
        raise AdapterRejected(
            f"The adapter folder {folder} lies outside {self._roots['bundled']} and {self._roots['data']};"
            " move it into one of them, adapters are read from nowhere else."
        )

    def _folder(self, row: AdapterVersion) -> Path:
        return self._roots[row.root] / row.path

    async def _is_intact(self, row: AdapterVersion) -> bool:
        try:
            return await asyncio.to_thread(adapter_content_hash, self._folder(row)) == row.content_hash
        except AdapterRejected:
            return False

    async def _check_intact(self, row: AdapterVersion) -> None:
        if not await self._is_intact(row):
            raise AdapterRejected(
                f"The files of {row.persona}@{row.version} in {self._folder(row)} are gone or have changed since it was"
                " registered; restore them, or choose another version."
            )

    def _registered(self, row: AdapterVersion, aliases: Mapping[Alias, int]) -> RegisteredAdapter:
        return RegisteredAdapter(
            persona=row.persona,
            base_model=row.base_model,
            version=row.version,
            ref=AdapterRef(f"{row.persona}@{row.version}", row.content_hash),
            folder=self._folder(row),
            origin=cast(Origin, row.origin),
            lineage=dict(row.lineage),
            created_at=row.created_at,
            aliases=tuple(sorted(alias for alias, version in aliases.items() if version == row.version)),
            gate_passed=row.gate_passed,
        )


def _trained_folders(parent: Path) -> list[Path]:
    """The finished adapters in this folder, the oldest first; a training writes its lineage last."""
    return [path.parent for path in sorted(parent.glob(f"[!.]*/{LINEAGE_FILE}"), key=lambda path: path.stat().st_mtime)]

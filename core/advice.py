"""What would help, as data. An error carries it; each front end words it in its own way, or leaves it out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpgradeDatabase:
    """Give the database this program's schema; creates an SQLite database that is not there."""


@dataclass(frozen=True, slots=True)
class ListVersions:
    """Look at the adapter versions that this persona has."""

    persona: str


@dataclass(frozen=True, slots=True)
class ForcePromotion:
    """Promote the version although it has passed no gate, which is recorded."""


@dataclass(frozen=True, slots=True)
class InstallPackage:
    """Install a Python package, as pip names it, into the environment that runs this program."""

    requirement: str
    has_dependencies: bool = True


Advice = UpgradeDatabase | ListVersions | ForcePromotion | InstallPackage

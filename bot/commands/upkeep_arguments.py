"""What can be typed after `personas` to look after what is there: the database, people's data, Slack, the doctor."""

from __future__ import annotations

from typing import Any

from bot.commands.argument_parts import add_base, add_command, add_user


def add_upkeep(commands: Any) -> None:
    _add_database(commands)
    _add_data(commands)
    slack = add_command(commands, "slack", "", "set the bot up on Slack", "personas slack manifest")
    add_command(
        slack.add_subparsers(metavar="ACTION", required=True, title="actions"),
        "manifest",
        "slack:print_manifest",
        "print what makes the app on Slack: paste it under Create New App, From a manifest",
        "personas slack manifest",
    )
    doctor = add_command(
        commands,
        "doctor",
        "doctor:doctor",
        "check everything that serving needs, and say what to do",
        "personas doctor",
    )
    add_base(doctor)


def _add_database(commands: Any) -> None:
    db = add_command(commands, "db", "", "create the database, or bring it up to date", "personas db upgrade")
    actions = db.add_subparsers(metavar="ACTION", required=True, title="actions")
    add_command(
        actions, "upgrade", "database:upgrade", "create the database or bring it up to date", "personas db upgrade"
    )
    add_command(actions, "current", "database:current", "say which schema the database has", "personas db current")
    backup = add_command(
        actions,
        "backup",
        "database:backup",
        "copy the SQLite database to a new file, also while the server runs",
        "personas db backup /backups/personas.db",
    )
    backup.add_argument("file", metavar="FILE", help="the copy, which must not exist yet")


def _add_data(commands: Any) -> None:
    data = add_command(commands, "data", "", "look at what is kept about people, and erase it", "personas data purge")
    actions = data.add_subparsers(metavar="ACTION", required=True, title="actions")
    show = add_command(
        actions, "show", "data:show", "print everything about a person, as JSON", "personas data show discord:80351110"
    )
    add_user(show)
    forget = add_command(
        actions,
        "forget",
        "data:forget",
        "erase a person, and name the adapter versions that learnt from them",
        "personas data forget discord:80351110 --yes",
    )
    add_user(forget)
    forget.add_argument("--yes", action="store_true", dest="is_sure", help="erase, which nothing brings back")
    purge = add_command(
        actions,
        "purge",
        "data:purge",
        "erase text older than PERSONAS_KEEP_TEXT_DAYS now, as `personas serve` does every day",
        "personas data purge",
    )
    purge.add_argument(
        "--trust-clock",
        action="store_true",
        dest="is_clock_trusted",
        help="erase although nothing has happened for so long that the clock may be wrong",
    )

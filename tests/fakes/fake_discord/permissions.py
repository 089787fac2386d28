"""Discord's permission bits by name, and what a bot and a person have where nobody has said otherwise."""

from __future__ import annotations

BITS = {
    "create_instant_invite": 0, "kick_members": 1, "ban_members": 2, "administrator": 3, "manage_channels": 4,
    "manage_guild": 5, "add_reactions": 6, "view_audit_log": 7, "priority_speaker": 8, "stream": 9,
    "view_channel": 10, "send_messages": 11, "send_tts_messages": 12, "manage_messages": 13, "embed_links": 14,
    "attach_files": 15, "read_message_history": 16, "mention_everyone": 17, "use_external_emojis": 18,
    "change_nickname": 26, "manage_nicknames": 27, "manage_roles": 28, "manage_webhooks": 29,
    "use_application_commands": 31, "manage_threads": 34, "create_public_threads": 35, "create_private_threads": 36,
    "use_external_stickers": 37, "send_messages_in_threads": 38, "use_external_apps": 50,
}  # fmt: skip


def bits(*names: str) -> int:
    value = 0
    for name in names:
        value |= 1 << BITS[name]
    return value


EVERYTHING = bits(*BITS)
OF_A_PERSON = bits(
    "view_channel", "send_messages", "embed_links", "attach_files", "read_message_history", "add_reactions",
    "use_external_emojis", "change_nickname", "use_application_commands", "create_public_threads",
    "send_messages_in_threads", "use_external_apps",
)  # fmt: skip
OF_THE_BOT = OF_A_PERSON | bits("manage_webhooks", "manage_threads")

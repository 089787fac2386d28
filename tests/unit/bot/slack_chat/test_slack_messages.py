"""What a message to Slack holds: the model's Markdown as it is, and nothing that Slack would take for a call."""

from __future__ import annotations

from bot.slack_chat.sending import message_fields

MARKDOWN = "| a | b |\n|---|---|\n| 1 | *2* |\n\n```py\nx = a < b\n```\nsee [the docs](https://docs.example)"


def test_markdown_goes_out_as_markdown_with_its_table_code_and_link():
    fields = message_fields(MARKDOWN)
    assert fields["blocks"] == [{"type": "markdown", "text": MARKDOWN}]


def test_the_text_that_notifications_show_has_no_markup_of_slacks_own():
    fields = message_fields("a < b & c > d <!channel>")
    assert fields["text"].startswith("a &lt; b &amp; c &gt; d &lt;!")
    assert "<" not in fields["text"] and fields["parse"] == "none" and not fields["link_names"]

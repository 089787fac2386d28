"""What people and models wrote is shown on the page as it was written."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.web.playground_text import code, reply_markdown, verbatim

PAGE = MarkdownIt("gfm-like", {"linkify": False})


def shown(markdown: str) -> str:
    """The text that a page shows of this Markdown, without its structure."""
    return unescape(re.sub(r"<[^>]*>", "", PAGE.render(markdown))).removesuffix("\n")


# Without control characters, which nobody sees, and line ends that are none in Markdown.
SEEN = st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")) | st.sampled_from("\t\n")


@given(st.text(SEEN, min_size=1))
@example("what does List<String> mean?")
@example("$$x$$ and \\(y\\)")
@example("def __init__(self): *args")
@example("    indented")
@example("a\n\n# b\n- c\n1. d\n> e\n```\nf")
@example("&lt; &amp; &#60;")
@example("[x](http://y) ![z](w) <http://v>")
def test_what_a_person_wrote_is_shown_character_by_character(text):
    assert shown(verbatim(text)) == text


@given(st.text(max_size=200))
def test_what_a_person_wrote_is_one_paragraph_without_markup(text):
    rendered = PAGE.render(verbatim(text))
    assert re.sub(r"<[^>]*>", "", rendered).count("<") == 0
    assert set(re.findall(r"<[^>]*>", rendered)) <= {"<p>", "</p>"}


@pytest.mark.parametrize(
    ("name", "markdown"), [("zen@1", "`zen@1`"), ("Qwen/Qwen3-4B", "`Qwen/Qwen3-4B`"), ("a_b*c", "`a_b*c`")]
)
def test_a_name_is_set_in_code_type(name, markdown):
    assert code(name) == markdown


def test_a_name_that_would_end_its_code_is_set_plainly():
    assert "`" not in code("a`b")
    assert shown(code("a`b")) == "a`b"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("a List<String> b", "a List<String> b"),
        ("<b>no bold</b>", "<b>no bold</b>"),
        ("AT&amp;T and &lt;", "AT&amp;T and &lt;"),
        ("call __init__ here", "call __init__ here"),
        ("[x]: http://example.com", "[x]: http://example.com"),
        ("  [note]: mind-this", "[note]: mind-this"),
        ("[a\nb]: c", "[a\nb]: c"),
        (r"[a\]b]: c", "[a]b]: c"),
        ("`<i>` and ``a`b``", "<i> and a`b"),
        ("```\n<b>&amp;</b>\n```", "<b>&amp;</b>"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("<!-- gone? -->", "<!-- gone? -->"),
        ("a\r\nb\rc", "a\nb\nc"),
    ],
)
def test_a_reply_shows_its_signs(reply, text):
    assert shown(reply_markdown(reply)).removesuffix("\n") == text


@pytest.mark.parametrize(
    ("reply", "tag"),
    [
        ("**bold**", "<strong>"),
        ("# head", "<h1>"),
        ("- item", "<li>"),
        ("`code`", "<code>"),
        ("~~~\ncode\n~~~", "<pre>"),
    ],
)
def test_a_replys_markdown_is_markdown(reply, tag):
    assert tag in PAGE.render(reply_markdown(reply))


@given(st.text(st.sampled_from("<>&`_*[]:\n\r ab!/"), max_size=60))
@example("`a\n\n<b>`")
@example("```\n</pre><img>")
@example("    <b>\n\n<b>")
def test_no_reply_has_html_of_its_own(reply):
    browser = MarkdownIt("commonmark", {"html": True})
    tokens = browser.parse(reply_markdown(reply))
    tokens += [child for token in tokens for child in token.children or ()]
    assert not [token for token in tokens if token.type in ("html_block", "html_inline")]


@pytest.mark.parametrize("before", ["> ", "- ", "1. ", "> - "])
def test_a_line_that_looks_like_a_links_definition_is_shown_in_lists_and_quotations_too(before):
    assert "[note]: mind-this" in shown(reply_markdown(f"{before}[note]: mind-this"))

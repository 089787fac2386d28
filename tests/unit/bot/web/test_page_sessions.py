"""A session's name belongs to the browser that used it first, and there are only so many names."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from bot.web.page_sessions import (
    COOKIE,
    MAX_SESSIONS,
    MAX_SESSIONS_PER_COOKIE,
    MAX_STREAMS,
    NotYours,
    PageSessions,
    new_cookie,
)
from core.errors import InvalidInput, QueueFull


class Shop:
    """Sessions of which some are busy; those that were forgotten are noted."""

    def __init__(self) -> None:
        self.busy: set[str] = set()
        self.forgotten: list[str] = []
        self.sessions = PageSessions(is_busy=self.busy.__contains__, forget=self.forgotten.append)


@pytest.fixture
def shop():
    return Shop()


@pytest.mark.parametrize("name", ["a", "0", "k3x9q1", "a" * 20])
def test_a_name_as_pages_make_them_is_claimed(shop, name):
    assert shop.sessions.claim(name, "ann") == name
    assert shop.sessions.claim(name, "ann") == name
    assert len(shop.sessions) == 1


@pytest.mark.parametrize("name", ["", "a" * 21, "A", "a-b", "a\n", "é", "\ud800", None, 1, b"a", ["a"]])
def test_another_name_is_refused_and_kept_nowhere(shop, name):
    with pytest.raises(InvalidInput, match="small letters and digits"):
        shop.sessions.claim(name, "ann")
    assert len(shop.sessions) == 0


def test_a_name_is_the_first_cookies(shop):
    shop.sessions.claim("page", "ann")
    for cookie in ("ben", None):
        with pytest.raises(NotYours):
            shop.sessions.claim("page", cookie)
    assert shop.sessions.claim("page", "ann") == "page"


def test_without_a_cookie_nothing_is_claimed(shop):
    with pytest.raises(NotYours, match="cookies are off"):
        shop.sessions.claim("page", None)


def test_a_browser_that_opens_many_pages_loses_its_own_oldest_one(shop):
    shop.sessions.claim("bens", "ben")
    names = [f"page{number}" for number in range(MAX_SESSIONS_PER_COOKIE)]
    for name in names:
        shop.sessions.claim(name, "ann")
    shop.sessions.claim(names[0], "ann")  # used again, so it is not the oldest any more
    shop.sessions.claim("another", "ann")
    assert shop.forgotten == [names[1]]
    assert shop.sessions.claim(names[1], "cid") == names[1]  # it is free


def test_many_browsers_lose_the_oldest_page_of_all(shop):
    for number in range(MAX_SESSIONS + 3):
        shop.sessions.claim(f"page{number}", f"cookie{number}")
    assert shop.forgotten == ["page0", "page1", "page2"]
    assert len(shop.sessions) == MAX_SESSIONS


def test_a_page_that_is_open_or_busy_is_kept(shop):
    names = [f"page{number}" for number in range(MAX_SESSIONS_PER_COOKIE)]
    for name in names:
        shop.sessions.claim(name, "ann")
    shop.busy.add(names[0])
    with shop.sessions.streaming(names[1]):
        shop.sessions.claim("another", "ann")
    assert shop.forgotten == [names[2]]


def test_when_all_pages_are_in_use_a_further_one_is_refused(shop):
    with ExitStack() as streams:
        for number in range(MAX_SESSIONS_PER_COOKIE):
            streams.enter_context(shop.sessions.streaming(shop.sessions.claim(f"page{number}", "ann")))
        with pytest.raises(QueueFull, match="Too many pages"):
            shop.sessions.claim("another", "ann")
        assert shop.sessions.claim("bens", "ben") == "bens"
    assert shop.forgotten == []
    shop.sessions.claim("another", "ann")
    assert shop.forgotten == ["page0"]


def test_a_page_has_only_so_many_streams(shop):
    shop.sessions.claim("page", "ann")
    with ExitStack() as streams:
        for _ in range(MAX_STREAMS):
            streams.enter_context(shop.sessions.streaming("page"))
        with pytest.raises(QueueFull, match="too many connections"), shop.sessions.streaming("page"):
            pass
    with shop.sessions.streaming("page"):
        pass


def test_a_stream_that_breaks_is_counted_no_more(shop):
    for _ in range(MAX_STREAMS + 1):
        with pytest.raises(ConnectionResetError), shop.sessions.streaming("page"):
            raise ConnectionResetError


def test_cookies_are_new_and_of_the_form_that_is_read():
    cookies = {new_cookie() for _ in range(100)}
    assert len(cookies) == 100
    assert all(COOKIE.fullmatch(cookie) for cookie in cookies)

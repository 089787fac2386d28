"""The login cookie's lifetime."""

from __future__ import annotations

from bot.web import login
from bot.web.login import Login


def scope_with(cookie: str) -> dict[str, object]:
    return {"type": "http", "headers": [(b"cookie", f"{login.COOKIE}={cookie}".encode())]}


def test_a_cookie_opens_the_page_until_it_expires(monkeypatch):
    gate = Login("secret")
    now = [1_000_000.0]
    monkeypatch.setattr(login.time, "time", lambda: now[0])
    scope = scope_with(gate.new_cookie())

    now[0] += login.LIFETIME_S - 1
    assert gate.is_logged_in(scope)
    now[0] += 1
    assert not gate.is_logged_in(scope)


def test_a_cookie_is_worthless_after_the_key_has_changed():
    assert not Login("new").is_logged_in(scope_with(Login("old").new_cookie()))

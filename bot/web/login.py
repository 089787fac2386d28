"""The playground's login: PERSONAS_API_KEY in, a signed cookie out. Knows no routes but its own."""

from __future__ import annotations

import hashlib
import hmac
import time
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

LOGIN_PATH = "/login"
COOKIE = "personas_login"
MAX_FIELDS = 10
LIFETIME_S = 7 * 24 * 3600


class Login:
    """Checks keys and cookies in constant time. The cookie is an expiry and its HMAC, so nothing is stored."""

    def __init__(self, api_key: str) -> None:
        self._key = api_key.encode()

    def is_key(self, text: bytes) -> bool:
        return hmac.compare_digest(text, self._key)

    def is_bearer(self, scope: Scope) -> bool:
        """Whether the request carries `Authorization: Bearer <key>`."""
        value = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = value.partition(b" ")
        return scheme.lower() == b"bearer" and self.is_key(token.strip())

    def is_logged_in(self, scope: Scope) -> bool:
        """Whether the request carries an unexpired cookie of ours."""
        expiry, _, signature = cookie_parser(Headers(scope=scope).get("cookie", "")).get(COOKIE, "").partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(expiry).encode()):
            return False
        return int(expiry) > time.time()

    def new_cookie(self) -> str:
        expiry = str(int(time.time()) + LIFETIME_S)
        return f"{expiry}.{self._sign(expiry)}"

    def _sign(self, expiry: str) -> str:
        return hmac.new(self._key, f"playground login until {expiry}".encode(), hashlib.sha256).hexdigest()


def login_router(login: Login) -> APIRouter:
    """GET and POST /login."""
    router = APIRouter()

    @router.get(LOGIN_PATH)
    async def show() -> Response:
        return _page()

    @router.post(LOGIN_PATH)
    async def enter(request: Request) -> Response:
        try:
            fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
        except ValueError:
            return _page(f"The form has more than {MAX_FIELDS} fields; send the key alone.", status=400)
        if not login.is_key(fields.get("key", [""])[0].strip().encode()):
            return _page("That is not the key. It is the server's PERSONAS_API_KEY.", status=401)
        response = RedirectResponse("/", status_code=303)
        is_https = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, login.new_cookie(), max_age=LIFETIME_S, httponly=True, samesite="lax", secure=is_https
        )
        return response

    return router


def _page(problem: str = "", *, status: int = 200) -> HTMLResponse:
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return HTMLResponse(PAGE.replace("<!--alert-->", alert), status_code=status, headers={"Cache-Control": "no-store"})


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plug-and-Play Personas</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { min-height: 100vh; margin: 0; display: grid; place-items: center; background: light-dark(#f5f5f4, #18181b); }
  form { width: min(22rem, calc(100vw - 5rem)); padding: 2rem; border-radius: 1rem; display: grid; gap: .75rem;
         background: light-dark(#fff, #27272a); box-shadow: 0 2px 16px #0002; }
  h1 { font-size: 1.25rem; margin: 0; }
  p { margin: 0; }
  [role=alert] { color: light-dark(#b91c1c, #fca5a5); }
  input, button { font: inherit; padding: .6rem .8rem; border-radius: .6rem; border: 1px solid #8888; }
  button { background: #0f766e; border-color: #0f766e; color: #fff; font-weight: 600; cursor: pointer; }
</style>
</head>
<body>
<form method="post" action="/login">
  <h1>🎭 Plug-and-Play Personas</h1>
  <label for="key">API key</label>
  <input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
  <!--alert-->
  <button>Enter</button>
</form>
</body>
</html>
"""

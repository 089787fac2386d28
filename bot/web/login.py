"""The playground's login: PERSONAS_API_KEY in, a signed cookie out; and the logout. Knows no routes but its own."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from bot.web.wrong_keys import WrongKeys

LOGIN_PATH = "/login"
LOGOUT_PATH = "/logout"
COOKIE = "personas_login"
MAX_FIELDS = 10
LIFETIME_S = 7 * 24 * 3600
MAX_LOGGED_OUT = 10_000
# scrypt's cost: 32 MiB and about a tenth of a second, once for a server, and once more for every guess at its key.
SCRYPT_COST = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26}
SCRYPT_SALT = b"plug-and-play-personas playground login"


class Login:
    """Checks keys and cookies in constant time. A cookie is a name, an expiry and their HMAC, so nothing is stored.

    The HMAC's key is derived with scrypt: who gets hold of a cookie tries out ten keys a second with it, not millions.
    Cookies that logged out before their expiry are remembered while the process lives, and in the browser they go.
    """

    def __init__(self, api_key: str) -> None:
        self._digest = _digest(api_key.encode())
        self._cookie_key = hashlib.scrypt(api_key.encode(), salt=SCRYPT_SALT, dklen=32, **SCRYPT_COST)
        self._logged_out: OrderedDict[str, None] = OrderedDict()

    def is_key(self, text: bytes) -> bool:
        return hmac.compare_digest(_digest(text), self._digest)

    def has_bearer(self, scope: Scope) -> bool:
        """Whether the request carries any bearer token, be it right or wrong."""
        return _bearer(scope) is not None

    def is_bearer(self, scope: Scope) -> bool:
        """Whether the request carries `Authorization: Bearer <key>`."""
        token = _bearer(scope)
        return token is not None and self.is_key(token)

    def is_logged_in(self, scope: Scope) -> bool:
        """Whether the request carries an unexpired cookie of ours."""
        cookie = _cookie(scope)
        content, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(content).encode()):
            return False
        left_s = int(content.partition(".")[0]) - time.time()
        return 0 < left_s <= LIFETIME_S and cookie not in self._logged_out  # more is left where the clock was set back

    def new_cookie(self) -> str:
        content = f"{int(time.time()) + LIFETIME_S}.{secrets.token_hex(8)}"
        return f"{content}.{self._sign(content)}"

    def log_out(self, scope: Scope) -> None:
        """Let the request's cookie open nothing from now on."""
        if self.is_logged_in(scope):
            self._logged_out[_cookie(scope)] = None
            if len(self._logged_out) > MAX_LOGGED_OUT:
                self._logged_out.popitem(last=False)

    def _sign(self, content: str) -> str:
        return hmac.new(self._cookie_key, f"playground login until {content}".encode(), hashlib.sha256).hexdigest()


def _digest(key: bytes) -> bytes:
    """Of one length for all keys, so that comparing takes one time for all of them."""
    return hashlib.sha256(key).digest()


def _bearer(scope: Scope) -> bytes | None:
    scheme, _, token = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _cookie(scope: Scope) -> str:
    return cookie_parser(Headers(scope=scope).get("cookie", "")).get(COOKIE, "")


def login_router(login: Login, wrong_keys: WrongKeys) -> APIRouter:
    """GET and POST /login and /logout."""
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
            await wrong_keys.slow_down(request.scope)
            return _page("That is not the key. It is the server's PERSONAS_API_KEY.", status=401)
        response = RedirectResponse("/", status_code=303)
        is_https = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, login.new_cookie(), max_age=LIFETIME_S, httponly=True, samesite="lax", secure=is_https
        )
        return response

    @router.get(LOGOUT_PATH)
    async def ask() -> Response:
        return _html(_framed(LOGOUT_FORM))

    @router.post(LOGOUT_PATH)
    async def leave(request: Request) -> Response:
        login.log_out(request.scope)
        response = RedirectResponse(LOGIN_PATH, status_code=303)
        response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=request.url.scheme == "https")
        return response

    return router


def _page(problem: str = "", *, status: int = 200) -> HTMLResponse:
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return _html(_framed(LOGIN_FORM.replace("<!--alert-->", alert)), status)


def _framed(form: str) -> str:
    return PAGE.replace("<!--form-->", form)


def _html(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


LOGIN_FORM = """<form method="post" action="/login">
  <h1>🎭 Plug-and-Play Personas</h1>
  <label for="key">API key</label>
  <input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
  <!--alert-->
  <button>Enter</button>
</form>"""

LOGOUT_FORM = """<form method="post" action="/logout">
  <h1>🎭 Plug-and-Play Personas</h1>
  <p>This browser is logged in to the playground.</p>
  <button>Log out</button>
</form>"""

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
<!--form-->
</body>
</html>
"""

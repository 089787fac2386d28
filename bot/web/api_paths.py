"""Where the API lies, and what to tell a client that looks for it elsewhere. Pure."""

from __future__ import annotations

API_PATH = "/v1"
ROUTES = ("/v1/models", "/v1/chat/completions", "/v1/responses", "/v1/feedback")
BASE_URL_ADVICE = "a client's base URL is this server's address with /v1 at its end, once"
PREFIXES = frozenset({"api", "openai", "v1", "v1beta", "v2", "v3"})
# What clients ask for below their base URL, by its first part.
ENDPOINTS = frozenset({"chat", "completions", "embeddings", "feedback", "models", "responses"})
OLLAMA = frozenset({"chat", "embed", "embeddings", "generate", "ps", "show", "tags", "version"})  # below /api


def is_api_path(path: str) -> bool:
    return path == API_PATH or path.startswith(f"{API_PATH}/")


def is_misplaced(path: str) -> bool:
    """Whether a client seems to look for the API at this path outside of it."""
    if is_api_path(path):
        return False
    parts = [part for part in path.lower().split("/") if part]
    if parts[:1] == ["api"] and parts[1:2] and parts[1] in OLLAMA:
        return True
    while parts and parts[0] in PREFIXES:
        parts.pop(0)
    return bool(parts) and parts[0] in ENDPOINTS


def not_found_sentence(path: str) -> str:
    """What a client is told that asks for a path where nothing is."""
    is_known = any(path.rstrip("/").endswith(route.removeprefix(API_PATH)) for route in ROUTES)
    advice = f"; {BASE_URL_ADVICE}" if is_known or is_misplaced(path) else ""
    return f"There is nothing at {path[:200]}{advice}; the API has {', '.join(ROUTES)}."

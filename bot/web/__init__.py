"""The OpenAI-compatible API and the playground, on one ASGI app."""

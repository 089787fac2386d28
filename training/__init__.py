"""Turns personas/ and feedback into adapters. Knows core; knows no chat SDK."""

from contextlib import suppress
from importlib.util import find_spec

if find_spec("bitsandbytes") is not None:
    # PEFT, and with it TRL, imports it too, and then it fetches code from the hub, or says that it cannot.
    from core.engine.quantization import import_bitsandbytes

    with suppress(ImportError, OSError, RuntimeError, AttributeError):  # the probe says what is wrong with it
        import_bitsandbytes()

"""Turns personas/ and feedback into adapters. Knows core; knows no chat SDK."""

from core.engine.quantization import forestall_bitsandbytes

forestall_bitsandbytes()  # before PEFT, and with it TRL, is imported anywhere here

"""Side-by-side measurements of the engine and its peers."""

from core.engine.quantization import forestall_bitsandbytes

forestall_bitsandbytes()  # before PEFT is imported anywhere here

"""Side-by-side measurements of the engine and its peers."""

import training  # noqa: F401  # keeps PEFT, which is measured here, from fetching kernels from the hub

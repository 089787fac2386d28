"""What every process shares: words, settings, queue, worker, store, engine. Knows neither bot nor training."""

__version__ = "0.1.0"

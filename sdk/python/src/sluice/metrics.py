"""Counters and timings under `sluice_plugin_*`, labelled with the plugin. Imports "metrics"."""

from sluice_contract.imports import metrics as contract


def add(name: str, by: int = 1, **labels: str) -> None:
    """Adds to a counter."""
    contract.add(name, by, list(labels.items()))


def record_ms(name: str, ms: float) -> None:
    """Records a duration."""
    contract.record_ms(name, ms)

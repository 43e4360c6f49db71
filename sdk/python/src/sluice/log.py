"""Log lines, tagged with the plugin; capped in rate and size."""

from sluice_contract.imports import log as contract
from sluice_contract.imports.log import Level as Level


def debug(message: str, **fields: str) -> None:
    contract.log(Level.DEBUG, message, list(fields.items()))


def info(message: str, **fields: str) -> None:
    contract.log(Level.INFO, message, list(fields.items()))


def warn(message: str, **fields: str) -> None:
    contract.log(Level.WARN, message, list(fields.items()))


def error(message: str, **fields: str) -> None:
    contract.log(Level.ERROR, message, list(fields.items()))

"""What `on_done` is told."""

from sluice_contract.exports.on_done import Done as Done
from sluice_contract.exports.on_done import Outcome as Outcome
from sluice_contract.exports.on_done import Passed as Passed

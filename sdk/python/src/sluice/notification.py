"""What `on_notification` decides."""

from sluice_contract.exports import on_notification as contract
from sluice_contract.exports.on_notification import NotificationVerdict as NotificationVerdict
from sluice_contract.imports.types import Rejection

NEXT: NotificationVerdict = contract.NotificationVerdict_Next()
"""Go on, with the staged edits applied."""
DROP: NotificationVerdict = contract.NotificationVerdict_Drop()


def reject(no: Rejection) -> NotificationVerdict:
    """Ends the exchange it belongs to; `sluice.verdict.rejection` makes one."""
    return contract.NotificationVerdict_Reject(no)

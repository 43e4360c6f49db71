"""What `authenticate` sees and answers."""

from collections.abc import Mapping, Sequence

from sluice_contract.exports import authenticate as contract
from sluice_contract.exports.authenticate import Credential as Credential
from sluice_contract.exports.authenticate import Outcome as Outcome
from sluice_contract.imports.types import Rejection

ABSTAIN: Outcome = contract.Outcome_Abstain()
"""Not a credential of mine; the next authenticator is asked."""


def identified(
    subject: str,
    *,
    ttl_ms: int,
    tenant: str | None = None,
    scopes: Sequence[str] = (),
    claims: Mapping[str, str] | None = None,
) -> Outcome:
    """Who it is, and for how long that may be remembered (the host caps it at 60,000 ms)."""
    return contract.Outcome_Identified(contract.Principal(subject, tenant, list(scopes), list((claims or {}).items()), ttl_ms))


def challenge(no: Rejection) -> Outcome:
    """401 or 403 with `WWW-Authenticate`, 503 where nobody can say just now; `sluice.verdict.rejection` makes one."""
    return contract.Outcome_Challenge(no)

"""Knows one caller by a bearer token."""

from sluice import Authenticate, Config, Exchange, Manifest, Plugin
from sluice.identity import ABSTAIN, Credential, Outcome, challenge, identified
from sluice.verdict import rejection

SCHEMA = {
    "type": "object",
    "properties": {"token": {"type": "string"}, "subject": {"type": "string"}},
    "required": ["token", "subject"],
}


class Example(Plugin, Authenticate):
    manifest = Manifest("example-authenticate", "0.1.0", "Knows one caller by a bearer token.", config_schema=SCHEMA, stateless=True)

    def __init__(self, config: Config) -> None:
        self.token, self.subject = config["token"], config["subject"]

    def authenticate(self, credential: Credential, x: Exchange) -> Outcome:
        if credential.scheme == "bearer" and credential.value == self.token:
            return identified(self.subject, ttl_ms=60_000)
        if credential.scheme in ("bearer", "none"):
            return challenge(rejection(4010, "a bearer token is needed", status=401, headers={"www-authenticate": "Bearer"}))
        return ABSTAIN

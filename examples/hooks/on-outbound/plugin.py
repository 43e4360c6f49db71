"""Sends the operator's token for an upstream along, unseen."""

from sluice import Config, Exchange, HostError, Manifest, Need, OnOutbound, Plugin, secrets
from sluice.outbound import Departure, OutboundVerdict, leave, reject, secret
from sluice.verdict import rejection


class Example(Plugin, OnOutbound):
    manifest = Manifest(
        "example-on-outbound",
        "0.1.0",
        "Sends the operator's token for an upstream along, unseen.",
        config_schema={"type": "object", "properties": {"secret": {"type": "string"}}, "required": ["secret"]},
        needs=[Need("outbound", "to set a header"), Need("secret", "the token")],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        self.secret = config["secret"]

    def on_outbound(self, departure: Departure, x: Exchange) -> OutboundVerdict:
        if departure.challenge() is not None:
            return reject(rejection(4040, f"{departure.upstream} does not take the token"))
        try:
            return leave({"authorization": secret(secrets.open(self.secret), "Bearer ")})
        except HostError:
            return reject(rejection(4041, "there is no token"))

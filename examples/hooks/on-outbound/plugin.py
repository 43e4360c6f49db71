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
        try:
            token = secrets.open(self.secret)
        except HostError:
            return reject(rejection(4041, "there is no token"))
        # Refused with another, the request may leave once more with this one.
        if departure.challenge() is not None and departure.refused(token):
            return reject(rejection(4040, f"{departure.upstream} does not take the token"))
        return leave({"authorization": secret(token, "Bearer ")})

"""Keeps servers' debug messages from clients."""

from sluice import Config, Exchange, Head, Hook, Manifest, OnNotification, Plugin, Selector
from sluice.notification import DROP, NEXT, NotificationVerdict


class Example(Plugin, OnNotification):
    manifest = Manifest(
        "example-on-notification",
        "0.1.0",
        "Keeps servers' debug messages from clients.",
        selectors=[Selector(Hook.ON_NOTIFICATION, ["notifications/message"])],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        pass

    def on_notification(self, head: Head, x: Exchange) -> NotificationVerdict:
        return DROP if x.get("/params/level") == "debug" else NEXT

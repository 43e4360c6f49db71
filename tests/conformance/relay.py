"""A TCP relay: a proxy that changes no byte, to see that the harness itself makes no difference."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Relay:
    def __init__(self, upstream):
        parts = urlsplit(upstream)
        self.upstream, self.path = (parts.hostname, parts.port), parts.path

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}{self.path}"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.upstream)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=copy, args=ends, daemon=True).start()


def copy(source, sink):
    """One direction. An end of one side ends both, as a hang-up has to be passed on."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

"""Long answers in pieces: `on_chunk`. Imports "chunks" when the plugin has that hook."""

from collections.abc import Sequence

from componentize_py_types import Err
from sluice_contract.exports import on_chunk as contract
from sluice_contract.exports.on_chunk import ChunkVerdict as ChunkVerdict
from sluice_contract.exports.on_chunk import Splice as Splice
from sluice_contract.imports import chunks
from sluice_contract.imports.chunks import Chunk as Chunk
from sluice_contract.imports.chunks import Hit as Hit
from sluice_contract.imports.types import Rejection

from .errors import host_error

NEXT: ChunkVerdict = contract.ChunkVerdict_Next()


class Batch:
    """Up to 64 KiB of an answer's strings and names."""

    __slots__ = ("raw",)

    def __init__(self, raw: chunks.Batch) -> None:
        self.raw = raw

    def chunks(self) -> list[Chunk]:
        """The texts in the order of the answer. Two are never of one string."""
        try:
            return self.raw.chunks()
        except Err as error:
            raise host_error(error) from None

    def scan(self, name: str) -> list[Hit]:
        """All hits of a set (`patterns.define`), whole however the text is cut."""
        try:
            return self.raw.scan(name)
        except Err as error:
            raise host_error(error) from None

    @property
    def ends(self) -> bool:
        """The answer ends here."""
        return self.raw.ends()


def splice(chunk: int, start: int, end: int, text: str) -> Splice:
    """Replaces bytes [start, end) of the UTF-8 of a chunk's text."""
    return Splice(chunk, start, end, text)


def edit(splices: Sequence[Splice]) -> ChunkVerdict:
    """Let it go on, changed so; without splices as it is."""
    return contract.ChunkVerdict_Edit(list(splices)) if splices else NEXT


def reject(no: Rejection) -> ChunkVerdict:
    """The answer breaks off here; `sluice.verdict.rejection` makes one."""
    return contract.ChunkVerdict_Reject(no)

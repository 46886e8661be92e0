"""Which of two blocks of one agent is the newer. Pure."""

from uuid import UUID


def newer(stream: str, seq: int, than_stream: str, than_seq: int) -> bool:
    """Whether block (stream, seq) was made after (than_stream, than_seq); also True when nothing is known yet.

    Within a stream the sequence decides. A stream is born with its journal and agents name it by UUIDv7, so of two such
    streams the greater text is the younger. A sender with other UUIDs gives no order: then the later arrival wins.
    """
    if not than_stream:
        return True
    if stream == than_stream:
        return seq > than_seq
    if UUID(stream).version == 7 and UUID(than_stream).version == 7:
        return stream > than_stream
    return True

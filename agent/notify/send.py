"""One message through Apprise, in a thread, bounded in time."""

import asyncio
import importlib
from concurrent.futures import ThreadPoolExecutor

# Apprise itself gives up on a silent peer after 4 s to connect and 4 s to read; this also bounds one that drips.
SEND_SECONDS = 20.0
AT_ONCE = 2


class Sender:
    """Sends; `close` waits for nothing: a message under way is sent again after a restart."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="notify")

    async def __call__(self, url: str, title: str, body: str) -> str | None:
        """None when the channel took it, else what went wrong, without the URL: it holds credentials."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                return await loop.run_in_executor(self._threads, _send, url, title, body)
        except TimeoutError:
            return f"the channel did not answer within {SEND_SECONDS:.0f} s"

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def understood(url: str) -> bool:
    """Whether Apprise knows what to do with a URL; sends nothing."""
    return bool(importlib.import_module("apprise").Apprise().add(url))


def _send(url: str, title: str, body: str) -> str | None:
    # Loaded with the first message: Apprise costs 45 MB, and most sites never send one.
    channel = importlib.import_module("apprise").Apprise()
    if not channel.add(url):
        return "the URL is none that Apprise understands"
    if channel.notify(title=title, body=body):
        return None
    return f"the {url.partition(':')[0]} channel did not take the message"

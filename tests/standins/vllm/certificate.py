"""The double's certificate, and vLLM's way to see that it was renewed.

vLLM watches the files with watchfiles. By inotify that sees the first renewal of a mounted Secret and no later one; the
double sees none at all then, so that a manifest which does not ask for polling fails where it is tried.
"""

import asyncio
import os
import ssl
from pathlib import Path


class Certificate:
    def __init__(self, certificate: str, key: str | None) -> None:
        self.files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*self.files)

    async def refresh(self) -> None:
        """For ever; new connections get what the files hold."""
        if not os.environ.get("WATCHFILES_FORCE_POLLING"):
            return
        seen = self.times()
        while True:
            await asyncio.sleep(float(os.environ.get("WATCHFILES_POLL_DELAY_MS", "300")) / 1000)
            now = self.times()
            if now != seen:
                seen = now
                self.context.load_cert_chain(*self.files)
                print("INFO:     Reloading SSL certificate chain", flush=True)

    def times(self) -> list[int]:
        return [Path(file).stat().st_mtime_ns for file in self.files if file]

"""A mounted Secret as the kubelet makes and changes it: its files are links into a folder, exchanged in one step."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from pathlib import Path


class SecretVolume:
    """`directory` is where a container sees it."""

    def __init__(self, directory: Path, **data: bytes | str) -> None:
        self.directory = directory
        self._versions = itertools.count()
        self._began = int(time.time())
        self.write(**data)

    def write(self, **data: bytes | str) -> None:
        """The whole content from now on; a name's `__` is a dot."""
        number = next(self._versions)
        version = f"..version_{number}"
        folder = self.directory / version
        folder.mkdir(parents=True)
        contents = {name.replace("__", "."): content for name, content in data.items()}
        for name, content in contents.items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
            # no two changes of a Secret reach a pod within a second, which is as finely as watchers by polling look
            os.utime(folder / name, (self._began + number, self._began + number))
        link = self.directory / "..data"
        before = self.directory / link.readlink() if link.is_symlink() else None
        (self.directory / "..data_tmp").symlink_to(version)
        os.replace(self.directory / "..data_tmp", link)  # noqa: PTH105
        for name in contents:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        for path in self.directory.iterdir():
            if not path.name.startswith("..") and path.name not in contents:
                path.unlink()
        if before is not None:
            shutil.rmtree(before)

"""What a student's code may not do while it is graded: write elsewhere, start or end processes, use the network.

It is refused in words, and noted for the teacher. This holds mistakes, and no malice: Python code can get around it.
"""

import os
import sys
from pathlib import Path

FILES = {  # events of Python that change files, and how many of their arguments are paths
    "os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.truncate": 1,
    "os.chmod": 1, "shutil.rmtree": 1}
REFUSED = {
    "os.system": "starts a process", "os.exec": "starts a process", "os.fork": "starts a process",
    "os.forkpty": "starts a process", "os.posix_spawn": "starts a process", "subprocess.Popen": "starts a process",
    "os.kill": "ends a process", "os.killpg": "ends a process", "socket.connect": "uses the network",
    "socket.bind": "uses the network", "socket.getaddrinfo": "uses the network"}


class Guard:
    """Watches this process from `start` on, and lets files be written in `folder` only. It cannot be taken off."""

    def __init__(self, folder: Path):
        self.folder, self.notes = str(folder.resolve()), []

    def start(self):
        sys.addaudithook(self.watch)

    def watch(self, event: str, arguments: tuple):
        if event == "open":
            path, mode, flags = arguments
            if not isinstance(path, int) and (flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or set(mode or "") & set(
                    "wax+")):
                self.within(path)
        elif event in FILES:
            for path in arguments[: FILES[event]]:
                self.within(path)
        elif event in REFUSED:
            self.refuse(REFUSED[event])

    def within(self, path):
        real = os.path.realpath(os.fsdecode(path))
        if real != os.devnull and os.path.commonpath([real, self.folder]) != self.folder:
            self.refuse(f"changes files elsewhere ({os.fsdecode(path)})")

    def refuse(self, what: str):
        if what not in self.notes and len(self.notes) < 20:
            self.notes.append(what)
        raise PermissionError(f"your code {what}, and the grader does not let it")

"""A process that says `ready` and is ended with SIGTERM, and what it has used of the machine."""
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

try:
    import resource
except ImportError:  # no such limit on Windows
    resource = None

PATIENCE = 30  # seconds to end


def allow_many_files():
    """This process and those that it starts."""
    if resource:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def started(command):
    with TemporaryFile("w+") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            line = process.stdout.readline()
            if not line.startswith("ready"):
                log.seek(0)
                raise RuntimeError(f"{' '.join(command)}: expected a first line that begins with ready, got {line!r}. {log.read()[-2000:]}")
            yield Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


class Process:
    def __init__(self, pid):
        self._folder = Path(f"/proc/{pid}")

    def cpu(self):
        """Seconds of all its threads."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        """Bytes."""
        return int((self._folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

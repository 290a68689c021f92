"""A page's blocks, run in order as a reader would: Python in one namespace, commands through the command line, servers beside it."""
import io
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout

import pages
import pytest

from streamrnn.cli import main
from streamrnn.errors import MissingExtra

NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)*(?:e[-+]?\d+)?(?:\+[a-z]\w+)?")  # a version, such as 2.13.0+cpu, is one too
PORT = re.compile(r"tcp://(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(pages.ROOT), "COLUMNS": "80", "MPLBACKEND": "Agg"}


class Absent(Exception):
    """A package that a block needs is not installed."""


class Reader:
    def __init__(self, path, folder):
        self.path, self.folder = path, folder
        self.names = {"__name__": "__main__"}
        self.servers = []

    def python(self, block):
        code = compile("\n" * block.line + block.text, str(self.path), "exec")  # tracebacks have the page's own line numbers
        out = io.StringIO()
        try:
            with redirect_stdout(out):
                exec(code, self.names)
        except (ModuleNotFoundError, MissingExtra) as error:
            raise Absent(str(error)) from None
        return out.getvalue()

    def command(self, line, fails=False):
        """What a command prints. `fails`: it is said to end in an error."""
        words = shlex.split(line, comments=True)
        if words[:2] == ["streamrnn", "serve"]:
            return self.serve(words[2:])
        if words[0] == "python":
            done = subprocess.run([sys.executable, "-W", "error", pages.ROOT / words[1], *words[2:]], cwd=self.folder, env=ENVIRONMENT,
                                  capture_output=True, text=True, timeout=300)
            status, out, err = done.returncode, done.stdout, done.stderr
            absent = re.search(r"ModuleNotFoundError: (.*)", err)
        else:
            out, err = io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                status = main(words[1:])
            out, err = out.getvalue(), err.getvalue()
            absent = re.search(r".*pip install 'streamrnn\[\w+\]'|.*there is no C compiler.*", err)
        if status and absent:
            raise Absent(absent[0])
        assert bool(status) == fails, f"{line}\nends with status {status}\n{out}{err}"
        return err if fails else out

    def serve(self, arguments):
        self.stop()  # the one before, if it has the same ports
        for port in {5555, *map(int, PORT.findall(" ".join(arguments)))}:
            with socket.socket() as free:
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    free.bind(("127.0.0.1", port))
                except OSError:
                    pytest.skip(f"port {port} is taken on this machine")
        server = subprocess.Popen([sys.executable, "-W", "error", "-m", "streamrnn", "serve", *arguments], cwd=self.folder,
                                  env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.servers.append(server)
        said, until = b"", time.monotonic() + 120
        while b"ready" not in said:
            assert time.monotonic() < until and server.poll() is None, said.decode()
            if select.select([server.stdout], [], [], 1)[0]:
                said += os.read(server.stdout.fileno(), 1 << 16)
        return said.decode()

    def stop(self):
        while self.servers:
            server = self.servers.pop()
            server.send_signal(signal.SIGTERM)
            said = server.communicate(timeout=60)[0].decode()
            assert server.returncode == 0, said


def same(said, promised):
    """Equal word by word, but for digits and the space before them; a line of three dots in a page stands for any words."""
    def words(text):
        return re.sub(r"[ \t]*#", "#", NUMBER.sub("#", text)).split()

    parts = ["".join(re.escape(word) + " " for word in words(part)) for part in re.split(r"^\.\.\.$", promised, flags=re.M)]
    return re.fullmatch(r"(?:\S+ )*?".join(parts), "".join(word + " " for word in words(said))) is not None

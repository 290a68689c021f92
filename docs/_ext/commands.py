"""```{command} train```: what `streamrnn train --help` says, as it says it now."""
import io
import os
from contextlib import redirect_stdout, suppress

from docutils import nodes
from docutils.parsers.rst import Directive

WIDTH = "100"


class Command(Directive):
    required_arguments = 1

    def run(self):
        from streamrnn.cli import main

        os.environ["COLUMNS"] = WIDTH
        said = io.StringIO()
        with redirect_stdout(said), suppress(SystemExit):
            main([self.arguments[0], "--help"])
        return [nodes.literal_block(said.getvalue(), said.getvalue(), language="text")]


def setup(app):
    app.add_directive("command", Command)
    return {"parallel_read_safe": True}

"""The pages of the documentation, taken apart into blocks: what runs, what it is said to print, and what is only to be read.

Fences say their language. One without a language is a console's if it begins with a command, and else text, unless Python would take it:
then the page has to say which it is. A comment that begins with `<!-- run` is Python that readers do not see."""
import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)]
BLOCK = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$|^<!-- run\n(?P<hidden>.*?)^-->$", re.M | re.S)
COMMANDS = ("streamrnn", "python", "pip", "make", "$", "#")
CONSOLE = ("console", "sh", "bash", "shell")
PRINTS = re.compile(r"(?:prints|which prints|printing)?:?")


@dataclass
class Block:
    line: int            # of its fence, from 1
    kind: str            # "python", "console", or the language of what does not run
    text: str
    prints: str | None = None

    @property
    def commands(self):
        """(command, what a transcript says it prints, or None) of a console block; with a $ before commands, other lines are output."""
        text = self.text.replace("\\\n", " ")
        if not re.search(r"^\$ ", text, re.M):
            lines = [line for line in text.splitlines() if shlex.split(line, comments=True)]
            return [(line, self.prints if line is lines[-1] else None) for line in lines]
        parts = [part.partition("\n") for part in re.split(r"^\$ ", text, flags=re.M)[1:]]
        return [(command, said or None) for command, _, said in parts]


def name(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path):
    page, found, end = path.read_text(encoding="utf-8"), [], 0
    for match in BLOCK.finditer(page):
        line = page[:match.start()].count("\n") + 1
        if match["hidden"] is not None:
            found.append(Block(line, "python", match["hidden"]))
            continue
        block = Block(line, _kind(match["language"].strip(), match["text"]), match["text"])
        between, end = page[end:match.start()].strip(), match.end()
        if block.kind == "text" and found and found[-1].kind in ("python", "console") and PRINTS.fullmatch(between):
            found[-1].prints = block.text
        found.append(block)
    return found


def _kind(language, text):
    if language in CONSOLE:
        return "console"
    if language.startswith("{"):
        return "directive"
    if language:
        return language
    if text.startswith(COMMANDS):
        return "console"
    return "unsaid" if _runs(text) else "text"


def _runs(text):
    """Would Python take it, and do something?"""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    return any(isinstance(node, (ast.Assign, ast.Call, ast.Import, ast.ImportFrom, ast.FunctionDef)) for node in ast.walk(tree))

"""Every block of every page runs as it stands, in order, and prints what the page says; what cannot run is named in unrun.py."""
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pages
import pytest
import unrun
from prepared import MADE_WITH, PREPARE
from running import Absent, Reader, same

NAMES = [pages.name(path) for path in pages.PAGES]


def spared_python(page, block):
    return next((entry for entry in unrun.PYTHON if entry[0] == page and block.text.startswith(entry[1])), None)


def spared_command(line):
    return next((start for start in unrun.COMMANDS if line.startswith(start)), None)


def spared_example(words):
    """The test that runs a script, if it is one of those that have their own."""
    if words[0] != "python" or len(words) < 2:
        return None
    test = next((test for start, test in unrun.EXAMPLES.items() if words[1].startswith(start)), None)
    return test and test.format(Path(words[1]).stem)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # Keras on torch, NumPy 2
@pytest.mark.parametrize("path", pages.PAGES, ids=NAMES)
def test_blocks_run_and_print_what_the_page_says(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    page, absent, reader = pages.name(path), [], Reader(path, tmp_path)
    PREPARE.get(page, lambda folder: None)(tmp_path)

    def there(text):
        for file, package in MADE_WITH.items():
            if file in text and not (tmp_path / file).exists() and find_spec(package) is None:
                raise Absent(f"{file} is made with {package}")

    def said_as_promised(said, promised, line):
        if promised is not None:
            assert same(said, promised), f"{page}, line {line}: the page says it prints\n{promised}\nand it printed\n{said}"

    try:
        for block in pages.blocks(path):
            assert block.kind in ("python", "console", *unrun.LANGUAGES), (
                f"{page}, line {block.line}: a block of language {block.kind!r} neither runs nor stands in unrun.py. Write ```python "
                "above what is to run, ```text above what is not")
            try:
                if block.kind == "python" and not spared_python(page, block):
                    there(block.text if "from_" in block.text else "")
                    said_as_promised(reader.python(block), block.prints, block.line)
                for line, promised in block.commands if block.kind == "console" else ():
                    words = shlex.split(line, comments=True)
                    if spared_command(line) or spared_example(words):
                        continue
                    assert words[0] == "streamrnn" or (words[0] == "python" and words[1].startswith("examples/")), (
                        f"{page}, line {block.line}: {line!r} neither runs nor stands in unrun.py")
                    there(line)
                    said = reader.command(line, fails=bool(promised) and promised.startswith("streamrnn "))
                    said_as_promised(said, promised, block.line)
            except Absent as error:
                absent.append(f"line {block.line}: {error}")
            except NameError as error:
                if not absent:  # else it follows from what was not there
                    raise
                absent.append(f"line {block.line}: {error}")
    finally:
        reader.stop()
    if absent:
        pytest.skip(f"{page}, " + "; ".join(absent))


def test_what_is_not_run_is_still_there():
    found = [(pages.name(path), block) for path in pages.PAGES for block in pages.blocks(path)]
    assert {spared_python(page, block) for page, block in found} >= set(unrun.PYTHON)
    assert {block.kind for _, block in found} >= set(unrun.LANGUAGES)
    lines = [line for _, block in found if block.kind == "console" for line, _ in block.commands]
    assert {spared_command(line) for line in lines} >= set(unrun.COMMANDS)


@pytest.mark.parametrize("path", pages.PAGES, ids=NAMES)
def test_examples_are_called_with_options_that_they_have(path):
    for block in pages.blocks(path):
        for line, _ in block.commands if block.kind == "console" else ():
            words = shlex.split(line, comments=True)
            if test := spared_example(words):
                assert (pages.ROOT / test).exists(), f"{line}: {test} is to run it"
                script = (pages.ROOT / words[1]).read_text(encoding="utf-8")
                for option in [word for word in words[2:] if word.startswith("--")]:
                    assert f'"{option}"' in script, f"{line}: {words[1]} has no {option}"


@pytest.mark.parametrize("path", pages.PAGES, ids=NAMES)
def test_links_and_files_are_there(path):
    page = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page):
        assert re.match(r"https?://", target) or (path.parent / target).exists(), f"{target} of {pages.name(path)}"
    for name in re.findall(r"`((?:examples|streamrnn|tests|bench|docs)/[\w/.*]+)`", page):
        assert list(pages.ROOT.glob(name)), f"{name} of {pages.name(path)}"


def test_every_job_has_a_page_and_a_line_of_the_front_page():
    front = pages.PAGES[0].read_text(encoding="utf-8")
    for script in (pages.ROOT / "examples" / "jobs").glob("*.py"):
        assert f"`jobs/{script.name}`" in front, f"{script.name} has no line in README.md's table of jobs"
        assert (pages.ROOT / "docs" / "jobs" / f"{script.stem}.md").exists(), f"docs/jobs/{script.stem}.md tells of it"


@pytest.mark.parametrize(("said", "promised", "equal"), [
    ("loss 0.512, 3 steps\n", "loss 0.498, 3  steps\n", True), ("loss 0.512\n", "error 0.512\n", False),
    ("a 1\nb\nc\n", "a 2\n...\nc\n", True), ("a 1\nc\n", "a 2\n...\nc\n", True), ("a 1\nb\n", "a 2\n...\nc\n", False),
    ("a\nb\nc\n", "a\n...\n", True), ("a 1\n", "a\n...\n", False),
    ("1,234 rows\n", "56 rows\n", True), ("x\n", "x\ny\n", False), ("-0.5 1e-7\n", "+2 0.3\n", True)])
def test_output_is_compared_but_for_digits(said, promised, equal):
    assert same(said, promised) == equal


def test_a_page_is_taken_apart(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Read.\n\n<!-- run\nx = 1\n-->\n\n```python\nprint(x)\n```\n\nprints\n\n```\n1\n```\n\n"
                    "```\ny = W x\n```\n\n```\ny = f(x)\n```\n\n"
                    "```\n$ streamrnn info\nall\n$ streamrnn bench  # now\n```\n\n```\nstreamrnn a \\\n  b\n\nstreamrnn c\n```\n")
    blocks = pages.blocks(page)
    assert [(block.kind, block.line) for block in blocks] == [("python", 3), ("python", 7), ("text", 13), ("text", 17), ("unsaid", 21),
                                                              ("console", 25), ("console", 31)]
    assert blocks[1].prints == "1\n"
    assert blocks[5].commands == [("streamrnn info", "all\n"), ("streamrnn bench  # now", None)]
    assert [line.split() for line, _ in blocks[6].commands] == [["streamrnn", "a", "b"], ["streamrnn", "c"]]

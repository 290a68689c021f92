"""The code of docs/explain.md runs as it stands and prints what the page says, up to the last digits."""
import re
from pathlib import Path

import streamrnn as sr

PAGE = Path(sr.__file__).parents[1] / "docs" / "explain.md"


def test_every_block_runs(tmp_path, monkeypatch, capsys):
    page = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = [(page[:found.start()].count("\n") + 1, found[1]) for found in re.finditer(r"^```python\n(.*?)^```$", page, re.M | re.S)]
    assert len(blocks) == 4
    names, said = {}, []
    for line, block in blocks:
        exec(compile("\n" * line + block, str(PAGE), "exec"), names)  # with the page's own line numbers
        said.append(capsys.readouterr().out)
    promised = re.search(r"^prints\n\n```\n(.*?)^```$", page, re.M | re.S)[1]
    number = re.compile(r"\d+\.\d+|\d+(?= %)")
    assert number.sub("#", said[1].replace("  #", "#")).split() == number.sub("#", promised).split()
    assert "(LSTM) h c i f g o, 16 units" in said[2] and "(200, 16) True True" in said[2]
    assert "500 states of 2 sequences" in said[3] and "(2,) (300, 2)" in said[3]
    assert names["saliency"].strongest(1)[0].back == 4


def test_links_and_files_are_there():
    page = PAGE.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (PAGE.parent / target).exists(), target
    for name in re.findall(r"`((?:examples|streamrnn|tests)/[\w/.]+)`", page):
        assert (PAGE.parents[1] / name).exists(), name

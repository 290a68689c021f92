"""The house's docstrings as reStructuredText: prose with `code`, lines of calls, and lists of `name: what` or `name  what`."""
import ast
import re

NAMES = r"\w+(?:, \w+)*"
SPACED = re.compile(rf"({NAMES}|[\w.]+\([\w=, ]*\)) {{2,}}(\S.*)")
SAID = re.compile(rf"({NAMES}): (\S.*)")


def setup(app):
    app.connect("autodoc-process-docstring", rewrite)
    return {"parallel_read_safe": True}


def rewrite(app, what, name, subject, options, lines):
    paragraphs = "\n".join(lines).strip("\n").split("\n\n")
    lines[:] = "\n\n".join(_paragraph(part.split("\n")) for part in paragraphs).split("\n")


def _paragraph(lines):
    if all(line.startswith("    ") or _is_code(line) for line in lines):
        return "::\n\n" + "\n".join("    " + line for line in lines)
    flush = [line for line in lines if not line.startswith(" ")]
    for form in (SPACED, SAID):
        if all(form.fullmatch(line) for line in flush):
            return _definitions(lines, form)
    return _prose(" ".join(line.strip() for line in lines))


def _definitions(lines, form):
    items = []
    for line in lines:
        if line.startswith(" "):
            items[-1][1].append(line.strip())
        else:
            items.append([form.fullmatch(line)[1], [form.fullmatch(line)[2]]])
    return "\n\n".join(f"``{term}``\n    {_prose(' '.join(words))}" for term, words in items)


def _prose(text):
    """Code in single backticks becomes literal; nothing else is markup."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(f"\\ ``{part}``\\ " if k % 2 else re.sub(r"([*|_\\])", r"\\\1", part) for k, part in enumerate(parts)).strip()


def _is_code(line):
    try:
        tree = ast.parse(line)
    except SyntaxError:
        return False
    return bool(tree.body) and any(isinstance(node, ast.Call) for node in ast.walk(tree))

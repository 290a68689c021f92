"""Links that lead out of docs/ (examples, benches, the README) name the file: the site does not carry it."""
import re

LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)]*)\)")


def setup(app):
    app.connect("source-read", name_them)
    return {"parallel_read_safe": True}


def name_them(app, page, source):
    depth = page.count("/")

    def named(match):
        path = match[2]
        if not path.startswith("../" * (depth + 1)):
            return match[0]  # within docs/
        path = path[3 * (depth + 1):]
        return f"`{path}`" if match[1].strip("`") in path else f"{match[1]} (`{path}`)"

    source[0] = LINK.sub(named, source[0])

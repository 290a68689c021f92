"""The site: `make docs`. Pages are Markdown (MyST); the reference comes from the docstrings, the commands from their --help."""
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1])]

from streamrnn import __version__  # noqa: E402  (the package is found by the line above)

project, author, copyright = "streamrnn", "the streamrnn authors", "the streamrnn authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "commands", "outside"]
exclude_patterns = ["_build"]
nitpicky = True                       # a name that leads nowhere is a warning, and `make docs` makes warnings errors
highlight_language = "text"           # a block says its language, or has none

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3              # [..](protocol.md#seq-exactly-once) means here what it means on a code host

autodoc_typehints = "none"            # shapes and units are said in words
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autoclass_content = "class"
python_maximum_signature_line_length = 100
add_module_names = False

html_theme = "furo"
html_title = "streamrnn"
html_theme_options = {"navigation_with_keys": True}

"""What stands in a page's block and does not run in the tests, each with the reason. An entry that nothing needs is an error."""

LANGUAGES = {
    "text": "formulas, layouts, and output; output behind `prints` is compared",
    "c": "firmware around an exported file: tests/interop/test_export_c.py compiles the file itself",
    "directive": "the site's own words: tests/docs/test_site.py builds it",
}

COMMANDS = {  # what a command begins with: why it does not run
    "pip install": "changes the Python that tests run in",
    "make ": "makes a virtual environment of its own",
    "python -m bench": "minutes; not a test",
    "streamrnn warmup": "compiles for minutes; `make test` begins with it",
    "streamrnn demo": "a minute of live view: tests/cli/test_demo.py plays it",
    "streamrnn tune": "twenty trainings: tests/cli/test_tune.py searches a few",
    "NUMBA_ENABLE_CUDASIM=1": "a script of the reader's; tests/cuda runs the simulator",
}

EXAMPLES = {  # a script's own test, at full size or briefly; here only its options are looked up
    "examples/jobs/": "tests/examples/test_job_{}.py",
    "examples/detect/": "tests/examples/test_detector_examples.py",
}

PYTHON = {  # (page, how the block begins): why it does not run
    ("docs/cuda.md", "engine = sr.Engine(model, device="): "needs a GPU: tests/cuda runs the same in the simulator",
    ("docs/cuda.md", "group = engine.group(ids)"): "needs a GPU: tests/cuda runs the same in the simulator",
    ("docs/kernels.md", "import streamrnn.kernels.step"): "compiles for a minute, to look at the assembly",
}

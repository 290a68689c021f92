"""Measurements of streamrnn beside its peers: `python -m bench` from the repository root; see bench/README.md."""

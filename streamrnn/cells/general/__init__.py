"""Cells for what other libraries' models say and the usual cells do not: each stands apart from the kernels that run plans."""

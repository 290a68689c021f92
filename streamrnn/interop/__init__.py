"""Models from other libraries, and to them."""

"""Group: streams of one engine, looked up once."""
import numpy as np


class Group:
    """Streams of one engine in a fixed order, resolved once; refused as soon as one of them is closed."""

    __slots__ = ("distinct", "engine", "handles", "ids")

    def __init__(self, engine, ids, handles, distinct):
        self.engine, self.ids, self.handles, self.distinct = engine, ids, handles, distinct

    def __len__(self):
        return len(self.handles)

    def __getitem__(self, order):
        """The same streams in another order, or some of them: an array of positions."""
        order = np.arange(len(self))[order]
        handles = self.handles[order]
        return Group(self.engine, [self.ids[n] for n in order], handles, len(np.unique(handles)) == len(handles))

    def names(self, ids):
        """Are these its ids, in this order?"""
        try:
            return ids == self.ids
        except ValueError:  # arrays among the ids: they are refused in their turn
            return False

    def __repr__(self):
        return f"<Group of {len(self):,} streams>"

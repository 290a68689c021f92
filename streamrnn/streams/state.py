"""Row: a copy of one stream's state that knows whose it is."""
import numpy as np

from streamrnn.errors import StateError
from streamrnn.streams.samples import as_float32


class Row(np.ndarray):
    """The state of one stream: a float32 vector, with its parts by name: row["layers.0.h"].

    It remembers the signature of its model's layers, so that no other kind of model takes it.
    """

    segments: tuple = ()
    signature: str | None = None

    def __array_finalize__(self, source):
        if source is not None and self.shape == source.shape:
            self.segments = getattr(source, "segments", ())
            self.signature = getattr(source, "signature", None)

    def __getitem__(self, key):
        if isinstance(key, str):
            for segment in self.segments:
                if segment.name == key:
                    return np.asarray(self)[segment.offset:segment.offset + segment.size]
            raise KeyError(f"no part {key!r} in this state: it has {', '.join(self.parts) or 'none'}")
        return super().__getitem__(key)

    def __reduce__(self):
        return _remake, (np.asarray(self).copy(), self.segments, self.signature)

    @property
    def parts(self):
        """Names of the state's parts."""
        return [segment.name for segment in self.segments]


def _remake(values, segments, signature):
    row = values.view(Row)
    row.segments, row.signature = segments, signature
    return row


def copy_row(rows, handle):
    return _remake(rows.read(handle), tuple(rows.plan.segments), rows.plan.signature)


def check_row(plan, row):
    """The row's values, if they can be a state under this plan."""
    signature = getattr(row, "signature", None)
    if signature is not None and signature != plan.signature:
        parts = ", ".join(segment.name for segment in plan.segments) or "no parts"
        raise StateError(f"this state belongs to a model of other layers; a row of this one has {parts}")
    values = as_float32(row, "a state row")
    if values.shape != (plan.stride,):
        raise StateError(f"a state row of this model has {plan.stride} numbers, got shape {values.shape}: "
                         "pass back what state() gave")
    if not np.isfinite(values).all():
        raise StateError(f"state row [{np.flatnonzero(~np.isfinite(values))[0]}] is not finite")
    return np.asarray(values)

"""SKAB's outlier task: F1, false and missed alarm rate of yes/no rows, counted over all runs together."""
import numpy as np


def rates(series, alerts):
    """{"F1", "FAR", "MAR"}, the two rates in per cent; `alerts` holds one boolean array per series."""
    hit = false = missed = quiet = 0
    for one, alert in zip(series, alerts, strict=True):
        alert = np.asarray(alert, bool)
        if alert.shape != one.label.shape:
            raise ValueError(f"{one.name}: needs {len(one.label)} alerts")
        hit += int((one.label & alert).sum())
        false += int((~one.label & alert).sum())
        missed += int((one.label & ~alert).sum())
        quiet += int((~one.label & ~alert).sum())
    return {"F1": _share(hit, hit + (false + missed) / 2), "FAR": 100.0 * _share(false, false + quiet),
            "MAR": 100.0 * _share(missed, missed + hit)}


def _share(part, whole):
    return part / whole if whole else 0.0

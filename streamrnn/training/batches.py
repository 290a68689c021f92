"""The order of an epoch: which sequences go together, and which windows of them follow each other."""
import numpy as np

from streamrnn.training.passes import Window


def windows(lengths, batch, time, seed, epoch, shuffle):
    """The windows of an epoch: batches of sequences in random order, each from its first step to its last.

    Within a batch the longest come first, so that the sequences that share a tape end together.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(lengths)) if shuffle else np.arange(len(lengths))
    found = []
    for first in range(0, len(order), batch):
        chosen = order[first:first + batch]
        chosen = chosen[np.argsort(-lengths[chosen], kind="stable")]
        for start in range(0, int(lengths[chosen[0]]), time):
            found.append(Window(chosen, start, min(time, int(lengths[chosen[0]]) - start), fresh=start == 0))
    return found

"""What a consumer has seen of each stream: repeats are dropped, gaps are noted. No sockets here."""


class Inbox:
    """`gaps`: (stream, first, last) of seqs that never came, the last `keep` of them; `missed` counts all."""

    def __init__(self, keep=10_000):
        self.received = self.repeats = self.missed = 0
        self.gaps = []
        self._keep, self._last = keep, {}

    def take(self, result):
        """Is this result new? If it leaves some out, the gap as (first, last) as well."""
        self.received += 1
        if result.seq is None:
            return True, None
        key = result.model, result.stream
        last = self._last.get(key)
        if last is not None and result.seq <= last:
            self.repeats += 1
            return False, None
        self._last[key] = result.seq
        if last is None or result.seq == last + 1 or result.jump:
            return True, None  # a jump is the producer's: nothing was published in between
        gap = last + 1, result.seq - 1
        self.missed += gap[1] - gap[0] + 1
        self.gaps = [*self.gaps[-self._keep + 1:], (result.stream, *gap)]
        return True, gap

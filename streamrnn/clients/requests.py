"""Requests under way, by their tags; shared by the clients with and without asyncio."""
import itertools

from streamrnn.clients import wire
from streamrnn.errors import ServerRefused


class Requests:
    """`waiting`: what has been sent and not answered, {tag: whatever the caller keeps there}."""

    def __init__(self):
        self.waiting = {}
        self._tags = itertools.count(1)

    def tag(self, keep):
        tag = next(self._tags)
        self.waiting[tag] = keep
        return tag

    def answered(self, frame):
        """(what was kept for it, result or exception) of a reply; None for one that nobody waits for any more."""
        reply = wire.unpacked(frame)
        keep = self.waiting.pop(reply.get("tag"), None)
        if keep is None:
            return None
        try:
            return keep, wire.understood(reply)
        except ServerRefused as error:
            return keep, error


def silent(endpoint, timeout):
    return (f"{endpoint} did not answer within {timeout:g} s: is the server running (streamrnn serve), is this its --listen endpoint, "
            "and do both sides use keys or neither?")

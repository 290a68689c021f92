"""The outbox against a server that crashes, forgets and loses replies at any moment: every output once, in order, none lost."""
from collections import deque

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamrnn.clients.inbox import Inbox
from streamrnn.clients.outbox import Outbox
from streamrnn.clients.wire import Result
from streamrnn.errors import BufferFull


class Server:
    """Steps what comes in, makes some of it durable, and crashes."""

    def __init__(self):
        self.last, self.durable, self.history = {}, {}, {}

    def take(self, stream, seq):
        """The seq that is answered: a duplicate gets the last one."""
        last = self.last.get(stream, 0)
        if seq > last:
            assert seq == last + 1, "a sample reached the server ahead of one it lacks"
            self.last[stream] = seq
            self.history.setdefault(stream, []).append(seq)
        return self.last[stream]

    def crash(self):
        self.last = dict(self.durable)


actions = st.lists(st.tuples(st.sampled_from(["add", "add", "send", "step", "step", "answer", "answer", "commit", "ask", "break", "crash"]),
                             st.sampled_from("abc")), max_size=200)


@settings(max_examples=400, deadline=None)
@given(actions)
@example([("add", "a"), ("send", "a"), ("step", "a"), ("answer", "a"), ("crash", "a")])
def test_outputs_come_exactly_once_whatever_happens(actions):
    server, outbox = Server(), Outbox(1000)
    for stream in "abc":
        outbox.know(stream, 0)
    wire, replies, outputs = deque(), deque(), {stream: [] for stream in "abc"}

    def reconnect():
        wire.clear()
        replies.clear()
        outbox.start_over(dict(server.durable), {stream: server.last.get(stream, 0) for stream in "abc"}, True)

    def act(action, stream):
        if action == "add":
            outbox.add(stream, (stream, outbox.next_seq(stream)))
        elif action == "send":
            wire.extend(outbox.frames(3))
        elif action == "step" and wire:
            of, seq = wire.popleft()
            replies.append((of, server.take(of, seq)))
        elif action == "answer" and replies:
            of, seq = replies.popleft()
            if outbox.result(of, seq):
                outputs[of].append(seq)
        elif action == "commit":
            server.durable[stream] = server.last.get(stream, 0)
        elif action == "ask":
            outbox.durable(dict(server.durable))
        elif action == "break":
            reconnect()
        elif action == "crash":
            server.crash()
            reconnect()

    for action, stream in actions:
        act(action, stream)
    reconnect()
    while outbox.unanswered or any(server.last.get(stream, 0) < outbox.next_seq(stream) - 1 for stream in "abc"):
        # and in the end all of it comes through, what was answered and then lost in a crash as well
        for action in ("send", "step", "answer"):
            act(action, "a")
    for stream in "abc":
        assert outputs[stream] == list(range(1, outbox.next_seq(stream)))
        server.durable[stream] = server.last.get(stream, 0)
    outbox.durable(dict(server.durable))
    assert outbox.count == 0 and outbox.gaps == [] and outbox.lost == []


def test_a_larger_window_reports_what_a_crash_takes():
    outbox = Outbox(100, window=5)
    outbox.know("a", 0)
    for seq in range(1, 6):
        outbox.add("a", seq)
    assert outbox.frames() == [1, 2, 3, 4, 5]
    outbox.start_over({"a": 3}, {"a": 3}, True)       # 1 to 3 were stepped and durable, but no reply came
    assert outbox.frames() == [1, 2, 3, 4, 5]
    assert outbox.result("a", 3) and outbox.gaps == [("a", 1, 2)]
    assert outbox.result("a", 4) and outbox.result("a", 5) and not outbox.result("a", 5)


def test_the_limit_and_what_a_server_has_forgotten():
    outbox = Outbox(2)
    outbox.know("a", 10)
    outbox.add("a", "x")
    outbox.add("a", "y")
    with pytest.raises(BufferFull, match="2"):
        outbox.add("a", "z")
    assert outbox.frames() == ["x"] and outbox.result("a", 11)
    outbox.durable({"a": 11})
    outbox.start_over({"a": 0}, {"a": 0}, True)
    assert outbox.lost == [("a", 1, 11)] and outbox.frames() == ["y"]


def test_an_inbox_drops_repeats_and_notes_gaps():
    inbox = Inbox(keep=2)
    take = lambda seq, stream="a", **more: inbox.take(Result(stream, None, seq, **more))
    assert take(5) == (True, None) and take(6) == (True, None) and take(6) == (False, None) and take(2) == (False, None)
    assert take(9) == (True, (7, 8)) and take(1, "b") == (True, None) and take(20, jump=True) == (True, None)
    assert inbox.take(Result("c", None)) == (True, None)
    assert (inbox.received, inbox.repeats, inbox.missed, inbox.gaps) == (8, 2, 2, [("a", 7, 8)])
    for seq in range(30, 60, 5):
        take(seq)
    assert len(inbox.gaps) == 2 and inbox.missed > 20

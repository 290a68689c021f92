"""The host's end of the talk, compiled, with a Python thread in the kernel's place."""
import threading
from importlib.util import find_spec

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")


class Talk:
    def __init__(self, inputs=3, outputs=2, tokens=0):
        from streamrnn import jit
        from streamrnn.cuda import talk

        for kernel in (talk.ask, talk.answer, talk.first_wrong):
            jit.ready(kernel)
        self.inbox, self.outbox = np.zeros(1 + inputs, np.int64), np.zeros(1 + outputs, np.int64)
        self.sample, self.result = np.zeros(inputs, np.float32), np.zeros(outputs, np.float32)
        self.machine = np.array([*(a.ctypes.data for a in (self.inbox, self.outbox, self.sample, self.result)), inputs, outputs, tokens])

    def ask(self, x, step=1, launch=1, turns=10):
        from streamrnn.cuda import talk
        self.sample[:] = x
        return talk.ask(self.machine.ctypes.data, step, launch, turns)


def test_a_sample_goes_as_words_and_the_answer_comes_as_words():
    from streamrnn.cuda.signals import word
    from streamrnn.cuda.talk import ANSWERED, ENDED, WAITING, answer

    talk = Talk()
    assert talk.ask([1.5, -2, 0], step=7) == WAITING
    assert list(talk.inbox) == [0, word(7, 1.5), word(7, -2.0), word(7, 0.0)]
    talk.outbox[:] = 0, word(7, 4.0), word(6, 5.0)  # a part of the answer is none
    assert answer(talk.machine.ctypes.data, 7, 1, 10) == WAITING
    talk.outbox[0] = word(1, 0.0)
    assert answer(talk.machine.ctypes.data, 7, 1, 10) == ENDED
    assert answer(talk.machine.ctypes.data, 7, 2, 10) == WAITING  # an older launch has ended: no news
    talk.outbox[2] = word(7, -0.5)
    assert answer(talk.machine.ctypes.data, 7, 1, 10) == ANSWERED
    np.testing.assert_array_equal(talk.result, [4, -0.5])


@pytest.mark.parametrize("tokens, x, fine", [(0, np.nan, False), (0, np.inf, False), (-1, np.nan, True), (-1, np.inf, False),
                                             (5, 4, True), (5, 5, False), (5, 0.5, False)])
def test_what_a_model_does_not_take_is_not_posted(tokens, x, fine):
    from streamrnn.cuda.talk import REFUSED, first_wrong

    talk = Talk(tokens=tokens)
    assert (talk.ask([1, x, 2]) != REFUSED) == fine
    assert bool(talk.inbox.any()) == fine
    two = np.array([[1, 1, 2], [1, x, 2]], np.float32)
    assert first_wrong(two.ctypes.data, 2, 3, tokens) == (-1 if fine else 1)


def test_it_sees_what_another_thread_writes_meanwhile():
    from streamrnn.cuda.signals import word
    from streamrnn.cuda.talk import ANSWERED

    talk = Talk()

    def kernel():
        while talk.inbox[3] == 0:
            pass
        talk.outbox[1:] = word(1, 1.0), word(1, 2.0)

    thread = threading.Thread(target=kernel)
    thread.start()
    assert talk.ask([1, 2, 3], turns=1 << 40) == ANSWERED
    thread.join()

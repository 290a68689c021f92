"""Everything streamrnn raises on purpose: one tree, each message says what was expected, what came and what to do.

StreamRNNError
├── ConfigError (ValueError)      a model or an engine that cannot be built
├── InputError (ValueError)       a sample, batch or id of the wrong width, kind or value; nothing was stepped
├── StateError (ValueError)       a state row or snapshot that belongs to another model
├── UnknownStream (LookupError)   an id the engine has never seen, or a handle whose stream was closed
├── EngineFull                    a new stream, and no slot left for it
├── EngineBusy (RuntimeError)     two threads in one engine at once
├── FileError (ValueError)        a model or snapshot file that is truncated, changed or foreign
├── StoreFailed                   a server's state file that cannot be written: a full disk, no permission, held by another server
├── ServerRefused                 a server's error reply: its code, detail, stream and seq
├── TimedOut (TimeoutError)       a server, or a kernel that waits for samples, that did not answer in time
├── BufferFull                    a producer whose samples are neither answered nor durable yet, and no room for another
├── Diverged (ArithmeticError)    a training whose loss is no longer finite: the message says where, and what to do
├── NoDevice (RuntimeError)       device="cuda" where no GPU can be used: the message says what is missing
└── MissingExtra (ImportError)    an optional package is needed: the message has its install command
"""


class StreamRNNError(Exception):
    """The root: catch this to catch everything streamrnn raises on purpose."""


class ConfigError(StreamRNNError, ValueError):
    """A model or an engine that cannot be built."""


class InputError(StreamRNNError, ValueError):
    """A sample, batch or id of the wrong width, kind or value; nothing was stepped."""


class StateError(StreamRNNError, ValueError):
    """A state row or snapshot that belongs to another model."""


class UnknownStream(StreamRNNError, LookupError):
    """An id the engine has never seen, or a handle whose stream was closed."""


class EngineFull(StreamRNNError):
    """A new stream, and no slot left for it."""


class EngineBusy(StreamRNNError, RuntimeError):
    """Two threads in one engine or stream at once."""


class FileError(StreamRNNError, ValueError):
    """A model or snapshot file that is truncated, changed or foreign."""


class StoreFailed(StreamRNNError):
    """A server's state file that cannot be written: a full disk, no permission, held by another server."""


class ServerRefused(StreamRNNError):
    """A server's error reply: `code`, `detail`, and the `stream` and `seq` it is about, if it said so."""

    def __init__(self, code, detail, stream=None, seq=None):
        where = "" if stream is None else f" (stream {stream!r}{'' if seq is None else f', seq {seq}'})"
        super().__init__(f"{code}: {detail}{where}")
        self.code, self.detail, self.stream, self.seq = code, detail, stream, seq

    def __reduce__(self):
        return type(self), (self.code, self.detail, self.stream, self.seq)


class TimedOut(StreamRNNError, TimeoutError):
    """A server, or a kernel that waits for samples, that did not answer in time."""


class BufferFull(StreamRNNError):
    """A producer whose samples are neither answered nor durable yet, and no room for another."""


class Diverged(StreamRNNError, ArithmeticError):
    """A training whose loss is no longer finite: the message says where, and what to do."""


class NoDevice(StreamRNNError, RuntimeError):
    """device="cuda" where no GPU can be used: the message says what is missing."""


class MissingExtra(StreamRNNError, ImportError):
    """An optional package is needed: the message has its install command."""

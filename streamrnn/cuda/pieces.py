"""Pieces of a kernel put together when it is made: one of several by a number, and tuples of as many values as a stage has."""
from streamrnn.jit import inline


def by_kind(pieces):
    """do(kind, ...): the piece of that number, of [(number, piece)]; the last one's is not looked at."""
    (number, first), rest = pieces[0], pieces[1:]
    if not rest:
        return inline(lambda kind, *arguments: first(*arguments))
    others = by_kind(rest)

    @inline
    def do(kind, *arguments):
        if kind == number:
            first(*arguments)
        else:
            others(kind, *arguments)
    return do


def each(count, one):
    """all(...): (one(0, ...), ..., one(count - 1, ...))"""
    if count == 0:
        return inline(lambda *arguments: ())
    before, last = each(count - 1, one), count - 1
    return inline(lambda *arguments: before(*arguments) + (one(last, *arguments),))

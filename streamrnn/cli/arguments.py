"""What the commands share: arguments that are checked as they are read, and counts in words."""
import argparse
import math


def whole(text):
    """An argument that is a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of 1 or more, got {text!r}")
    return int(text)


def natural(text):
    """An argument that is a whole number of 0 or more."""
    return 0 if text == "0" else whole(text)


def seconds(text):
    """An argument that is a time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0, got {text!r}")
    return value


def counted(number, noun):
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

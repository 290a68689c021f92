"""One process at a time: a side file that SQLite holds locked. The operating system lets go of it when the process dies."""
import os
import sqlite3

from streamrnn.errors import StoreFailed


class Lock:
    """Holds `path` with ".lock" behind it until `release`, or refuses at once. The empty side file stays where it is."""

    def __init__(self, path):
        side = f"{path}.lock"
        try:
            # made here, for this user only; never opened again but by SQLite: closing it would let go of a lock that we hold
            os.close(os.open(side, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise StoreFailed(f"{side} cannot be made ({error.strerror}): keep the state in a folder that this user can write") from None
        self._db = None
        try:
            self._db = sqlite3.connect(side, isolation_level=None, timeout=0, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=MEMORY")  # nothing is ever written here: no second side file
            self._db.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            self.release()
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise StoreFailed(f"{path} is in use by another server: stop that one, or keep the state elsewhere") from None
            raise StoreFailed(f"{side} cannot be locked ({error}): it must be an empty file, on a local disk, that this user can "
                              "write") from None

    def release(self):
        if self._db:
            self._db.close()

"""What keeps the server standing: refusals with codes, a rate for each client, and turns."""

import collections
import contextlib
import threading
import time

MOST_BODY = 8 * 2**20
MOST_TARGET, MOST_HEAD, MOST_HEADERS = 2**15, 2**16, 100
MOST_CONNECTIONS = 64
# Seconds: without a byte where one is due, for a whole body, and after a refusal.
SILENCE, BODY_TIME, LINGER = 30, 20, 2

# Every code that an answer can have, with its HTTP status and its meaning; the schema lists them.
CODES = {
    "bad_request": (400, "the request is no well-formed HTTP, JSON or query"),
    "bad_field": (400, "a field is unknown, missing or has a value that is not allowed"),
    "bad_label": (400, "the label map cannot be read or does not fit the label spec"),
    "cross_site": (403, "a page of another site sent the request"),
    "not_found": (404, "there is nothing at this path"),
    "wrong_method": (405, "the path exists, for the methods named in Allow"),
    "too_slow": (408, "the request did not arrive in time"),
    "no_length": (411, "a body must come with Content-Length, not in chunks"),
    "too_large": (413, "the body or the picture is too large"),
    "long_path": (414, "the path is too long"),
    "wrong_type": (415, "the Content-Type is not one of those that the path takes"),
    "wrong_host": (421, "the Host header names another host than this server"),
    "too_many": (429, "this client asks too often; Retry-After says when to come again"),
    "long_headers": (431, "the headers are too long or too many"),
    "internal": (500, "a fault of the program; the server's own output has its traceback"),
    "busy": (503, "too many requests wait; Retry-After says when to come again"),
    "wrong_version": (505, "the version of HTTP is not known"),
}


class Refusal(Exception):
    """A request that is not done: a code of CODES, a message for people, seconds to wait or 0."""

    def __init__(self, code, message, wait=0.0):
        super().__init__(message)
        self.code, self.message, self.wait = code, message, wait

    @property
    def status(self):
        """HTTP status."""
        return CODES[self.code][0]


class Rate:
    """Lets each client ask for `rate` images a second, and `burst` at once after a pause.

    Args:
        rate: images a second.
        burst: images at once.
        most_clients: clients that are remembered; the one that came longest ago is forgotten.
    """

    def __init__(self, rate, burst, most_clients=1024):
        self.rate, self.burst, self.most_clients = rate, burst, most_clients
        self._left = collections.OrderedDict()
        self._lock = threading.Lock()

    def take(self, client, cost=1, now=None):
        """Takes `cost` images from what the client may have.

        Raises:
            Refusal: too_many, with the seconds until there are enough.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            left, then = self._left.pop(client, (self.burst, now))
            left = min(self.burst, left + (now - then) * self.rate)
            enough = left >= cost
            self._left[client] = (left - cost if enough else left, now)
            while len(self._left) > self.most_clients:
                self._left.popitem(last=False)
        if not enough:
            message = f"more than {self.rate:g} images a second, {self.burst:g} at once"
            raise Refusal("too_many", message, (cost - left) / self.rate)


class Turns:
    """One at a time, in the order of coming; a few may wait.

    Args:
        most_waiting: how many may wait, beside the one whose turn it is.
        patience: seconds after which one that waits gives up.
    """

    def __init__(self, most_waiting=16, patience=60.0):
        self.most_waiting, self.patience = most_waiting, patience
        self._line = collections.deque()
        self._moved = threading.Condition()
        self._closed = False

    @property
    def waiting(self):
        """How many have the turn or wait for it."""
        return len(self._line)

    def close(self):
        """Sends away who waits and who comes; who has the turn keeps it."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()

    @contextlib.contextmanager
    def turn(self):
        """Waits for the turn and holds it.

        Raises:
            Refusal: busy, at once if too many wait or the turns are closed, else when patience is
                at its end.
        """
        me = object()
        with self._moved:
            if len(self._line) > self.most_waiting:
                raise Refusal("busy", f"{len(self._line)} requests wait already", 1.0)
            self._line.append(me)
        try:
            with self._moved:
                came = self._moved.wait_for(
                    lambda: self._closed or self._line[0] is me, self.patience
                )
                if self._closed:
                    raise Refusal("busy", "the server is stopping", 5.0)
                if not came:
                    raise Refusal("busy", f"no turn within {self.patience:g} s", 5.0)
            yield
        finally:
            with self._moved:
                self._line.remove(me)
                self._moved.notify_all()

"""uvicorn's protocol for a server that strangers reach: with ends to its patience.

uvicorn gives up idle connections between two requests only, and says what is wrong in plain text.
"""

import http
import sys

import h11
from uvicorn.protocols.http import h11_impl

from usis_jax.serving import limits
from usis_jax.serving.limits import Refusal
from usis_jax.serving.responses import Refused

# h11's hints where they are not 400.
_HINTS = {431: "long_headers", 501: "no_length"}


class Protocol(h11_impl.H11Protocol):
    """One connection; requests come one after the other."""

    _refused = False
    _head = _writing = None

    def connection_made(self, transport):
        """Waits for the first request; beyond so many connections, says that it is busy."""
        super().connection_made(transport)
        # Whatever the client has not taken yet counts as waiting for it.
        transport.set_write_buffer_limits(0)
        if len(self.connections) > limits.MOST_CONNECTIONS:
            self._refuse(Refusal("busy", "too many connections", 0.5))
        else:
            self._head = self._end_in(limits.SILENCE)

    def data_received(self, data):
        """Reads on; a head that has begun must come to its end in time."""
        if self._refused:
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head = _cancelled(self._head)
        elif self._head is None:
            self._head = self._end_in(limits.SILENCE)

    def eof_received(self):
        """Answers a client that sends no more but still reads.

        Returns:
            whether the connection stays open for it.
        """
        cycle = self.cycle
        if self._refused or cycle is None or cycle.response_complete:
            return False
        if cycle.more_body:
            if not cycle.response_started:
                self._refuse(Refusal("bad_request", "the body ended before its Content-Length"))
            return False
        cycle.keep_alive = False
        return True

    def pause_writing(self):
        """Waits for a client that is slow to take its answer."""
        super().pause_writing()
        self._writing = self._end_in(limits.SILENCE)

    def resume_writing(self):
        """The client has taken everything."""
        super().resume_writing()
        self._writing = _cancelled(self._writing)

    def connection_lost(self, exc):
        """Waits for nothing any more."""
        super().connection_lost(exc)
        self._head, self._writing = _cancelled(self._head), _cancelled(self._writing)

    def send_400_response(self, msg):
        """What h11 finds in a request becomes a documented error; uvicorn calls this for it."""
        error, cycle = sys.exception(), self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.close()
            return
        code = _HINTS.get(getattr(error, "error_status_hint", 400), "bad_request")
        self._refuse(Refusal(code, f"{limits.CODES[code][1]} ({str(error or msg)[:80]})"))

    def _refuse(self, refusal):
        """Answers past uvicorn; lets the client send the rest, so that it comes to read that."""
        self._refused = True
        self.connections.discard(self)
        if self.cycle is not None:
            # Nothing that is under way for this client may answer too.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_written(refusal))
        self.transport.write_eof()
        self._end_in(limits.LINGER)

    def _end_in(self, seconds):
        return self.loop.call_later(seconds, self.transport.abort)


def _cancelled(timer):
    """None, for a timer that is no longer needed."""
    if timer is not None:
        timer.cancel()


def _written(refusal):
    """The refusal as bytes of HTTP."""
    answer = Refused(refusal)
    phrase = http.HTTPStatus(refusal.status).phrase.encode()
    head = [b"HTTP/1.1 %d %s" % (refusal.status, phrase)]
    head += [b"%s: %s" % pair for pair in answer.raw_headers]
    return b"\r\n".join([*head, b"", answer.body])

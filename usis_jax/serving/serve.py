"""Runs the demo: loads a generator, compiles ahead, serves until it is told to stop."""

import signal
import threading
import webbrowser

from usis_jax.serving import examples, interactive, server


def serve(generator, host="127.0.0.1", port=8000, allowed_hosts=(), open_page=False):
    """Serves the page until Ctrl-C or SIGTERM.

    The size of training is compiled before the page is announced; the other sizes afterwards,
    while images are generated.

    Args:
        generator: Generator.
        host, port, allowed_hosts: as of `server.Server`.
        open_page: whether to open the page in the browser.
    Returns:
        dict of url and step.
    Raises:
        UserError: the address cannot be listened at.
    """
    sampler = interactive.InteractiveSampler(generator)
    with server.Server(
        sampler, examples.label_maps(generator), host, port, allowed_hosts
    ) as listening:
        stop = threading.Event()
        first, *others = sampler.programs()
        print(f"checkpoint {generator.step}; compiling for {first[1]} x {first[0]} ...", flush=True)
        sampler.prepare(first)
        compiling = threading.Thread(target=_prepare, args=(sampler, others, stop), daemon=True)
        with _stopping(stop):
            listening.start()
            compiling.start()
            print(f"demo at {listening.url}  (Ctrl-C stops)", flush=True)
            if not host.startswith("127.") and host not in ("localhost", "::1", "[::1]"):
                print(f"everybody who reaches {host} can use it: there is no login", flush=True)
            if open_page:
                webbrowser.open(listening.url)
            stop.wait()
            print("stopping", flush=True)
            listening.stop()
            # The compiler cannot be interrupted, and must not run while Python ends.
            compiling.join()
        return {"url": listening.url, "step": int(generator.step)}


def _prepare(sampler, programs, stop):
    for program in programs:
        if stop.is_set():
            return
        sampler.prepare(program)


class _stopping:
    """Turns the first SIGINT or SIGTERM into an event; a second one ends the process at once."""

    def __init__(self, stop):
        self._stop, self._old = stop, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._note)

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        # Python's own answer to Ctrl-C would wait for the compiler, or end in the middle of it.
        for each in self._old:
            signal.signal(each, signal.SIG_DFL)
        self._stop.set()

"""What a person sees of a run: losses and rates, a line an interval, and a progress bar."""

import contextlib
import sys
import time

import tqdm

_SHOWN = {
    "speed/images_per_second": "{:.3g} images/s",
    "speed/memory_gib": "{:.1f} GiB",
    "speed/device_memory_gib": "{:.1f} GiB of the device",
}


class Progress:
    """What a person sees of a run: a line an interval, and on a terminal a bar below.

    Args:
        start: int, step at which the bar begins.
        steps: int, step at which it ends.
        batch_size: int, images a step, for the rate.
        shown: False shows nothing.
        terminal: whether there is one, for bars; None asks the system.
        lines: name of a number -> how the line shows it, a format string, in their
            order; empty where it does not.
    """

    def __init__(self, start, steps, batch_size, shown=True, terminal=None, lines=None):
        self._batch_size, self._end, self._shown = batch_size, steps, shown
        self._lines = {name: line for name, line in (lines or {}).items() if line} | _SHOWN
        terminal = sys.stderr.isatty() if terminal is None else terminal
        self._bar = tqdm.tqdm(
            total=steps,
            initial=start,
            disable=not (shown and terminal),
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5,
        )
        self._steps, self._seconds = 0, 0.0
        self.restart(start)

    def restart(self, step):
        """Starts the clocks at a step, leaving out what came before."""
        self._first = self._last = (step, time.perf_counter())

    def advance(self):
        """Moves the bar by one step."""
        self._bar.update(1)

    def rates(self, step):
        """Returns {"speed/steps_per_second", "speed/images_per_second"} since the last call.

        Empty when the clock was started at this step or later.
        """
        last, began = self._last
        if step <= last:
            return {}
        self._last = (step, time.perf_counter())
        self._steps += step - last
        elapsed = self._last[1] - began
        self._seconds += elapsed
        rate = (step - last) / max(elapsed, 1e-9)
        return {
            "speed/steps_per_second": rate,
            "speed/images_per_second": rate * self._batch_size,
        }

    @contextlib.contextmanager
    def aside(self):
        """Stops the clock of the rate, while grids are generated and states saved."""
        begun = time.perf_counter()
        yield
        step, last = self._last
        self._last = (step, last + time.perf_counter() - begun)

    def inner(self, total, what):
        """Returns a bar of its own for work between two steps, shown if it takes a while.

        Args:
            total: int, images.
            what: text before it.
        """
        return tqdm.tqdm(
            total=total, desc=what, unit="image", leave=False, delay=2, position=1,
            disable=self._bar.disable, dynamic_ncols=True,
        )  # fmt: skip

    def overall(self):
        """Returns {"steps_per_second", "images_per_second"} over all rates, or None for each."""
        rate = self._steps / self._seconds if self._steps > 0 else None
        images = None if rate is None else rate * self._batch_size
        return {"steps_per_second": rate, "images_per_second": images}

    def left(self, step):
        """Seconds to the last step at the pace since the start, evaluations and all; or None."""
        first, began = self._first
        if step <= first:
            return None
        return (self._end - step) * (time.perf_counter() - began) / (step - first)

    def show(self, step, values):
        """Prints one line: losses, diagnostics, rate, time left and memory.

        Args:
            step: int.
            values: dict of floats: means over the interval, rates and memory.
        """
        shown = {name: line.format(values[name])
                 for name, line in self._lines.items() if name in values}  # fmt: skip
        losses = [text for name, text in shown.items() if name.startswith("loss_")]
        texts = [f"step {step:,}/{self._end:,}", ", ".join(losses)]
        texts += [text for name, text in shown.items() if not name.startswith("loss_")]
        left = self.left(step)
        if left is not None:
            texts.append(f"{tqdm.tqdm.format_interval(left)} left")
        self.say(" | ".join(filter(None, texts)))

    def say(self, text):
        """Prints one line, above the bar if there is one."""
        if self._shown:
            tqdm.tqdm.write(text, file=sys.stderr)

    def close(self):
        """Ends the bar."""
        self._bar.close()

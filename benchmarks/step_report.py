"""Ratios and the printed table of benchmarks.step and benchmarks.sample."""

import os
import pathlib
import platform

REFERENCE = "published"


def machine() -> dict:
    """Processor, cores that may be used, and memory."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
    }


def ratios(result: dict) -> dict:
    """How many times as fast ours are, by medians, and their share of PyTorch's memory.

    Args:
      result: of benchmarks.step, with "contenders".

    Returns:
      "speedup_over_eager", "speedup_over_attached", "speedup_over_tuned" (each rule -> ratio of
      amortised seconds), "best_tuned", "memory_over_eager" and "warm_over_cold"; those that were
      not measured are left out.
    """
    own = result["contenders"]
    seconds = {
        name: one["seconds"]["amortised"]["median"] for name, one in own.items() if "seconds" in one
    }
    ours = [name for name in ("alternating", "joint") if name in seconds]
    tuned = [name for name in seconds if name.startswith("tuned")]
    found = {}
    for key, name in (
        ("eager", REFERENCE),
        ("attached", f"{REFERENCE}-attached"),
        ("tuned", min(tuned, key=seconds.get, default=None)),
    ):
        if name in seconds and ours:
            found[f"speedup_over_{key}"] = {rule: seconds[name] / seconds[rule] for rule in ours}
    if tuned:
        found["best_tuned"] = min(tuned, key=seconds.get)
    if REFERENCE in seconds and ours:
        eager = own[REFERENCE]["peak_mib"]
        found["memory_over_eager"] = {rule: own[rule]["peak_mib"] / eager for rule in ours}
    starts = {name: one["start"] for name, one in own.items() if len(one.get("start", ())) == 2}
    if starts:
        found["warm_over_cold"] = {
            name: start["warm"]["first_step"] / start["cold"]["first_step"]
            for name, start in starts.items()
        }
    return found


def text(result: dict) -> str:
    """The results of benchmarks.step in words."""
    plan, machine_ = result["plan"], result["machine"]
    rows = [
        f"{result['setting']}: {plan['height']}x{plan['width']}, batch {plan['batch']}, "
        f"K = {plan['classes']}, generator width {plan['generator']['width']}, decoder "
        f"{'yes' if plan['decoder'] else 'no'}; {machine_['processor']}, "
        f"{machine_['cores']} cores",
        f"{'seconds a step':30s}{'median':>9s}{'min':>9s}{'with R1':>9s}{'amortised':>11s}"
        f"{'processor':>11s}{'peak MiB':>10s}{'idle':>7s}",
    ]
    for name, own in result["contenders"].items():
        if "seconds" not in own:
            continue
        plain, penalised = own["seconds"]["plain"], own["seconds"]["r1"]
        rows.append(
            f"  {name:28s}{plain['median']:9.3f}{plain['min']:9.3f}"
            f"{penalised['median']:9.3f}{own['seconds']['amortised']['median']:11.3f}"
            f"{own['processor_seconds']['median']:11.3f}"
            f"{own['peak_mib']:10.0f}{own['idle_processor_share']:7.1%}"
        )
    rows += [f"{name}: {reason}" for name, reason in result["failed"].items()]
    rows += _ratio_rows(result) + _start_rows(result) + _flop_rows(result) + _part_rows(result)
    return "\n".join(rows)


def _ratio_rows(result):
    rows = []
    titles = {
        "speedup_over_eager": "times as fast as published",
        "speedup_over_attached": "times as fast as published-attached",
        "speedup_over_tuned": f"times as fast as {result.get('best_tuned')}",
        "memory_over_eager": "of published's peak memory",
    }
    for key, title in titles.items():
        if key in result:
            values = ", ".join(f"{rule} {value:.2f}" for rule, value in result[key].items())
            rows.append(f"{values} {title}")
    return rows


def _start_rows(result):
    rows = []
    for name, own in result["contenders"].items():
        for heat, seconds in own["start"].items():
            phases = ", ".join(
                f"{phase} {value:.1f}"
                for phase, value in seconds.items()
                if phase not in ("first_step", "both_kinds")
            )
            rows.append(
                f"{name}, {heat} start: first step after {seconds['first_step']:.1f} s "
                f"({phases}), peak {own['start_peak_mib'][heat]:.0f} MiB"
            )
    for name, ratio in result.get("warm_over_cold", {}).items():
        rows.append(f"{name}: a warm start takes {ratio:.2f} of a cold one")
    return rows


def _flop_rows(result):
    rows = []
    for name, own in result["contenders"].items():
        if own.get("flops"):
            counts = ", ".join(f"{kind} {value / 1e9:,.0f}" for kind, value in own["flops"].items())
            rows.append(f"GFLOP a step by XLA's count, {name}: {counts}")
    for name, counts in ((result["twin_flops"] or {}).get("steps", {})).items():
        rows.append(
            f"GFLOP a step by PyTorch's count, {name}: plain {counts['plain'] / 1e9:,.0f}, "
            f"r1 {counts['r1'] / 1e9:,.0f}"
        )
    return rows


def _part_rows(result):
    measured = {name: own["parts"] for name, own in result["contenders"].items() if own["parts"]}
    rows = []
    for name, own in result["contenders"].items():
        if own.get("players"):
            shares = ", ".join(
                f"{player} {value['median']:.3f}" for player, value in own["players"].items()
            )
            rows.append(f"seconds in a step of {name}: {shares}")
    if measured:
        names = list(measured)
        rows.append(f"{'seconds of a part alone':30s}" + "".join(f"{n[:16]:>18s}" for n in names))
        flops = (result["twin_flops"] or {}).get("parts", {})
        for part in measured[names[0]]:
            values = "".join(
                f"{measured[name][part]['median']:18.3f}"
                if part in measured[name]
                else f"{'-':>18s}"
                for name in names
            )
            count = f"{flops[part] / 1e9:10,.0f} GFLOP" if flops.get(part) else ""
            rows.append(f"  {part:28s}{values}{count}")
    return rows

"""Runs a profile's stages with Locust and reports progress every few seconds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil
from gevent.event import Event
from locust.contrib.fasthttp import FastResponse
from locust.env import Environment

from tools.benchmarks.load.caller import ANSWER_SECONDS, Caller, Traffic
from tools.benchmarks.load.measurements import Figures, Measurements
from tools.benchmarks.load.memory import MemorySamples
from tools.benchmarks.load.profile import Profile, Stage

PROGRESS_SECONDS = 5.0
SILENCE_SECONDS = 10.0
"""A run ends after so long without a response to any request."""
_MEMORY_SECONDS = 2.0


@dataclass
class Run:
    """A run and its results.

    Attributes:
        profile: the profile.
        stages: the stages that began, with the second at which each began.
        seconds: duration.
        is_complete: whether all stages ran to their end.
        silent_since: second from which no request got a response; None if the last one did.
    """

    profile: Profile
    measurements: Measurements = field(default_factory=Measurements)
    memory: MemorySamples = field(default_factory=MemorySamples)
    stages: list[tuple[float, Stage]] = field(default_factory=list)
    seconds: float = 0.0
    is_complete: bool = False
    silent_since: float | None = None

    @property
    def growing(self) -> Sequence[str]:
        """Kinds of processes that grew more than the profile allows."""
        most = self.profile.allowed_growth
        figures = self.memory.sum_up() if most is not None else {}
        return [kind for kind, entry in figures.items() if most is not None and entry.slope > most]

    @property
    def has_ended(self) -> bool:
        """Whether the API has stopped answering."""
        return self.silent_since is not None and self.seconds - self.silent_since >= SILENCE_SECONDS

    @property
    def has_failed(self) -> bool:
        """Whether errors or growth exceed what the profile allows."""
        total = self.measurements.sum_up()
        return not total.requests or total.error_share > self.profile.allowed_errors or bool(self.growing)


def run_profile(
    url: str,
    profile: Profile,
    traffic: Traffic,
    *,
    engine: psutil.Process | None,
    stop: Event,
    show: Callable[[str], None],
) -> Run:
    """Run a profile and return the results.

    Args:
        url: URL of the API.
        profile: the profile.
        traffic: state that the callers share.
        engine: process whose memory is sampled; None for a deployed API.
        stop: ends the run early when set.
        show: is called with a line of progress.
    """
    run = Run(profile)
    environment = Environment(user_classes=[Caller], host=url, stop_timeout=ANSWER_SECONDS)
    Caller.traffic = traffic
    runner = environment.create_local_runner()
    began = time.perf_counter()

    def note_request(
        *, name: str, response_time: float, exception: Exception | None, response: FastResponse, **_: object
    ) -> None:
        problem = None if exception is None else str(exception)
        now = time.perf_counter() - began
        run.measurements.add(name, now, response_time, problem)
        if response.status_code:
            run.silent_since = None
        elif run.silent_since is None:
            run.silent_since = now

    environment.events.request.add_listener(note_request)
    try:
        for stage in profile.stages:
            if stop.is_set() or run.has_ended:
                break
            traffic.stage = stage
            run.stages.append((time.perf_counter() - began, stage))
            runner.start(stage.users, spawn_rate=stage.users)
            _watch(run, began, stage.seconds, engine=engine, stop=stop, show=show)
    finally:
        runner.quit()
    run.seconds = time.perf_counter() - began
    run.is_complete = not stop.is_set() and not run.has_ended
    return run


def _watch(
    run: Run,
    began: float,
    seconds: float,
    *,
    engine: psutil.Process | None,
    stop: Event,
    show: Callable[[str], None],
) -> None:
    """Wait for a stage's end; meanwhile show progress and sample memory."""
    now = time.perf_counter()
    end, next_look = now + seconds, now
    next_line = now + PROGRESS_SECONDS - (now - began) % PROGRESS_SECONDS
    while now < end:
        if engine is not None and now >= next_look:
            run.memory.add(now - began, engine)
            next_look += _MEMORY_SECONDS
        if now >= next_line:
            show(_describe_progress(run, now - began))
            next_line += PROGRESS_SECONDS
        pause = min(end, next_line, next_look if engine else end) - now
        if stop.wait(max(0.0, pause)):
            return
        now = time.perf_counter()
        run.seconds = now - began
        if run.has_ended:
            return


def _describe_progress(run: Run, elapsed: float) -> str:
    total = run.measurements.sum_up()
    recent = run.measurements.sum_up(start=elapsed - PROGRESS_SECONDS)
    rate = recent.requests / PROGRESS_SECONDS
    return (
        f"{elapsed:6.0f} s of {run.profile.seconds:.0f}  {total.requests:7d} requests  {rate:6.1f}/s"
        f"  {total.errors} errors  {_format_latencies(recent)}"
    )


def _format_latencies(figures: Figures) -> str:
    if figures.median is None or figures.p99 is None:
        return "no answer"
    return f"p50 {figures.median:.0f} ms  p99 {figures.p99:.0f} ms"

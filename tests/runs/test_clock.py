import pytest

from rlnas.runs.clock import Clock


def test_each_second_counts_once_under_the_innermost_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock()
    now[0] += 1
    with clock.phase("controller"):
        now[0] += 2
        with clock.phase("evaluation"):
            now[0] += 4
        now[0] += 8
    now[0] += 16
    assert clock.read() == {"rest": 17.0, "controller": 10.0, "evaluation": 4.0}
    assert clock.total == 31.0


def test_a_phase_that_fails_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock()

    def work() -> None:
        with clock.phase("child"):
            now[0] += 3
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        work()
    now[0] += 1
    assert clock.read() == {"rest": 1.0, "child": 3.0}


def test_seconds_of_a_run_before_are_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", lambda: 5.0)
    clock = Clock()
    clock.seconds = {"child": 7.0}
    assert clock.total == 7.0

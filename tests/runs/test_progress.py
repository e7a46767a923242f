import subprocess
import sys

import pytest

from rlnas.runs.progress import Progress, _clock

ROW = {
    "round": 1,
    "child_loss": 1.5,
    "reward_mean": 0.25,
    "random_reward_mean": 0.125,
    "accuracy_best": 0.5,
    "entropy": 0.75,
    "unique_share": 0.875,
    "seconds_child": 1.0,
    "seconds_evaluation": 2.0,
}


def test_plain_lines_say_what_a_round_did(capsys: pytest.CaptureFixture[str]) -> None:
    Progress("plain").round_closed(ROW, scored=30, done=0.5, logged={})
    line = capsys.readouterr().out
    for words in ("round 1", "child loss 1.500", "reward 0.2500 (random 0.1250)", "best so far 0.5000"):
        assert words in line
    assert "entropy 0.750  unique 0.88" in line
    assert "15.0 children/s" in line
    assert "ETA 0:03" in line  # half the budget took three seconds


def test_off_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Progress("off").say("anything")
    assert capsys.readouterr().out == ""


def test_no_escape_codes_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("auto")
    assert list(progress.track(range(3), 3, "round 1")) == [0, 1, 2]
    progress.say("[0.5] is no markup")
    assert capsys.readouterr().out == "[0.5] is no markup\n"


def test_hours_minutes_seconds() -> None:
    assert [_clock(seconds) for seconds in (0, 75, 3600, 3725.4)] == ["0:00", "1:15", "1:00:00", "1:02:05"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_live_bar_on_a_terminal() -> None:
    code = "from rlnas.runs.progress import Progress; p = Progress('auto'); "
    code += "list(p.track(range(2), 2, 'round 7')); p.close()"
    script = f'import pty, sys; sys.exit(pty.spawn([sys.executable, "-c", {code!r}]))'
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "round 7: shared weights" in done.stdout
    assert "\x1b[" in done.stdout

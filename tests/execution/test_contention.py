"""A busy machine is noticed once, and the option that helps is named."""

from types import SimpleNamespace

import pytest

from rlnas.execution.contention import Contention


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_that_waits_for_its_cores_says_so_once(
    threads: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the option to set where more than one thread waits."""
    shares = [None, 0.05, 0.6, 0.7]
    contention = Contention(threads)
    monkeypatch.setattr(contention, "waiting", SimpleNamespace(share=lambda: shares.pop(0)))
    contention.notice()
    contention.notice()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    contention.notice()
    contention.notice()
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "60 %" in record.getMessage()
    assert ("execution.threads=1" in record.getMessage()) == (threads > 1)

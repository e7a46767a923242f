import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from rlnas.errors import RlnasError
from rlnas.runs.checkpoint import FORMAT, load_checkpoint, save_checkpoint


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_tensors_and_plain_data_come_back(tmp_path: Path) -> None:
    state = {"weights": torch.arange(3.0), "rng": 2**100, "rows": [(1, "a", None, 0.1)]}
    save_checkpoint(tmp_path, state)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert torch.equal(loaded.pop("weights"), state.pop("weights"))  # type: ignore[arg-type]
    assert loaded == state


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        save_checkpoint(tmp_path, {"number": number})
    assert names(tmp_path) == ["000004.checkpoint", "000005.checkpoint"]
    assert load_checkpoint(tmp_path) == {"number": 4}


def test_none_where_none_was_written(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("position", [0, 30, 120, -1])
def test_one_flipped_bit_falls_back_names_the_file_and_removes_it(
    position: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("rlnas"), "propagate", True)
    save_checkpoint(tmp_path, {"number": 1})
    newest = save_checkpoint(tmp_path, {"number": 2})
    content = bytearray(newest.read_bytes())
    content[position] ^= 1
    newest.write_bytes(content)
    assert load_checkpoint(tmp_path) == {"number": 1}
    assert newest.name in caplog.text
    assert names(tmp_path) == ["000001.checkpoint"]


def test_an_empty_file_falls_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"number": 1})
    save_checkpoint(tmp_path, {"number": 2}).write_bytes(b"")
    assert load_checkpoint(tmp_path) == {"number": 1}


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {}).write_bytes(b"x")
    with pytest.raises(RlnasError, match=r"every checkpoint .*000001\.checkpoint"):
        load_checkpoint(tmp_path)


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("evil"),))


def test_a_doctored_file_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound checksum over a pickle that would run code."""
    import hashlib
    import io

    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save(Evil(), buffer, pickle_module=pickle)
    payload = buffer.getvalue()
    header = f"{FORMAT} {hashlib.sha256(payload).hexdigest()}\n".encode()
    (tmp_path / "000001.checkpoint").write_bytes(header + payload)
    with pytest.raises(RlnasError):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "evil").exists()


def test_another_format_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("rlnas"), "propagate", True)
    (tmp_path / "000001.checkpoint").write_bytes(b"rlnas-checkpoint-9 abc\npayload")
    with pytest.raises(RlnasError):
        load_checkpoint(tmp_path)
    assert "rlnas-checkpoint-9" in caplog.text


def test_a_failed_write_keeps_the_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, {"number": 1})
    save_checkpoint(tmp_path, {"number": 2})

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(RlnasError, match="no space left"):
        save_checkpoint(tmp_path, {"number": 3})
    assert load_checkpoint(tmp_path) == {"number": 2}

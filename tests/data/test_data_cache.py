import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rlnas.data import cache as module
from rlnas.data.cache import cache_folder, cached, shared_mode
from rlnas.data.images import Decoded, Images


class Reader:
    """A source that counts how often it is read."""

    def __init__(self, first: int = 0) -> None:
        self.reads = 0
        self.first = first

    def __call__(self) -> Decoded:
        self.reads += 1
        pixels = torch.arange(self.first, self.first + 24, dtype=torch.uint8).view(2, 3, 2, 2)
        return Decoded(Images(pixels, torch.tensor([1, 0])), ("a", "b"))


def same(one: Decoded, other: Decoded) -> bool:
    return (
        torch.equal(one.images.pixels, other.images.pixels)
        and torch.equal(one.images.labels, other.images.labels)
        and one.classes == other.classes
    )


def the_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_a_hit_does_not_touch_the_source(cache: Path) -> None:
    first, second = Reader(), Reader()
    assert same(cached("x", ["key", 1], first), cached("x", ["key", 1], second))
    assert (first.reads, second.reads) == (1, 0)


def test_another_key_is_another_copy(cache: Path) -> None:
    cached("x", ["key", 1], Reader())
    other = Reader(first=5)
    assert cached("x", ["key", 2], other).images.pixels.flatten()[0] == 5
    assert other.reads == 1
    assert len(list(cache.iterdir())) == 2


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def _flip_a_pixel(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _rename_a_class(file: Path) -> None:
    content = file.read_bytes()
    assert rb"[\"a\", \"b\"]" in content
    file.write_bytes(content.replace(rb"[\"a\", \"b\"]", rb"[\"a\", \"c\"]"))


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _other_format(file: Path) -> None:
    content = file.read_bytes()
    assert b'"format":"2"' in content
    file.write_bytes(content.replace(b'"format":"2"', b'"format":"0"'))


@pytest.mark.parametrize("damage", [_truncate, _flip_a_pixel, _rename_a_class, _empty, _other_format])
def test_a_damaged_copy_is_rebuilt(cache: Path, damage, caplog: pytest.LogCaptureFixture) -> None:
    good = cached("x", 1, Reader())
    damage(the_file(cache))
    reader = Reader()
    with caplog.at_level(logging.WARNING, "rlnas"):
        assert same(cached("x", 1, reader), good)
    assert reader.reads == 1
    assert f"{the_file(cache)} are damaged" in caplog.text
    again = Reader()
    assert same(cached("x", 1, again), good)
    assert again.reads == 0


def test_a_write_that_fails_leaves_nothing_behind(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with caplog.at_level(logging.WARNING, "rlnas"):
        assert len(cached("x", 1, Reader()).images) == 2
    assert list(cache.iterdir()) == []
    assert "No space left on device" in caplog.text


def test_the_file_appears_under_its_name_only_when_complete(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    replace = os.replace

    def watch(source: str, target: Path) -> None:
        seen.append((target.exists(), Path(source).parent == target.parent, Path(source).stat().st_size))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    cached("x", 1, Reader())
    assert seen == [(False, True, the_file(cache).stat().st_size)]


def test_an_unwritable_folder_costs_a_warning_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    monkeypatch.setenv("RLNAS_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "rlnas"):
        assert len(cached("x", 1, Reader()).images) == 2
    assert "cannot keep decoded images" in caplog.text


def test_a_user_without_a_home_folder_goes_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(module, "cache_folder", homeless)
    with caplog.at_level(logging.WARNING, "rlnas"):
        assert len(cached("x", 1, Reader()).images) == 2
    assert "RLNAS_CACHE names a folder" in caplog.text


def test_the_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")
    monkeypatch.setenv("RLNAS_CACHE", "own")
    assert cache_folder() == Path("own")
    monkeypatch.delenv("RLNAS_CACHE")
    assert cache_folder() == Path("xdg/rlnas")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "rlnas"


def test_names_are_safe_as_file_names(cache: Path) -> None:
    cached("hub-owner/name ../é-train", 1, Reader())
    assert the_file(cache).parent == cache


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
@pytest.mark.parametrize("mode", [0o666, 0o600, 0o660])
def test_the_file_has_the_rights_of_its_source_less_the_umask(cache: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        cached("x", 1, Reader(), mode)
    finally:
        os.umask(before)
    assert the_file(cache).stat().st_mode & 0o777 == mode & ~umask


@pytest.mark.parametrize(
    ("file", "folder", "mode"),
    [
        (0o644, 0o755, 0o666),
        (0o640, 0o755, 0o660),
        (0o600, 0o755, 0o600),
        (0o644, 0o700, 0o600),  # the folder keeps others out
        (0o644, 0o750, 0o660),
        (0o444, 0o555, 0o666),
    ],
)
def test_who_may_read_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: int, folder: int, mode: int
) -> None:
    (tmp_path / "source").mkdir()
    for name, bits in (("public", 0o644), ("private", file)):
        (tmp_path / "source" / name).write_text("x")
        (tmp_path / "source" / name).chmod(bits)
    (tmp_path / "source").chmod(folder)
    stat = Path.stat

    def open_above(path: Path, **options: bool) -> object:
        """The folders around the source, which are pytest's and let nobody else in, are open to all."""
        found = stat(path, **options)
        return SimpleNamespace(st_mode=0o40755, st_gid=0) if path in tmp_path.parents or path == tmp_path else found

    paths = [tmp_path / "source" / name for name in ("public", "private")]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", open_above)
        assert shared_mode(paths) == mode
    (tmp_path / "source").chmod(0o700)
    assert shared_mode(paths) == 0o600  # pytest's own folders are closed to others


def test_the_right_of_another_group_is_not_that_of_ours() -> None:
    other = SimpleNamespace(st_gid=os.getegid() + 1)
    assert module._for_readers(other, 0o640) == 0o600
    assert module._for_readers(other, 0o644) == 0o666
    assert module._for_readers(SimpleNamespace(st_gid=os.getegid()), 0o640) == 0o660


def test_a_file_that_may_not_be_read_costs_a_warning_only(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cached("x", 1, Reader())

    def refuse(path: Path) -> Decoded:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module, "_load", refuse)
    reader = Reader()
    with caplog.at_level(logging.WARNING, "rlnas"):
        cached("x", 1, reader)
    assert reader.reads == 1
    assert "cannot be read (Permission denied)" in caplog.text
    assert "damaged" not in caplog.text


def test_what_a_split_is_made_of_is_kept(cache: Path) -> None:
    images = Reader()().images
    made = Decoded(images, ("a", "b"), {"train": "Training", "valid": "dev"}, frames=3)
    cached("x", 1, lambda: made)
    assert cached("x", 1, Reader()) is not made
    assert (cached("x", 1, Reader()).splits, cached("x", 1, Reader()).frames) == (made.splits, 3)

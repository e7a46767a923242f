import pytest

from rlnas.data.splits import by_role, role_of


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("train", "train"), ("Train", "train"), ("TRAINING", "train"), ("trn", "train"), ("train_set", "train"),
        ("Training Set", "train"), ("train2017", "train"), ("1_train", "train"), ("train-images", "train"),
        ("val", "valid"), ("Valid", "valid"), ("validation", "valid"), ("DEV", "valid"), ("val2017", "valid"),
        ("dev-set", "valid"), ("2. validation", "valid"),
        ("test", "test"), ("Testing", "test"), ("eval", "test"), ("Evaluation", "test"), ("test_data", "test"),
        ("holdout", "test"), ("Held-Out", "test"), ("held_out", "test"), (" test ", "test"),
        ("cat", None), ("trainer", None), ("valley", None), ("testimony", None), ("device", None), ("trains", None),
        ("contest", None), ("trainval", None), ("", None), ("1", None), ("set", None), ("my_train", None),
    ],
)  # fmt: skip
def test_roles(name: str, role: str | None) -> None:
    assert role_of(name) == role


def test_names_are_sorted_by_role_and_others_are_left_out() -> None:
    assert by_role(["val", "cat", "dev", "Train"]) == {"valid": ["val", "dev"], "train": ["Train"]}

import pytest

from rlnas.data.splits import by_role, is_plain, role_of, surely_splits


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
        ("contest", None), ("trainval", None), ("", None), ("1", None), ("set", None),
        ("tests", "test"), ("vals", "valid"), ("hold-out", "test"), ("Hold Out", "test"), ("holdouts", "test"),
        ("train (1)", "train"), ("train[2]", "train"), ("evaluations", "test"), ("(train)", "train"),
        ("my_train", "train"), ("imagenet_val", "valid"), ("x_train", "train"), ("x-val", "valid"), ("y.test", "test"),
        ("train.v2", "train"), ("test.v2", "test"), ("images_train", "train"), ("2017 images test", "test"),
        ("cats2train", "train"), ("trainA", "train"), ("ImagesTest", "test"), ("train_station", "train"),
        ("train_val", None), ("test-train", None), ("cats_train_dogs", None), ("steam trains", None),
        ("devs", None), ("invalid", None), ("threshold outline", None), ("household", None), ("latest_news", None),
        ("entrainement", None), ("essai", None), ("_", None), ("№", None),
    ],
)  # fmt: skip
def test_roles(name: str, role: str | None) -> None:
    assert role_of(name) == role


def test_names_are_sorted_by_role_and_others_are_left_out() -> None:
    assert by_role(["val", "cat", "dev", "Train"]) == {"valid": ["val", "dev"], "train": ["Train"]}


@pytest.mark.parametrize(
    ("names", "sure"),
    [
        (["train_set", "cat", "VAL2017"], ["train_set", "VAL2017"]),
        (["x_train", "images_test (1)"], ["x_train", "images_test (1)"]),
        (["cats_train", "cats_test"], ["cats_train", "cats_test"]),
        (["cats_train", "test-cats"], ["cats_train", "test-cats"]),
        (["trainA", "trainB", "testA"], ["trainA", "testA"]),
        (["train_station", "test_tube"], []),
        (["bullet_train", "steam_train"], []),
        (["cats_train", "cats_training"], []),
    ],
)
def test_names_with_other_words_are_sure_where_another_split_shares_them(names: list[str], sure: list[str]) -> None:
    assert surely_splits(names) == sure


@pytest.mark.parametrize(
    ("name", "plain"), [("Train-Set", True), ("test (1)", True), ("my_train", False), ("x", False)]
)
def test_plain_names_have_no_other_word(name: str, plain: bool) -> None:
    assert is_plain(name) == plain

"""best/README.md: the model card of the found network, for whoever is handed the folder (after Mitchell et al. 2019).

It reads the run folder only and says the same at every call.
"""

from pathlib import Path
from typing import Any

from rlnas.files import write_text
from rlnas.report import text
from rlnas.report.run import mistakes
from rlnas.runs.reader import Run, load_run

CARD = Path("best") / "README.md"
MOST_CLASSES = 20  # of the confusion matrix in the card


def write_card(folder: Path) -> Path | None:
    """Write the card of a finished run with a trained network; return its path, None if there is no network.

    Raises RlnasError for a folder that holds no run, and if the card cannot be written.
    """
    run = load_run(folder)
    if not run.weights or run.best is None:
        return None
    write_text(folder / CARD, card(run))
    return folder / CARD


def card(run: Run) -> str:
    """Return the card as Markdown."""
    parts = [_head(run), _accuracy(run), _classes(run), _cost(run), _architecture(run), _training(run), _loading(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(run: Run) -> str:
    images = run.result.get("images") or {}
    classes = images.get("classes") or []
    names = ", ".join(f"`{name}`" for name in classes)
    size, channels = images.get("size"), images.get("channels")
    kind = "grey" if channels == 1 else "RGB"
    lines = [
        f"# {run.result.get('name', 'network')}: a classifier of {text.dataset(str(run.result.get('dataset')))}",
        f"Found by rlnas {run.versions.get('rlnas', '')} in the search space `{run.space_name}`.",
        f"It takes {kind} images of {size}x{size} pixels and knows {len(classes)} classes: {names}. "
        "It answers with one of them whatever the image shows.",
    ]
    note = run.result.get("dataset_note")
    if note:
        lines.append(f"**Not the data that was asked for**: {note}.")
    return "\n\n".join(lines)


def _accuracy(run: Run) -> str:
    best = run.best or {}
    tested, count = best.get("test_accuracy"), best.get("test_images")
    lines = ["## Accuracy", "", "| | |", "| --- | --- |"]
    if tested is not None:
        interval = f" (95 % interval {_interval(tested, count)}, Wilson; {count:,} images)" if count else ""
        lines.append(f"| test | {_percent(tested)}{interval} |")
    if best.get("test_balanced_accuracy") is not None:
        lines.append(f"| test, mean over classes | {_percent(best['test_balanced_accuracy'])} |")
    if best.get("valid_accuracy") is not None:
        chose = ", optimistic: these images also chose the architecture" if run.result.get("candidates") else ""
        lines.append(f"| validation | {_percent(best['valid_accuracy'])}{chose} |")
    lines += [
        "",
        "The test images were read once, after all training. The interval is of the choice of test images alone;",
    ]
    lines += ["another training of the same network differs, too."]
    verdict = (run.result.get("verdict") or {}).get("text")
    if verdict:
        lines += ["", f"Against controls: {verdict}"]
    return "\n".join(lines)


def _interval(share: float, count: int) -> str:
    from scipy.stats import binomtest  # slow to import

    found = binomtest(round(share * count), count).proportion_ci(0.95, method="wilson")
    return f"{_percent(found.low)} to {_percent(found.high)}"


def _classes(run: Run) -> str:
    table, found = mistakes.classes_table(run), mistakes.confusion(run)
    if table is None or found is None:
        return ""
    lines = ["## By class", "", "| class | test images | recall | precision | most often taken for |"]
    lines += ["| --- | ---: | ---: | ---: | --- |"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in table["rows"]]
    classes, counts = found
    if len(classes) <= MOST_CLASSES:
        lines += ["", "Test images of each class (rows) by the class they were taken for:", ""]
        lines += [f"| | {' | '.join(map(_cell, classes))} |", f"| --- |{' ---: |' * len(classes)}"]
        lines += [
            f"| {_cell(name)} | {' | '.join(map(str, row))} |"
            for name, row in zip(classes, counts.tolist(), strict=True)
        ]
    return "\n".join(lines)


def _cost(run: Run) -> str:
    best = run.best or {}
    limits = (run.objective.get("limits") or {}).items()
    lines = ["## Cost", "", "| | |", "| --- | --- |"]
    lines += [f"| parameters | {best['params']:,} |"] if best.get("params") is not None else []
    if best.get("flops") is not None:
        lines.append(f"| FLOPs for one image | {best['flops']:,} (a multiply-add is two) |")
    lines += [f"| limit in the search, {name} | {value:,} |" for name, value in limits]
    return "\n".join(lines)


def _architecture(run: Run) -> str:
    best = run.best or {}
    found = best.get("final_architecture") or best["architecture"]
    drawn = "The drawing is in `figures/` of the run folder; `architecture.json` has every node."
    return f"## Architecture\n\n```text\n{found}\n```\n\n{drawn}"


def _training(run: Run) -> str:
    settings: dict[str, Any] = run.settings.get("retrain") or {}
    if not settings:
        return ""
    recipe = ", ".join(f"{key} {value}" for key, value in settings.items() if isinstance(value, int | float | str))
    return f"## Training\n\nFrom scratch, with the options of `retrain`: {recipe}."


def _loading(run: Run) -> str:
    return """## Use

With rlnas, `RUN` being the folder that holds `best/`:

```bash
python -m rlnas.predict RUN IMAGES...
python -m rlnas.export RUN --format onnx
```

Without it, `python -m rlnas.export` writes an ONNX or torch.export file that takes uint8 images (b, c, h, w), holds the
normalisation and returns the probabilities of the classes. `architecture.json` names the classes, the normalisation and
the colour behind transparent pixels; `model.safetensors` has the weights."""


def _percent(value: Any) -> str:
    return text.percent(value).replace("\N{NO-BREAK SPACE}", " ")


def _cell(value: Any) -> str:
    """Return a table's cell: a class may have any name."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

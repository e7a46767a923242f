"""Messages that a run prints at its start and end."""

from typing import Any

from rlnas.config.quoting import compare_command
from rlnas.config.schema import Config
from rlnas.data import ImageData
from rlnas.execution.settings import Execution, as_overrides
from rlnas.objective import deciding
from rlnas.runs.folder import RunFolder
from rlnas.spaces import Space


def greet(
    config: Config, folder: RunFolder, space: Space, data: ImageData | None, executions: dict[str, Execution]
) -> None:
    """Print the run's folder, data, space, controller and execution settings."""
    say = folder.progress.say
    _warn_of_fallback(folder, data)
    folder.greet()
    if data is not None:
        say(
            f"data: {data.name}, {len(data.train):,} training and {len(data.valid):,} validation "
            f"images of {data.size}x{data.size} pixels, {len(data.classes)} classes"
        )
        for note in data.notes:
            say(f"data: {note}")
    say(f"space: {space.name}, {rounded(space.size)} architectures; controller: {config.controller.name}")
    _hint_at_unread_prediction(config, folder)
    for phase, execution in executions.items():
        about = execution.describe()
        threads = f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}"
        scoring = "" if phase == "retrain" else f" ({about['scoring_threads']} in scoring)"
        say(f"{phase}: {about['device']}, {about['precision']}, {about['memory_format']}, {threads}{scoring}")
    if config.execution.measure and executions:
        say(
            f"measured; another run computes alike with: execution=auto {as_overrides(executions)} (a second "
            "measurement may differ)"
        )


def tell_result(folder: RunFolder, result: dict[str, Any], data: ImageData | None) -> None:
    """Print the found architecture and its scores."""
    say, best, table = folder.progress.say, result["best"], result.get("table")
    say(f"found: {best['architecture']}")
    if "final_architecture" in best:
        say(f"as the final network: {best['final_architecture']}")
    if best["params"] is not None and best["flops"] is not None:
        say(f"parameters {best['params']:,}, FLOPs {best['flops']:,}")
    if table:
        say(
            f"observed {best['search_accuracy']:.6g}, true score {best['score']:.6g}, regret {best['regret']:.4g} "
            f"(optimum {table['optimum']:.6g})"
        )
    elif best["search_accuracy"] is not None:
        shared = "with shared weights (validation)"
        how = {"shared_weights": shared, "surrogate": shared, "standalone": "trained alone (validation)"}
        how["program"] = "on the held-out tasks of the selection"
        say(f"accuracy {how.get(result['evaluator'], 'as scored')}: {best['search_accuracy']:.4f}")
    if not table and best.get("place") is not None:
        place = f"{best['place']:,} of {space_size(result)}"
        say(f"true score {best['score']:.4f}, regret {best['regret']:.4f}, place {place}")
    if best["objective"] is not None and best["objective"] != best["search_accuracy"]:
        say(f"objective ({', '.join(deciding(result['objective']['terms']))}): {best['objective']:.4f}")
    if best["test_accuracy"] is not None and best["valid_accuracy"] is None:
        say(f"tested once, on the test split: {best['test_accuracy']:.4f}")
    elif best["test_accuracy"] is not None:
        chose = (
            "" if result["stopped_by"] == "architecture" else " (optimistic: these images also chose the architecture)"
        )
        say(f"retrained from scratch: test {best['test_accuracy']:.4f}, validation {best['valid_accuracy']:.4f}{chose}")
    if "verdict" in result:
        say(f"verdict: {result['verdict']['text']}")
    if data is None:
        say(f"compare it with other runs: {compare_command([folder.path], 'OTHER_RUNS')}")
    _warn_of_fallback(folder, data)


def space_size(result: dict[str, Any]) -> str:
    """Return the number of architectures of the space of a result."""
    return rounded(int(result["space"]["size"]) if result["space"]["size"] else None)


def scored(accuracy: float, value: float | None) -> str:
    """Format a score: the accuracy, and the objective before it where that is another number; None: not known."""
    return f"{accuracy:.4f}" if value in (None, accuracy) else f"objective {value:.4f} (accuracy {accuracy:.4f})"


def rounded(size: int | None) -> str:
    """Format a possibly huge integer: 1,296 or 2.4e+26."""
    if size is None:
        return "an unknown number of"
    return f"{size:,}" if size < 10**9 else f"{float(size):.1e}" if size < 10**300 else f"10^{len(str(size)) - 1}"


def _hint_at_unread_prediction(config: Config, folder: RunFolder) -> None:
    """Say when a surrogate's labels are trained for nothing; a term of the user's own may read any value."""
    terms = config.objective.terms
    read = {"surrogate", "predicted"} & set(terms) or any(
        isinstance(one, dict) and "term" in one for one in terms.values()
    )
    if config.evaluator.name == "surrogate" and config.architecture is None and not read:
        folder.progress.say(
            f"the objective ({', '.join(terms)}) does not read what evaluator=surrogate predicts; objective=surrogate "
            "makes the prediction the reward"
        )


def _warn_of_fallback(folder: RunFolder, data: ImageData | None) -> None:
    if data is not None and data.fallback:
        folder.progress.say(f"\n*** NOT the data you asked for: {data.fallback}. ***\n")

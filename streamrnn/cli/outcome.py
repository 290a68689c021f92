"""What a training came to, in words: how it ended, and the model beside the naive forecast."""
from streamrnn.cli.arguments import counted


def ending(history, plan):
    unit = "; targets counted in their standard deviations" if plan.model.layers[-1].kind == "unscale" else ""
    why = {"patience": "no better one came", "interrupted": "stopped early"}.get(history.stopped, "all done")
    held = f", validation {history.validation[history.best]:.4g}" if history.validation else ""
    return (f"{counted(history.epochs, 'epoch')} ({why}); the weights are those of epoch {history.best + 1}: "
            f"loss {history.loss[history.best]:.4g}{held} ({plan.loss.name}{unit})")


def scores(model, data, plan):
    """The model beside the naive forecast, on what was held back: a table, and a word where the model is no better."""
    import numpy as np
    from rich import box
    from rich.table import Table

    from streamrnn import metrics

    measured = data.measured()
    joined = lambda parts: np.concatenate([parts[n][first:] for n, first in measured])
    results = {n: model.run(data.x[n])[-len(data.y[n]):] for n, _ in measured}
    if data.classes:
        results = {n: result.argmax(1)[:, None] for n, result in results.items()}
        columns = {"accuracy": (metrics.accuracy, ".3f"), "F1": (metrics.f1, ".3f")}
    else:
        results = {n: result[:, plan.point] for n, result in results.items()}
        columns = {"MAE": (metrics.mae, ".4g"), "RMSE": (metrics.rmse, ".4g"), "R2": (metrics.r2, ".3f")}
    true, found, naive, real = joined(data.y), joined(results), joined(data.baseline), joined(data.real)

    table, worse = Table(box=box.SIMPLE_HEAD, pad_edge=False), []
    for heading in ("target", "forecast", *columns):
        table.add_column(heading, justify="right" if heading in columns else "left")
    for k, target in enumerate(data.targets):
        rows = real[:, k]
        if not rows.any():
            table.add_row(target, "no value to measure by: all were filled in")
            continue
        values, plain = ([metric(true[rows, k], answer[rows, k]) for metric, _ in columns.values()] for answer in (found, naive))
        for name, forecast, numbers in ((target, "this model", values), ("", "naive", plain)):
            table.add_row(name, forecast, *(format(value, form) for value, (_, form) in zip(numbers, columns.values(), strict=True)))
        if values[0] <= plain[0] if data.classes else values[1] >= plain[1]:
            worse.append(target)
    if worse:
        return table, f"No better than the naive forecast: {', '.join(worse)}. More rows, epochs or other inputs may help."
    return table,


def farewell(chosen, history):
    again = "; the same command goes on from the checkpoint" if history.stopped == "interrupted" and chosen.checkpoint else ""
    drawn = f", drew {chosen.plot}" if chosen.plot else ""
    return f"saved {chosen.output}{drawn}{again}\n\n  streamrnn info {chosen.output}\n  streamrnn bench {chosen.output}"

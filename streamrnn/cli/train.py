"""streamrnn train: a table in, a file out that runs as it is: a detector, or a model and how good it is beside a forecast without one."""
from streamrnn.cli.arguments import counted
from streamrnn.cli.console import compiled, drawable, grid, plain_console, writable
from streamrnn.cli.training_options import DATA, DETECTING, LEARNING, OWN


def options(parser):
    parser.add_argument("data", help="a table: .csv, .npy or .parquet")
    for title, group in (("the data", DATA), ("a detector (beside --inputs, --layers and --seed)", DETECTING),
                         ("the model and its training", {**OWN, **LEARNING})):
        shown = parser.add_argument_group(title)
        for flag, details in group.items():
            shown.add_argument(flag, **details)
    parser.add_argument("-o", "--output", default="model.safetensors", metavar="FILE", help="the model's file (default model.safetensors)")


def run(chosen):
    from streamrnn.cli import examples, learn, outcome, recipe

    console = plain_console()
    detector = learn.wanted(chosen)
    for path in (chosen.output, chosen.checkpoint, chosen.plot):
        writable(path)
    if detector:
        return learn.run(chosen, console)
    drawable(chosen.plot)
    data = examples.read(chosen)
    plan = recipe.Recipe(chosen, data)
    console.print(grid([*about(chosen, data), ("outputs", f"{plan.model.outputs}: {plan.why}"), ("model", repr(plan.model))]))
    compiled(console)
    model, history = plan.fit(progress=True)
    if not history.epochs:
        console.print("stopped before the end of the first epoch: nothing is saved")
        return 130
    model.save(chosen.output)
    if chosen.plot:
        history.plot(chosen.plot)
    console.print(outcome.ending(history, plan))
    console.print(*outcome.scores(model, data, plan), sep="\n")
    console.print(outcome.farewell(chosen, history), soft_wrap=True)
    return 0


# -- what is printed ---------------------------------------------------------------------------------------------------

def about(chosen, data):
    """(what, in words)"""
    when = f"{counted(data.ahead, 'row')} ahead" if data.ahead else "of each sequence" if data.last else "of the same row"
    yield "data", f"{chosen.data}: {counted(sum(map(len, data.x)), 'step')} in {counted(len(data.x), 'sequence')}"
    yield from (("", note) for note in data.notes)
    yield "inputs", ", ".join(data.inputs)
    yield "target", f"{', '.join(data.targets)}, {when}"
    yield "measured", f"on {data.measured_in_words()}"
    yield "naive", f"{data.naive}: what the model has to beat"

"""The command line called in this process, and a recipe that is small enough to be trained in a test."""

from vgs_lib.__main__ import main
from vgs_lib.recipes import Part, Recipe

RECIPE = Recipe(
    name="tiny",
    image=Part("timm", {"strides": [32], "dim": 8, "out_stride": 32, "weights": "wheel"}),
    audio=Part("davenet", {"width": 1 / 32, "dim": 8}),
)


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def check_refused(capsys, arguments, *parts) -> None:
    """Exit code 1, nothing on standard output, and one sentence as the last line on standard error."""
    code, out, err = run(capsys, *arguments)
    assert code == 1 and out == "" and "Traceback" not in err
    sentence = err.strip().splitlines()[-1]
    kind, _, text = sentence.partition(": ")
    assert kind.endswith("Error") and kind.isidentifier(), sentence
    for part in parts:
        assert str(part) in text, sentence

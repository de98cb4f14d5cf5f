"""Pictures that show what they should."""

import numpy as np
import pytest

from kutta.surrogate_study import pictures


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def test_planes_show_input_solution_predictions_and_errors(darcy):
    figure = pictures.fields(darcy)
    found = titles(figure)
    assert {"input: coefficient", "solution", "mgno", "linear"} <= set(found)
    assert sum(title.startswith("error, ") for title in found) == 2 and "e+" not in " ".join(found)
    shown = {axis.get_title(): axis.images[0].get_array() for axis in figure.axes if axis.images}
    np.testing.assert_allclose(shown["solution"], darcy.parts.test.outputs[0, 0].T, rtol=1e-6)
    np.testing.assert_allclose(shown["mgno"], darcy.outcomes[0].predicted[0, 0].T, rtol=1e-6)


def test_lines_show_the_same(burgers):
    values, off = pictures.fields(burgers).axes
    assert [line.get_label() for line in values.lines] == ["input", "solution", "fno", "deeponet"]
    assert len(off.lines) == 2
    error = burgers.outcomes[0].predicted[0, 0] - burgers.parts.test.outputs[0, 0]
    np.testing.assert_allclose(off.lines[0].get_ydata(), error, atol=1e-6)


def test_spectra_are_of_errors(done):
    (axis,) = pictures.spectra(done).axes
    names = [one.trained.name for one in done.outcomes]
    assert [line.get_label() for line in axis.lines] == ["solution", *(f"error of {name}" for name in names)]
    error = done.outcomes[0].predicted - done.parts.test.outputs
    held = axis.lines[1].get_ydata()
    assert 0.0 < held.sum() <= 0.5 * float(error.square().mean()) * (1.0 + 1e-5)


def test_training_is_shown_of_what_was_trained(darcy, burgers):
    assert [[line.get_label() for line in axis.lines] for axis in pictures.training(darcy).axes] == [["mgno"]] * 2
    assert all(len(axis.lines) == 2 for axis in pictures.training(burgers).axes)


def test_the_line_of_the_best_has_nothing_below_it(done):
    best = list(pictures._frontier(done))
    for row in done.classical[:-1]:
        assert any(one.seconds <= row.seconds and one.error <= row.error for one in best)


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_all_are_drawn(name, done, tmp_path):
    pictures.PICTURES[name](done).savefig(tmp_path / "one.png", dpi=30)
    assert (tmp_path / "one.png").stat().st_size > 1000

"""What the tables say."""

import json
import math
from dataclasses import replace

import torch

from kutta.surrogate_study import table


def test_every_network_and_the_baseline_have_a_row(done):
    errors, costs = table.tables(done)
    names = [one.trained.name for one in done.outcomes]
    assert [row[0] for row in errors.rows] == [*names, done.baseline[0]]
    assert [row[0] for row in costs.rows] == [*names, "solver of the data"]
    assert all(len(row) == len(one.header) for one in (errors, costs) for row in one.rows)


def test_errors_at_sides_are_there_where_there_are_sides(darcy, burgers):
    assert "error at the sides" in table.errors(darcy).header
    assert "error at the sides" not in table.errors(burgers).header


def test_figures_are_as_measured(darcy):
    one = darcy.outcomes[0]
    errors, costs = (shown.rows[0] for shown in table.tables(darcy))
    weights = sum(weight.numel() for weight in one.trained.model.parameters())
    assert weights > 0
    assert errors[1] == f"{weights:,}" and errors[3] == table.percent(one.errors["relative L2"])
    assert costs[1:4] == (table.percent(one.row.error), table.seconds(one.row.seconds), one.classical.name)


def test_markdown_is_a_page(done):
    text = table.markdown(done)
    assert text.startswith(f"# {done.settings.title}\n\n## Errors\n\n| network | weights |")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == sum(len(one.rows) + 2 for one in table.tables(done))
    assert done.reference.name in text


def test_plain_numbers_are_json(done):
    found = json.loads(json.dumps(table.figures(done), allow_nan=False))
    assert set(found["networks"]) == set(done.settings.networks)
    assert found["comparison"]["problems"] == 2 and found["data"] == done.settings.of_data
    assert found["machine"]["threads"] == done.machine.threads
    assert all(one["training_device"] == "CPU" or torch.cuda.is_available() for one in found["networks"].values())
    assert len(found["classical"]) == len(done.classical) and found["baseline"]["name"] == done.baseline[0]


def test_what_is_not_finite_is_nothing_in_json(darcy):
    one = darcy.outcomes[0]
    curves = {"relative_l2": [float("nan"), 0.5]}
    one = replace(one, pays_after=math.inf, trained=replace(one.trained, curves=curves))
    found = json.loads(json.dumps(table.figures(replace(darcy, outcomes=[one])), allow_nan=False))["networks"]["mgno"]
    assert found["pays_after"] is None and found["curves"] == {"relative_l2": [None, 0.5]}


def test_modes_of_a_regression_are_learned(darcy):
    linear = darcy.outcomes[1].trained.model.network
    assert linear.parameter_count == 4 * 4 + 2 * (4 + 1) * 8 * 8
    assert table.errors(darcy).rows[1][1] == f"{linear.parameter_count:,}"


def test_the_note_says_where_and_in_which_precision(darcy):
    machine = replace(darcy.machine, processor="abacus, 2 cores", threads=3, versions={"torch": "9.9"})
    trained = replace(darcy.outcomes[0].trained, device="H100")
    outcomes = [replace(darcy.outcomes[0], trained=trained), darcy.outcomes[1]]
    words = table.note(replace(darcy, machine=machine, outcomes=outcomes))
    for part in ("float32 and float64", "(abacus, 2 cores) with 3 threads", "trained on H100 and the CPU", "torch 9.9"):
        assert part in words


def test_numbers_read_well():
    assert [table.percent(one) for one in (0.0275, 2.01, 0.0001)] == ["2.75%", "201%", "0.01%"]
    assert [table.problems(one) for one in (math.inf, 271_828.0, 49.2)] == ["never", "270,000", "49"]

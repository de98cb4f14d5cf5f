"""What the tables say."""

import json
import math

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
    assert len(found["classical"]) == len(done.classical) and found["baseline"]["name"] == done.baseline[0]


def test_numbers_read_well():
    assert [table.percent(one) for one in (0.0275, 2.01, 0.0001)] == ["2.75%", "201%", "0.01%"]
    assert [table.problems(one) for one in (math.inf, 271_828.0, 49.2)] == ["never", "270,000", "49"]

import pytest
import torch
from safetensors.torch import load_file

import kutta as kt
from kutta.demo import digits_flow, sample

TINY = digits_flow.Settings(width=8, depth=1, frequencies=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("model")
    model = digits_flow.build(TINY, 0)
    torch.nn.init.normal_(model.outer.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    digits_flow.save(model, TINY, where)
    return where


def method(text):
    return sample.written(text, "--method", (kt.diffusion.Sampler, kt.Method))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("DDIM", kt.DDIM()),
        (" UniPC() ", kt.UniPC()),
        ("GHVB(4, beta=0.2)", kt.GHVB(4, beta=0.2)),
        ("HeavyBall(DPMSolverPP(2), 0.7)", kt.HeavyBall(kt.DPMSolverPP(2), 0.7)),
        (
            "ExponentialMultistep(3, prediction='noise', starter=CorrectedRamp, final_orders=(2, 1))",
            kt.ExponentialMultistep(3, "noise", kt.diffusion.CorrectedRamp(), final_orders=(2, 1)),
        ),
    ],
)
def test_a_method_is_written_as_in_python(text, meant):
    assert method(text) == meant


def test_methods_for_differential_equations_can_be_written_too():
    assert isinstance(method("Tsit5"), kt.Tsit5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Nothing", "there is no Nothing; there are .*DDIM"),
        ("GHVB(9)", "order must be a whole number from 1 to 5"),
        ("GHVB(nothing=1)", "unexpected keyword"),
        ("GHVB(3", "never closed"),
        ("", "invalid syntax"),
        ("3", "must be such as DDIM"),
        ("Rho(7)", "must be such as DDIM"),
        ("SolverSchedule", "missing"),
        ("open('file')", "there is no open"),
        ("__import__('os').getcwd()", r"__import__\('os'\).getcwd\(\) is neither a name"),
        ("kt.DDIM()", r"kt.DDIM\(\) is neither a name, a call of one, a number"),
        ("DDIM() + 1", r"DDIM\(\) \+ 1 is neither"),
        ("-" * 10_000 + "1", "MemoryError|nested|recursion"),
        ("DDIM(**{})", "must be written out"),
        ("DDIM(*(1, 2))", "is neither a name"),
        ("HeavyBall(Sampler)", "there is no Sampler"),
    ],
)
def test_what_is_no_method_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        method(text)
    assert "--method must be such as" in str(refused.value) and repr(text) in str(refused.value)


def test_samples_are_those_of_solve(folder):
    solution, digits = sample.sample(folder, "UniPC(3)", steps=5, grid="Beta", count=12, seed=4)
    model = digits_flow.load(folder)
    problem = digits_flow.problem(model, digits_flow.noise_for(12, 4), torch.arange(12) % 10)
    expected = kt.solve(problem, kt.UniPC(3), steps=5, grid=kt.diffusion.Beta())
    assert torch.equal(solution.y1, expected.y1)
    assert digits.tolist() == [*range(10), 0, 1]
    assert sample.evaluations(solution) == 5


@pytest.mark.parametrize("name", ["AdaptiveMultistep", "Tsit5", "AncestralEuler", None])
def test_any_kind_of_method_samples(name, folder):
    first, again = (sample.sample(folder, name, digit=3, count=2, guidance=2.0) for _ in range(2))
    assert torch.equal(first[0].y1, again[0].y1) and bool(torch.isfinite(first[0].y1).all())
    assert first[1].tolist() == [3, 3]
    assert sample.evaluations(first[0]) > 1


def test_the_seed_changes_the_noise_and_the_noise_on_the_way(folder):
    ends = [sample.sample(folder, "AncestralEuler", steps=4, count=1, seed=seed)[0].y1 for seed in (0, 1)]
    assert not torch.equal(*ends)


def test_the_grid_must_be_one(folder):
    with pytest.raises(ValueError, match="--grid must be such as Beta"):
        sample.sample(folder, grid="DDIM")


def test_a_sheet_has_ten_digits_a_row_each_in_its_place():
    images = torch.arange(12.0)[:, None].expand(12, 64) / 12.0
    page = sample.sheet(images)
    cell = 10 * sample.MAGNIFIED
    assert page.shape == (2 * cell, 10 * cell)
    for index in range(12):
        row, column = divmod(index, 10)
        assert page[row * cell + cell // 2, column * cell + cell // 2] == index / 12.0
    assert page[cell + cell // 2, 5 * cell] == -1.0 and page[0, 0] == -1.0
    assert sample.sheet(images[:3]).shape == (cell, 3 * cell)


def test_pictures_and_tensors_are_written(tmp_path):
    images, digits = torch.linspace(-1.5, 1.5, 128).view(2, 64), torch.tensor([1, 2])
    sample.write(images, digits, tmp_path / "a.png")
    sample.write(images, digits, tmp_path / "a.safetensors")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n")
    stored = load_file(tmp_path / "a.safetensors")
    assert torch.equal(stored["images"], images.view(2, 8, 8)) and torch.equal(stored["digits"], digits)
    assert len(list(tmp_path.iterdir())) == 2

"""The `kutta` command."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    import typer

    from kutta.solvers.diffusion.plans.sampler import Sampler
    from kutta.solvers.method import Method

MISSING_CLI = 'the kutta command needs typer and rich: pip install "kutta[cli]" (for `kutta demo`: "kutta[demo]")'
MISSING_EXTRA = 'kutta {command} needs {name}: pip install "kutta[{extra}]"'
NO_CHECKOUT = (
    "kutta bench runs the benchmarks of a source checkout, and there are none beside {package}. "
    "Clone the repository, install it with pip install -e and run kutta bench there."
)


def main() -> None:
    """Run the command line; without typer, say what to install and exit with status 2."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError:
        _fail(MISSING_CLI)
    application()()


def application() -> "typer.Typer":
    """The command line with its commands."""
    import typer

    app = typer.Typer(
        name="kutta", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help="kutta: differential equations inside machine learning.",
    )  # fmt: skip

    @app.callback()
    def options(
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
        ] = False,
    ) -> None:
        pass

    _add_demo(app)
    _add_sample(app)
    _add_solve(app)
    _add_train(app)
    _add_methods(app)
    _add_bench(app)
    return app


def _add_demo(app: "typer.Typer") -> None:
    import typer

    @app.command()
    def demo(
        out: Annotated[Path, typer.Option(help="Folder for the report and its pictures.")] = Path("kutta-demo"),
        seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of everything random.")] = 0,
        quick: Annotated[bool, typer.Option("--quick", help="Fewer draws, epochs and samples.")] = False,
    ) -> None:
        """Fit an ODE to a record, train neural ODEs and networks for PDEs, sample digits, and write a report."""
        _require("demo", _OF_DEMO)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            _fail(f"--out must name a folder that can be written to: {problem}")
        from kutta.demo.run import run

        run(out, seed, quick)


def _add_sample(app: "typer.Typer") -> None:
    import typer

    @app.command()
    def sample(
        model: Annotated[Path, typer.Argument(help="Folder of the model, such as kutta-demo/digits-flow.")],
        method: Annotated[str | None, typer.Option(help='A sampler or method: UniPC, or "GHVB(3, beta=0.8)".')] = None,
        steps: Annotated[int | None, typer.Option(min=1, help="Steps of the sampler; 20 by default.")] = None,
        grid: Annotated[str | None, typer.Option(help='Where it stops: Beta, or "UniformTime(shift=3)".')] = None,
        label: Annotated[int | None, typer.Option(min=0, max=9, help="The digit; by default all in turn.")] = None,
        count: Annotated[int, typer.Option(min=1, max=10_000, help="How many images.")] = 10,
        seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of the noise.")] = 0,
        guidance: Annotated[float, typer.Option(help="Weight of classifier-free guidance; 1 is none.")] = 1.0,
        out: Annotated[Path, typer.Option(help="A .png or .safetensors file to write.")] = Path("samples.png"),
    ) -> None:
        """Sample digits from a model that `kutta demo` saved, by a method of choice."""
        _require("sample", _OF_SAMPLE)
        if out.suffix not in (".png", ".safetensors"):
            _fail(f"--out must end in .png or .safetensors; got {out}")
        from kutta import SolveError
        from kutta.demo import sample as sampling

        try:
            solution, digits = sampling.sample(model, method, steps, grid, label, count, seed, guidance)
        except (ValueError, TypeError, NotImplementedError, SolveError) as problem:
            _fail(str(problem))
        try:
            sampling.write(solution.y1, digits, out)
        except OSError as problem:
            _fail(f"--out must name a file that can be written: {problem}")
        print(f"{count} images, {sampling.evaluations(solution)} evaluations of the model: {out}")


def _add_solve(app: "typer.Typer") -> None:
    import typer

    @app.command()
    def solve(
        problem: Annotated[Path, typer.Argument(help="A TOML file such as examples/heat_rod.toml.")],
        out: Annotated[
            Path | None, typer.Option(help="Folder for the solution and its picture; by default named as the file.")
        ] = None,
        format: Annotated[str, typer.Option(help="Of the solution: netcdf or zarr.")] = "netcdf",
        animate: Annotated[bool, typer.Option("--animate", help="Also write an animation of the fields.")] = False,
        quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, and no table at the end.")] = False,
    ) -> None:
        """Solve a partial or ordinary differential equation that a small file describes."""
        if format not in _OF_FORMATS:
            _fail(f"--format must be one of {', '.join(_OF_FORMATS)}; got {format}")
        _require("solve", {"xarray": "xarray", "matplotlib": "matplotlib", **_OF_FORMATS[format]}, "cli,pde")
        from kutta.problem_files.run import run

        with _told(problem, "solution", " Nothing is written."):
            run(problem, out, format, quiet, animate)


_OF_FORMATS = {"netcdf": {"h5netcdf": "h5netcdf"}, "zarr": {"zarr": "zarr"}}


def _add_train(app: "typer.Typer") -> None:
    import typer

    @app.command()
    def train(
        surrogate: Annotated[Path, typer.Argument(help="A TOML file such as examples/darcy_surrogate.toml.")],
        out: Annotated[
            Path | None,
            typer.Option(help="Folder for models, tables and pictures; by default named as the file."),
        ] = None,
        restart: Annotated[bool, typer.Option("--restart", help="Take away data and runs of other settings.")] = False,
        quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars, and no tables at the end.")] = False,
    ) -> None:
        """Train neural operators on solutions of an equation, and compare them with classical methods."""
        _require("train", _OF_TRAIN, "cli,pde,progress,training")
        from kutta.surrogate_study.run import run

        with _told(surrogate, "study"):
            run(surrogate, out, restart, quiet)


def _add_methods(app: "typer.Typer") -> None:
    @app.command()
    def methods() -> None:
        """List the methods with order, step control, kind, interpolant and source."""
        from rich.console import Console

        Console().print(methods_table())


def _add_bench(app: "typer.Typer") -> None:
    import typer

    @app.command()
    def bench(
        name: Annotated[str | None, typer.Argument(help="Which benchmark to run; without one, list them.")] = None,
        arguments: Annotated[list[str] | None, typer.Argument(help="Passed on to the benchmark, after --.")] = None,
        listed: Annotated[bool, typer.Option("--list", help="List the benchmarks and exit.")] = False,
    ) -> None:
        """Run a benchmark of a source checkout."""
        folder = benchmarks_folder()
        if listed or name is None:
            _list_benchmarks(folder)
        else:
            raise typer.Exit(run_benchmark(folder, name, arguments or ()))


def _fail(message: str) -> NoReturn:
    """Print an error and exit with status 2."""
    print(f"Error: {message}", file=sys.stderr)
    raise SystemExit(2)


@contextmanager
def _told(file: Path, what: str, after: str = "") -> Iterator[None]:
    """Exit with what was refused or failed while a file was worked on.

    Args:
        file: that says what is to be done.
        what: is written, in words.
        after: a failed solve, a further sentence.
    """
    from kutta import SolveError

    try:
        yield
    except ValueError as refused:
        _fail(str(refused))
    except SolveError as failed:
        _fail(f"{file}: {failed.result.name} at t = {failed.t:.9g}: {failed.advice}{after and '.' + after}")
    except OSError as refused:
        _fail(f"the {what} of {file} cannot be written: {refused}")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"kutta {version('kutta')}")
        raise SystemExit(0)


_OF_SAMPLE = {"matplotlib": "matplotlib", "pytorch_lightning": "pytorch-lightning", "safetensors": "safetensors"}
_OF_TRAIN = {
    "h5py": "h5py",
    "matplotlib": "matplotlib",
    "pytorch_lightning": "pytorch-lightning",
    "safetensors": "safetensors",
    "tensorboard": "tensorboard",
    "tqdm": "tqdm",
    "xarray": "xarray",
}
_OF_DEMO = {"jinja2": "jinja2", "sklearn": "scikit-learn", **_OF_SAMPLE, **_OF_TRAIN}


def _require(command: str, packages: "Mapping[str, str]", extra: str = "demo") -> None:
    """Exit with the name of the first package that is missing.

    Args:
        command: that needs them.
        packages: their names, by that of the module.
        extra: of kutta that they come with.
    """
    from importlib.util import find_spec

    for module, package in packages.items():
        if find_spec(module) is None:
            _fail(MISSING_EXTRA.format(command=command, name=package, extra=extra))


def public_methods() -> "Iterator[tuple[str, type[Method]]]":
    """Name and class of every public method."""
    import kutta

    for name in kutta.__all__:
        value = getattr(kutta, name)
        if isinstance(value, type) and issubclass(value, kutta.Method) and value is not kutta.Method:
            yield name, value


def public_samplers() -> "Iterator[tuple[str, type[Sampler]]]":
    """Name and class of every public sampler of diffusion models."""
    import kutta

    everything = {name: getattr(kutta, name) for name in kutta.__all__}
    everything |= {name: getattr(kutta.diffusion, name) for name in kutta.diffusion.__all__}
    bases = kutta.diffusion.Sampler, kutta.diffusion.Momentum
    for name, value in everything.items():
        if isinstance(value, type) and issubclass(value, bases) and value not in bases:
            yield name, value


def methods_table() -> Any:
    """The rich table of `kutta methods`: a section a kind, ascending in order."""
    from rich import box
    from rich.table import Table

    table = Table(
        title="Methods of kutta",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    for header, settings in _COLUMNS.items():
        table.add_column(header, **settings)
    rows = [describe(name, method) for name, method in public_methods()]
    rows += [describe_sampler(name, sampler) for name, sampler in public_samplers()]
    listed = sorted(rows, key=lambda one: one.place)
    for kind in dict.fromkeys(one.kind for one in listed):
        table.add_row(f"[bold]{kind}[/]")
        for one in listed:
            if one.kind == kind:
                table.add_row(one.name, one.order, one.error, one.dense, one.source)
        table.add_section()
    table.caption = _CAPTION
    return table


_COLUMNS: "dict[str, dict[str, Any]]" = {
    "method": {"no_wrap": True},
    "order": {"justify": "right"},
    "error": {"justify": "right"},
    "dense": {"justify": "right"},
    "source": {"overflow": "fold"},
}
_CAPTION = "error: local order of the error estimate, – for fixed steps only. dense: order of the interpolant."


class Row(NamedTuple):
    """What the listing says of a method."""

    kind: str
    name: str
    order: str
    error: str
    dense: str
    source: str
    place: tuple[str, float, str]


def describe(name: str, method: "type[Method]") -> Row:
    """The row of one method, read off an instance with its default arguments."""
    from dataclasses import MISSING, fields

    arguments = {one.name: one.default for one in fields(method) if one.init}  # type: ignore[arg-type]
    if MISSING in arguments.values():
        return Row(method.kind, name, "", "", "", "coefficients of your own", (method.kind, float("inf"), name))
    one = method()
    place = (one.kind, float(one.order), name)
    error = "–" if one.error_order is None else str(one.error_order)
    if "order" not in arguments:
        return Row(one.kind, name, str(one.order), error, str(one.interpolant_order), one.source, place)
    lowest, highest = _orders(method)
    adapts = "–" if one.error_order is None else "yes"
    return Row(one.kind, name, f"{lowest}–{highest}", adapts, str(one.interpolant_order), one.source, place)


def describe_sampler(name: str, sampler: "type[Sampler]") -> Row:
    """The row of one sampler: its orders, if they are an argument, and the source that its documentation names."""
    from dataclasses import fields
    from inspect import getdoc

    orders = ""
    if "order" in {one.name for one in fields(sampler)}:  # type: ignore[arg-type]
        lowest, highest = _orders(sampler)
        orders = f"{lowest}–{highest}"
    _, _, source = (getdoc(sampler) or "").partition("Source: ")
    source = " ".join(source.split("\n\n")[0].split())
    return Row(_SAMPLERS, name, orders, "", "", source, (_SAMPLERS, 0.0, name))


_SAMPLERS = "sampler"


def _orders(method: Any) -> tuple[int, int]:
    """The lowest and highest order that a method with the argument `order` accepts."""
    accepted = []
    for order in range(1, 31):
        with suppress(ValueError):
            accepted.append(method(order=order).order)
    return accepted[0], accepted[-1]


def benchmarks_folder() -> Path:
    """The folder of benchmarks in the checkout that the package was installed from."""
    import kutta

    package = Path(kutta.__file__).resolve().parent
    folder = package.parent / "benchmarks"
    if not (folder.is_dir() and (package.parent / "pyproject.toml").is_file()):
        _fail(NO_CHECKOUT.format(package=package))
    return folder


def benchmark_names(folder: Path) -> list[str]:
    """The benchmarks: modules whose names start with a letter."""
    return sorted(path.stem for path in folder.glob("[a-z]*.py"))


def _list_benchmarks(folder: Path) -> None:
    import ast

    from rich.console import Console
    from rich.table import Table

    table = Table("benchmark", "question")
    for name in benchmark_names(folder):
        text = ast.get_docstring(ast.parse((folder / f"{name}.py").read_text())) or ""
        table.add_row(name, text.split("\n\n")[0].replace("\n", " "))
    Console().print(table)
    Console().print("Run one with: kutta bench NAME", highlight=False)


def run_benchmark(folder: Path, name: str, arguments: Sequence[str] = ()) -> int:
    """Run ``python -m benchmarks.NAME`` in the checkout; returns its exit status."""
    import subprocess

    names = benchmark_names(folder)
    if name not in names:
        _fail(f"there is no benchmark {name!r}; there are: {', '.join(names) or 'none'}")
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=folder.parent).returncode


if __name__ == "__main__":
    main()

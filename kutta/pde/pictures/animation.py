"""Fields that move: one picture for each time, as a GIF, or as a film where there is ffmpeg."""

from __future__ import annotations

import base64
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kutta.files import replacing
from kutta.optional import needed
from kutta.pde.pictures.drawing import (
    STYLE,
    Shown,
    draw_bar,
    draw_plane,
    draw_slice,
    frame,
    panel_size,
    scale,
    shown,
    slice_of,
)

if TYPE_CHECKING:
    from kutta.solution import Solution

SUFFIXES = {".gif": "image/gif", ".mp4": "video/mp4"}
# The least and the most frames a second. A GIF gives the time of a frame in two bytes, in hundredths of a second, and
# viewers take 1 for 10.
RATES = {".gif": (0.01, 50.0), ".mp4": (0.01, 100.0)}
DPI = 100

# Palette colours that are lighter than this are meant to be white.
_PAPER = 247


@dataclass(frozen=True)
class Animation:
    """A rendered animation; notebooks show it.

    Attributes:
        data: the contents of the file.
        kind: ``"image/gif"`` or ``"video/mp4"``.
        frames: how many pictures there are.
    """

    data: bytes
    kind: str
    frames: int

    def __repr__(self) -> str:
        return f"Animation({self.kind}, {self.frames} frames, {len(self.data):,} bytes)"

    def _repr_html_(self) -> str:
        source = f"data:{self.kind};base64,{base64.b64encode(self.data).decode()}"
        return f'<img src="{source}">' if self.kind == "image/gif" else f'<video src="{source}" controls loop></video>'


def animate(solution: Solution, path: str | os.PathLike[str] | None, fps: float, progress: bool) -> Animation:
    """See `Solution.animate`."""
    suffix = ".gif" if path is None else Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"path must end in .gif or .mp4; got {path}")
    least, most = RATES[suffix]
    if not least <= fps <= most:
        raise ValueError(f"fps of a {suffix} must be from {least:g} to {most:g}; got {fps!r}")
    if solution.space is None:
        raise ValueError("animate() draws the fields of partial differential equations; use plot() for others")
    for package in ("PIL", "matplotlib"):
        needed(package, "animate()", "pde")
    what = shown(solution)
    if what.times is None or what.values.shape[1] < 2:
        raise ValueError("there is one time only: solve with save_at times to animate")
    data = (_gif if suffix == ".gif" else _film)(what, fps, progress)
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    return Animation(data, SUFFIXES[suffix], what.values.shape[1])


class Scene:
    """One figure whose artists take the values of another time."""

    def __init__(self, what: Shown):
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with rc_context(STYLE):
            self.figure = Figure(dpi=DPI, layout="compressed" if what.grid.dim == 2 else "constrained")
            self.canvas = FigureCanvasAgg(self.figure)
            self._what = what
            self._title = self.figure.suptitle(self._words(-1))
            self._updates = {1: _lines, 2: _planes, 3: _slices}[what.grid.dim](self.figure, what)
            self.canvas.draw()
        self.figure.set_layout_engine("none")  # or the panels would move with the numbers in the title

    def _words(self, place: int) -> str:
        return f"{self._what.title}\n{self._what.at(place)}"

    def show(self, place: int) -> None:
        """Draw another time."""
        self._title.set_text(self._words(place))
        for update in self._updates:
            update(place)

    def image(self, place: int) -> Any:
        """The picture of a time."""
        from PIL import Image

        self.show(place)
        self.canvas.draw()
        return Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3].copy())


Updates = list[Callable[[int], None]]


def _lines(figure: Any, what: Shown) -> Updates:
    rows = len(what.names)
    figure.set_size_inches(6.0, 1.0 + 2.4 * rows)
    axes = figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0]
    updates: Updates = []
    for axis, name, values in zip(axes, what.names, what.values, strict=True):
        (line,) = axis.plot(what.grid.axis_points(0), values[0], color="#2b6cb0", linewidth=1.8)
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        room = 0.06 * (high - low) or 0.5
        frame(axis, name)
        axis.set(ylim=(low - room, high + room))
        updates.append(lambda place, line=line, values=values: line.set_ydata(values[place]))
    axes[-1].set(xlabel="x")
    return updates


def _planes(figure: Any, what: Shown) -> Updates:
    width, height = panel_size(what.grid)
    columns = len(what.names)
    figure.set_size_inches(0.4 + columns * (1.4 * width + 1.2), 1.1 + 1.4 * height)
    updates: Updates = []
    for axis, name, values in zip(figure.subplots(1, columns, squeeze=False)[0], what.names, what.values, strict=True):
        picture = draw_plane(axis, values[0], what.grid, (0, 1), scale(values))
        draw_bar(figure, picture, axis, name)
        updates.append(lambda place, picture=picture, values=values: picture.set_data(values[place].T))
    return updates


def _slices(figure: Any, what: Shown) -> Updates:
    width, height = panel_size(what.grid)
    rows = len(what.names)
    figure.set_size_inches(1.2 + 3 * (width + 0.5), 1.1 + rows * (height + 0.5))
    updates: Updates = []
    for row, line in enumerate(figure.subplots(rows, 3, squeeze=False)):
        for axis, normal in zip(line, (2, 1, 0), strict=True):
            picture = draw_slice(axis, what, row, 0, normal, scale(what.values[row]))
            updates.append(
                lambda place, picture=picture, row=row, normal=normal: picture.set_data(
                    slice_of(what, row, place, normal).T
                )
            )
        draw_bar(figure, line[0].images[0], line, what.names[row])
    return updates


def _gif(what: Shown, fps: float, progress: bool) -> bytes:
    """With one palette for all frames, or colours would flicker."""
    from PIL import Image

    scene, count = Scene(what), what.values.shape[1]
    few = [scene.image(place) for place in sorted({0, count // 2, count - 1})]
    strip = Image.new("RGB", (few[0].width, few[0].height * len(few)))
    for place, one in enumerate(few):
        strip.paste(one, (0, place * one.height))
    palette = strip.quantize(256, method=Image.Quantize.MEDIANCUT)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[(colours > _PAPER).all(1)] = 255
    palette.putpalette(colours.reshape(-1).tolist())
    frames = [
        scene.image(place).quantize(palette=palette, dither=Image.Dither.NONE) for place in _counted(count, progress)
    ]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=10 * round(100.0 / fps), loop=0, optimize=False
    )
    return buffer.getvalue()


def _film(what: Shown, fps: float, progress: bool) -> bytes:
    from matplotlib.animation import FFMpegWriter

    if not FFMpegWriter.isAvailable():
        raise RuntimeError("a .mp4 needs the program ffmpeg, which is not on the PATH; install it, or write a .gif")
    scene, writer = Scene(what), FFMpegWriter(fps=fps)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        with writer.saving(scene.figure, film, DPI):
            for place in _counted(what.values.shape[1], progress):
                scene.show(place)
                writer.grab_frame()
        return film.read_bytes()


def _counted(frames: int, progress: bool) -> Iterator[int]:
    """The frames, with a bar."""
    if not progress:
        return iter(range(frames))
    return iter(needed("tqdm.auto", "progress=True", "progress").tqdm(range(frames), desc="animate", unit=" frames"))

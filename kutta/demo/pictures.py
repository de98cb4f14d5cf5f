"""Pictures for a page: each is drawn in a light and a dark theme, and for files on white."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """Colours of a picture. Backgrounds stay transparent in SVG."""

    name: str
    ink: str
    faint: str
    paper: str
    blue: str
    orange: str
    teal: str


LIGHT = Theme("light", "#24292f", "#d0d7de", "#ffffff", "#2b6cb0", "#c2541b", "#0f766e")
DARK = Theme("dark", "#d8dee4", "#3d444d", "#161b22", "#6cb6ff", "#f0985f", "#4fd1c5")


@dataclass(frozen=True)
class Picture:
    """A rendered picture.

    Attributes:
        name: stem of its file name.
        title: what it shows, for the heading.
        caption: how to read it.
        light: SVG for a light page.
        dark: SVG for a dark page.
        png: PNG on white.
    """

    name: str
    title: str
    caption: str
    light: bytes
    dark: bytes
    png: bytes


def style(theme: Theme) -> Any:
    """Matplotlib settings of a theme."""
    return {
        "axes.edgecolor": theme.faint,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": theme.ink,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 11,
        "figure.constrained_layout.use": True,
        "figure.facecolor": theme.paper,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": theme.ink,
        "svg.fonttype": "path",
        "svg.hashsalt": "kutta",
        "text.color": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
    }


def render(name: str, title: str, caption: str, draw: Callable[[Theme], Figure]) -> Picture:
    """The picture that `draw` makes, in both themes."""

    def saved(theme: Theme, kind: str) -> bytes:
        with matplotlib.rc_context(style(theme)):
            buffer = io.BytesIO()
            metadata = {"Date": None} if kind == "svg" else {}
            draw(theme).savefig(buffer, format=kind, dpi=160, transparent=kind == "svg", metadata=metadata)
            return buffer.getvalue()

    return Picture(name, title, caption, saved(LIGHT, "svg"), saved(DARK, "svg"), saved(LIGHT, "png"))

"""Colours, fonts and line styles that all figures share, and the style that a user sets for them."""

from __future__ import annotations

import contextlib
import contextvars
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from selfconsume.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK = "#1a1a1a"
MUTED = "#7d7d7d"
PALE = "#e8e8e8"
STYLE: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4d4d4d",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 8.5,
    "xtick.color": "#4d4d4d",
    "ytick.color": "#4d4d4d",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": INK,
    "text.parse_math": False,
    "axes.unicode_minus": True,
}
"""matplotlib settings of all figures."""
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#882255", "#e69f00", "#56b4e9", "#cc79a7", "#000000")
"""Okabe and Ito's colours, told apart by colour-blind readers, with a dark wine in place of their yellow."""

PAPER: dict[str, Any] = {
    "font.family": "serif",
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.2,
    "figure.figsize": (3.4, 2.4),
    "pdf.fonttype": 42,
}
"""One column of a two-column paper; fonts are embedded as text."""
STYLES = {"default": {}, "paper": PAPER}
SUFFIXES = (".png", ".svg", ".pdf")

_own: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar(
    "selfconsume_style", default=MappingProxyType({})
)


class NotebookFigure(Figure):
    """A figure that notebooks show by themselves, without pyplot."""

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        with rc():
            self.savefig(data, format="png", dpi=140)
        return data.getvalue()


@contextlib.contextmanager
def style(settings: str | Path | Mapping[str, Any]) -> Iterator[None]:
    """Draws the figures of a ``with`` block in a style of one's own.

    Args:
        settings: "paper", for one column of a paper; matplotlib's settings, such as ``{"font.size": 7}``; or the path of a
            .mplstyle file. ``figure.figsize`` sets the size of figures of one panel.

    Raises:
        ConfigError: There is no such style, file or setting.
    """
    token = _own.set(settings_of(settings))
    try:
        with rc():
            yield
    finally:
        _own.reset(token)


def settings_of(settings: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """A style as matplotlib's settings, see `style`."""
    if isinstance(settings, str) and settings in STYLES:
        return STYLES[settings]
    if not isinstance(settings, Mapping):
        if not Path(settings).is_file():
            names = ", ".join(map(repr, STYLES))
            raise ConfigError(
                f"style: expected {names}, a table of settings or a .mplstyle file, got {str(settings)!r}"
            )
        try:
            own_file: Any = matplotlib.rc_params_from_file(settings, fail_on_error=True, use_default_template=False)
        except (OSError, ValueError) as error:  # text that is not UTF-8 is one of the latter
            raise ConfigError(
                f"style {settings}: {' '.join(str(error).split())[:200]}; see matplotlib's style sheets"
            ) from None
        return dict(own_file)
    try:
        own: dict[Any, Any] = dict(settings)
        with matplotlib.rc_context(own):
            return own
    except (KeyError, ValueError) as error:
        raise ConfigError(f"style: {' '.join(str(error).split())[:200]}") from None


def rc() -> Any:
    """A context of matplotlib's settings: those of the package, and over them those of the user."""
    settings: dict[Any, Any] = {**STYLE, **_own.get()}
    return matplotlib.rc_context(settings)


def canvas(size: tuple[float, float], *, dpi: float | None = None, layout: Any = None, fixed: bool = True) -> Figure:
    """An empty figure of a size in inches; unless ``fixed``, of the size that the user's style sets."""
    own = _own.get().get("figure.figsize")
    figure = NotebookFigure(size if fixed or own is None else tuple(own), dpi=dpi, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path, where: str = "--figure") -> Path:
    """Writes a figure in the format of the path's suffix; the same figure gives the same bytes.

    Raises:
        ConfigError: The suffix is none of .png, .svg and .pdf, or the path cannot be written.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{where} {path}: expected a file that ends in .png, .svg or .pdf")
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
    try:
        with rc(), matplotlib.rc_context({"svg.hashsalt": "selfconsume"}):
            figure.savefig(path, metadata=metadata, dpi=300 if path.suffix == ".png" else "figure")
    except OSError as error:
        raise ConfigError(f"{where} {path}: cannot be written ({error.strerror})") from None
    return path

"""Figures that print, survive colour blindness and are described in words."""

import io
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.text import Text

from attm_companion.book.notebook_gates import is_wordless
from attm_core.errors import InputError

# Okabe and Ito (2008): eight colours told apart with any colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DOTS_PER_INCH = 144
GREY = "#777777"  # letters that can be read on white and on black


def use_style() -> None:
    """Set the project's matplotlib style: palette with markers, light grid, opaque background."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=PALETTE, marker=MARKERS),
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.titlesize": 10.0,
            "axes.labelsize": 10.0,
            "xtick.labelsize": 9.0,
            "ytick.labelsize": 9.0,
            "legend.fontsize": 9.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": "#dddddd",
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "savefig.transparent": False,
            "figure.figsize": (7.0, 3.8),
            "figure.constrained_layout.use": True,
            "font.size": 10.0,
        }
    )


def show_figure(figure: Figure, alt: str, caption: str = "") -> None:
    """Display a figure with its description, then close it.

    Args:
        figure: a matplotlib figure; one to a cell.
        alt: what it shows, for those who cannot see it: chart type, axes, main finding.
        caption: printed below it in the book.

    Raises:
        InputError: ``alt`` is empty, a file name, or shorter than a sentence.
    """
    if is_wordless(alt) or len(alt.split()) < 4:
        raise InputError(f"describe the figure in a sentence, not {alt!r}")

    plot = not any(axes.images for axes in figure.axes)  # may be shown light on dark
    if not plot:
        _on_any_ground(figure)
    described = {"image/png": {"alt": alt, "caption": caption, "plot": plot}}
    plain = {"text/plain": f"Figure. {caption or alt}"}
    display({"image/png": png_bytes(figure), **plain}, raw=True, metadata=described)
    plt.close(figure)


def _on_any_ground(figure: Figure) -> None:
    """A picture keeps its colours in the dark theme, so nothing around it may be white or black."""
    figure.patch.set_alpha(0.0)
    for axes in figure.axes:
        axes.grid(visible=False)  # white lines over a spectrogram
        axes.tick_params(colors=GREY)
    for text in figure.findobj(Text):
        text.set_color(GREY)


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG that depends on nothing but the figure."""
    stream = io.BytesIO()
    ground = "none" if figure.patch.get_alpha() == 0.0 else "white"
    options: dict[str, Any] = {"metadata": {"Software": None}, "facecolor": ground}
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, **options)
    return stream.getvalue()

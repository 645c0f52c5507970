"""The one look of every picture in the course: colours, sizes, fonts."""

from __future__ import annotations

import matplotlib as mpl

from course_lib.plots import fonts

# Okabe and Ito's eight colours: told apart with any of the common kinds of colour blindness.
# Source: Okabe & Ito 2008, "Color Universal Design".
COLORS: dict[str, str] = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#222222",
}
GREY = "#767676"  # floors, reference lines, things that are not data
BACKGROUND = "#FCFCFA"  # opaque and light, so that a picture reads on a dark page too
PAPER = {"facecolor": BACKGROUND, "edgecolor": "none", "pad": 0.6}  # the box of a label that lines would run through
HEATMAP = "cividis"  # the map that looks the same to all eyes; light means much

# A picture is shown at 96 pixels per inch, so that 10 pt in it is as large as the text around it,
# and stored with half as many pixels again, so that it stays sharp on a dense screen.
SHOWN_DPI = 96
STORED_DPI = 144


def style() -> None:
    """Set matplotlib's defaults to the course's look. Call it as often as you like."""
    families = fonts.register()
    mpl.rcParams.update(
        {
            "font.family": families,
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.labelsize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "axes.unicode_minus": True,
            "axes.prop_cycle": mpl.cycler(color=list(COLORS.values())),
            "axes.edgecolor": "#555555",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.facecolor": BACKGROUND,
            "figure.facecolor": BACKGROUND,
            "savefig.facecolor": BACKGROUND,
            "axes.grid": False,
            "grid.color": "#DDDDDD",
            "grid.linewidth": 0.6,
            "legend.frameon": True,
            "legend.framealpha": 0.85,
            "legend.edgecolor": "none",
            "legend.facecolor": BACKGROUND,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "image.cmap": HEATMAP,
            "image.interpolation": "nearest",
            "figure.figsize": (7.0, 3.6),
            "figure.dpi": SHOWN_DPI,
            "savefig.dpi": STORED_DPI,
            "figure.constrained_layout.use": True,
            "figure.max_open_warning": 0,
            "svg.hashsalt": "course",
        }
    )

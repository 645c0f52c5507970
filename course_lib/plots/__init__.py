"""Pictures. `style()` sets the look, `show(figure, caption, alt)` puts a figure into the notebook.

The drawing functions of the lessons live in topic modules beside this file; what all lessons need is here.
"""

from course_lib.plots.charts import bars, heatmap, line_with_spread, to_numpy
from course_lib.plots.fonts import drawable
from course_lib.plots.output import png_bundle, show, to_png
from course_lib.plots.theme import BACKGROUND, COLORS, GREY, HEATMAP, PAPER, style

__all__ = [
    "BACKGROUND",
    "COLORS",
    "GREY",
    "HEATMAP",
    "PAPER",
    "bars",
    "drawable",
    "heatmap",
    "line_with_spread",
    "png_bundle",
    "show",
    "style",
    "to_numpy",
    "to_png",
]

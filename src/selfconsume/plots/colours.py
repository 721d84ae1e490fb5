"""Contrast of colours, and their counterparts on light and dark pages."""

from __future__ import annotations

import colorsys

from matplotlib.colors import to_hex, to_rgb

from selfconsume.plots.style import PALETTE

PAPER, NIGHT = "#ffffff", "#15181c"
"""Backgrounds of a light and a dark page."""
TEXT_CONTRAST = 4.5
"""Least contrast of text with its background: WCAG 2.2, success criterion 1.4.3."""
DASHES = ("-", (0, (5, 1.5)), (0, (2, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (8, 2)), (0, (1, 1)), (0, (4, 1, 1, 1, 1, 1)))
"""Line styles beside the colours of `PALETTE`."""


def dash(colour: str) -> str | tuple:
    """The line style that goes with a colour of the palette, for readers who do not see it; solid for other colours."""
    return DASHES[PALETTE.index(colour) % len(DASHES)] if colour in PALETTE else "-"


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour, between 0 and 1 (WCAG 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, background: str) -> float:
    """Contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted([luminance(colour), luminance(background)])
    return (high + 0.05) / (low + 0.05)


def readable(colour: str, background: str = PAPER) -> str:
    """The colour, darker or lighter until text in it is readable on the background; the hue stays."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    step = -0.01 if luminance(background) > 0.2 else 0.01
    shade = to_hex(colour)
    while contrast(shade, background) < TEXT_CONTRAST and 0 < lightness + step < 1:
        lightness += step
        shade = to_hex(colorsys.hls_to_rgb(hue, lightness, saturation))
    return shade


def on_dark(colour: str) -> str:
    """The counterpart of a colour of a light page on a dark one: greys change sides, hues are lightened."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    if saturation < 0.08:
        return to_hex(colorsys.hls_to_rgb(hue, 0.97 - 0.85 * lightness, saturation))
    return readable(colour, NIGHT)

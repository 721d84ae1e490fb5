"""A table of texts as Markdown, LaTeX and HTML."""

from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path

from selfconsume.errors import ConfigError

COLOURS = {
    "stable": "#006d4d",
    "improved": "#006d4d",
    "equal": "#006d4d",
    "better": "#006d4d",
    "drifting": "#9a5b00",
    "worse": "#b3261e",
    "collapsed": "#b3261e",
    "diverged": "#b3261e",
}
"""Word of a verdict or a comparison -> its colour on a light page."""
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "∞": r"$\infty$",
    "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
SUFFIXES = (".md", ".tex", ".html")


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table of texts.

    Attributes:
        columns: Heads.
        rows: Texts, as many as heads in each row.
        title: One line above; "" for none.
        n_labels: Columns from the left that name the row; the others are set to the right.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    n_labels: int = 1

    def markdown(self) -> str:
        """GitHub's Markdown."""
        rule = ["---"] * self.n_labels + ["---:"] * (len(self.columns) - self.n_labels)
        lines = [self.columns, rule, *self.rows]
        body = "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)
        return (f"{self.title}\n\n" if self.title else "") + body + "\n"

    def latex(self) -> str:
        """A ``tabular`` with the rules of the package booktabs; the title is a comment."""
        layout = "l" * self.n_labels + "r" * (len(self.columns) - self.n_labels)
        lines = [" & ".join(map(_escaped, row)) + r" \\" for row in (self.columns, *self.rows)]
        body = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
        return "\n".join([*([f"% {self.title}"] if self.title else []), *body, r"\end{tabular}"]) + "\n"

    def html(self) -> str:
        """A ``<table>``; words of verdicts are coloured."""
        head = "".join(f"<th style='text-align:left'>{html.escape(text)}</th>" for text in self.columns)
        body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in self.rows)
        title = f"<caption style='text-align:left'>{html.escape(self.title)}</caption>" if self.title else ""
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def save(self, path: str | Path) -> Path:
        """Writes the table in the format of the path's suffix: .md, .tex or .html.

        Raises:
            ConfigError: Another suffix, or the path cannot be written.
        """
        path = Path(path)
        formats = dict(zip(SUFFIXES, (self.markdown, self.latex, self.html), strict=True))
        if path.suffix not in formats:
            raise ConfigError(f"{path}: expected a file ending in {', '.join(SUFFIXES)}")
        try:
            path.write_text(formats[path.suffix](), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None
        return path

    def column(self, name: str) -> list[str]:
        """The texts of a column."""
        i = self.columns.index(name)
        return [row[i] for row in self.rows]

    def _repr_html_(self) -> str:
        return self.html()

    def __str__(self) -> str:
        return self.markdown()


def _escaped(text: str) -> str:
    return re.sub("|".join(map(re.escape, SPECIAL)), lambda match: SPECIAL[match[0]], text)


def _cell(text: str) -> str:
    colour = COLOURS.get(text)
    style = f";color:{colour};font-weight:bold" if colour else ""
    return f"<td style='text-align:left{style}'>{html.escape(text)}</td>"

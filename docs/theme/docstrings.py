"""Docstrings as Markdown: formulas that the code writes in reStructuredText, and names in double backticks."""

import re
import textwrap

import griffe

DISPLAY = re.compile(r"^([ ]*)\.\. math::[ ]*(.*)\n((?:[ ]*\n|\1[ ]+.*\n?)*)", re.MULTILINE)


def markdown(text: str) -> str:
    """A docstring with its formulas between dollars."""

    def display(match: re.Match) -> str:
        indent, first, rest = match.groups()
        formula = " ".join(f"{first}\n{textwrap.dedent(rest)}".split())
        return f"\n{indent}$$\n{indent}{formula}\n{indent}$$\n\n"

    text = DISPLAY.sub(display, text + "\n")
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    return re.sub(r"``([^`]*)``", r"`\1`", text)


class Formulas(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **options) -> None:
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)

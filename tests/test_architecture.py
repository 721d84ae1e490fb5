"""The shape of the house: imports point one way, files are short, and what must not be there is not."""

import ast
import itertools
import re
from pathlib import Path

import pytest

import selfconsume
from tests.layers import RANK

ROOT = Path(selfconsume.__file__).parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def imports(tree, top_only=False):
    """Modules that a file imports, whole names; those inside functions too."""
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(tree, top_only=False):
    """Modules of this package that a file imports."""
    names = {name.removeprefix("selfconsume").lstrip(".") for name in imports(tree, top_only) if "selfconsume" in name}
    found = {name for name in names if name in FILES}
    # `from selfconsume.models.nets.mlp import x` names the package too; only the deepest module is meant.
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def package(name):
    return name.split(".")[0]


def test_every_package_has_its_place():
    assert own(TREES["lanes.fit_inputs"]) >= {"loop.pool", "lanes.generation_programs"}
    assert {package(name) for name in FILES} - {"__init__"} == set(RANK)


@pytest.mark.parametrize("name", [name for name in FILES if name != "__init__"])
def test_imports_point_one_way(name):
    for other in own(TREES[name]) - {name}:
        if package(other) != package(name):
            assert RANK[package(other)] < RANK[package(name)], f"{name} stands beside or below {other}"


def test_recipes_do_not_import_each_other():
    """A kind is a file that needs no other kind: what several of them share has a file of its own."""
    for role in ("regimes", "curations", "families", "extractors"):
        kinds = {name for name in FILES if name.startswith(f"{role}.")} - {
            "regimes.schedules",
            "curations.reward",
            "extractors.feature_source",
        }
        for name in kinds:
            assert not own(TREES[name]) & (kinds - {name}), f"{name} imports another kind"


def test_nothing_imports_in_a_circle():
    graph = {name: own(tree) - {name} for name, tree in TREES.items()}
    done = set()
    while ready := {name for name, others in graph.items() if name not in done and others <= done}:
        done |= ready
    assert set(graph) - done == set()


def test_theory_in_closed_form_knows_nothing_of_the_loop():
    """What tests and predictions are judged by must not be computed by what it judges."""
    forms = [name for name in FILES if name.startswith("theory.closed_forms.")]
    assert len(forms) > 6
    for name in (*forms, "theory.stability.bounds"):
        assert all(other.startswith("theory.closed_forms") for other in own(TREES[name])), name


def users(library):
    return {name for name, tree in TREES.items() if any(each.split(".")[0] == library for each in imports(tree))}


def test_libraries_are_used_where_they_belong():
    """Drawing, transport and clusters in one place each; nothing that executes what it reads, and no second framework."""
    for forbidden in ("torch", "pickle", "cloudpickle", "dill", "tensorflow", "pandas", "shelve", "marshal"):
        assert users(forbidden) == set()
    assert users("ray") <= {"execution.engines.ray"}
    assert users("ott") <= {"metrics.transport"}
    assert {package(name) for name in users("matplotlib")} <= {"plots", "report", "answers", "cli"}
    assert {package(name) for name in users("typer")} <= {"cli"}
    # Slow to import: only inside the functions that need it.
    assert not any(each.startswith("ott") for each in imports(TREES["metrics.transport"], top_only=True))


def test_the_command_line_answers_before_jax_is_imported():
    """Neither the entry point nor what it imports at the top of a file needs more than typer."""
    heavy = {"jax", "numpy", "equinox", "polars", "scipy", "matplotlib", "pydantic", "rich"}
    reached, queue = set(), ["__init__", "cli.start", "cli.main"]
    while queue:
        name = queue.pop()
        reached.add(name)
        assert not {library.split(".")[0] for library in imports(TREES[name], top_only=True)} & heavy, name
        queue += own(TREES[name], top_only=True) - reached
    modules = {name for name, path in FILES.items() if path.name != "__init__.py"}
    commands = {name for name in modules if name.startswith("cli.") and not name.startswith("cli.display")}
    assert reached == {"__init__"} | commands and len(commands) > 12
    assert own(TREES["__init__"], top_only=True) == set()


@pytest.mark.parametrize("name", FILES)
def test_files_are_short_and_finished(name):
    text = FILES[name].read_text()
    assert len(text.splitlines()) <= 320
    for unfinished in ("NotImplementedError", "TODO", "FIXME", "XXX"):
        assert unfinished not in text
    assert ast.get_docstring(TREES[name]), "every module says what it is"
    assert "from __future__ import annotations" in text or len(text.splitlines()) < 10


VAGUE = set(
    re.findall(
        r"\w+",
        "each there these those found known said gone given seen such other others what whole thing things here once then it "
        "its one ones much many lack now before after beside kept taken held told drawn asked wanted",
    )
)
"""Pronouns, adverbs and participles: a name is a noun, a function a verb or what it returns."""


def variables(tree):
    """Names of variables, arguments and functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef):
            yield node.name


@pytest.mark.parametrize("name", FILES)
def test_names_say_what_things_are(name):
    assert not {"utils", "util", "helpers", "common", "misc"} & set(name.split("."))
    classes = [node.name for node in ast.walk(TREES[name]) if isinstance(node, ast.ClassDef)]
    assert not [cls for cls, end in itertools.product(classes, ("Manager", "Base", "Handler")) if cls.endswith(end)]
    assert not {variable for variable in variables(TREES[name]) if variable.strip("_") in VAGUE}


MANY_ARGUMENTS = {
    # A closed form has an argument for each symbol of its formula, all but the first few by keyword.
    "theory.closed_forms.mixing": {"mixed_moments"},
    "theory.stability.linearisation": {"linearise"},
}


@pytest.mark.parametrize("name", FILES)
def test_functions_are_short_and_take_few_arguments(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            count = len([argument for argument in arguments if argument.arg not in ("self", "cls")])
            assert count <= 9 or package(name) == "cli" or node.name in MANY_ARGUMENTS.get(name, ()), (
                f"{node.name} takes {count} arguments"
            )


def test_packages_are_small_and_say_what_they_hold():
    folders = [path for path in ROOT.rglob("*") if path.is_dir() and any(path.glob("*.py"))]
    assert len(list(ROOT.glob("*.py"))) <= 8
    for folder in folders:
        assert len(list(folder.glob("*.py"))) <= 20, folder.name
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), f"{folder.name} says nothing"


@pytest.mark.parametrize("name", FILES)
def test_private_names_stay_in_their_file(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("selfconsume"):
            assert not [alias.name for alias in node.names if alias.name.startswith("_")]


def test_randomness_and_exits_are_where_they_belong():
    """No global seeds; and nothing but the command line ends the process."""
    for name, path in FILES.items():
        text = path.read_text()
        assert "np.random.seed" not in text and "random.seed(" not in text
        assert "sys.exit" not in text or name == "cli.main"

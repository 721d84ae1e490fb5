import importlib
from pathlib import Path

import pytest

import selfconsume as sc
from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace

ROOT = Path(sc.__file__).parent


def test_every_name_leads_to_a_class_of_its_role_and_back():
    assert set(registry.roles()) == set(registry.ROLES)
    for role, base in registry.ROLES.items():
        assert registry.kinds(role)
        for kind in registry.kinds(role):
            cls = registry.find(role, kind)
            assert issubclass(cls, base)
            assert registry.kind_of(role, cls) == kind
            assert kind == kind.lower() and kind.isidentifier()


def test_a_class_has_one_name():
    for role in registry.roles():
        classes = [registry.find(role, kind) for kind in registry.kinds(role)]
        assert len(set(classes)) == len(classes)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"^regime.kind: unknown 'replac'; did you mean 'replace'\?$"):
        registry.find("regime", "replac")
    with pytest.raises(ConfigError, match=r"^axes.regime.kind: unknown 'zzz'; expected one of 'real_only', 'mix', "):
        registry.find("regime", "zzz", "axes.regime")


def test_your_own_class_becomes_a_kind(monkeypatch):
    for role in registry.roles():
        monkeypatch.setitem(registry._KINDS, role, dict(registry._KINDS[role]))

    class Mine(Mix):
        """Mine."""

    assert registry.kind_of("regime", Mine).endswith(":test_your_own_class_becomes_a_kind.<locals>.Mine")
    registry.register("regime", "mine", Mine)
    assert registry.find("regime", "mine") is Mine
    assert registry.kind_of("regime", Mine) == "mine"
    assert "mine" in registry.kinds("regime")
    registry.register("regime", "mine", Mine)  # again, as when a notebook's cell is run twice
    with pytest.raises(ConfigError, match="register: regime 'replace' is taken; choose another name"):
        registry.register("regime", "replace", Mine)
    registry.register("regime", "replace", Replace)
    with pytest.raises(ConfigError, match=r"unknown role 'regimes'; did you mean 'regime'\?"):
        registry.register("regimes", "mine", Mine)
    with pytest.raises(ConfigError, match="register: expected a subclass of Metric for metric"):
        registry.register("metric", "mine", Mine)


@pytest.fixture
def fresh(monkeypatch):
    """A registry that forgets what a test registers."""
    for role in registry.roles():
        monkeypatch.setitem(registry._KINDS, role, dict(registry._KINDS[role]))


CELL = """
import dataclasses
import selfconsume as sc

@dataclasses.dataclass(frozen=True)
class Mine(sc.Regime):
    share: float = {share}
    def plan(self, t, n_real, n_synthetic):
        return sc.Plan((n_real, n_synthetic), (1.0, 1.0))

sc.register("regime", "mine", Mine)
"""


def test_a_cell_that_is_run_again_replaces_its_class(fresh):
    """In a notebook, a class that is defined again is another object of the same name in the same module."""
    for share in (0.5, 0.25):
        exec(compile(CELL.format(share=share), "cell", "exec"), {"__name__": "__main__"})
        assert sc.regime("mine").share == share
    with pytest.raises(ConfigError, match="register: regime 'mine' is taken; choose another name"):
        exec(compile(CELL.format(share=1.0), "cell", "exec"), {"__name__": "another_module"})
    assert sc.regime("mine").share == 0.25


def test_the_page_and_the_imports_for_editors_are_those_of_the_lists(monkeypatch):
    """A failure here means that `make kinds` is to be run."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "docs" / "theme")
    import kinds

    assert kinds.page() == kinds.PAGE.read_text(encoding="utf-8")
    for role, package in registry.PACKAGES.items():
        text = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
        assert kinds.package_text(role) == text
        assert all(
            entry.rpartition(":")[2] in text for entry in importlib.import_module(f"selfconsume.{package}").KINDS
        )


@pytest.mark.parametrize("role", registry.roles())
def test_a_package_has_its_kinds_as_public_classes(role):
    package = importlib.import_module(f"selfconsume.{registry.PACKAGES[role]}")
    classes = [registry.find(role, kind) for kind in package.KINDS]
    assert dir(package) == sorted(cls.__name__ for cls in classes)
    assert all(getattr(package, cls.__name__) is cls for cls in classes)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


@pytest.mark.parametrize("kind", ["", "My Model", "my-model", "Mine", "1st", "_mine", "a.b", "modèle", "a\nb", None, 3])
def test_a_kind_name_is_one_word(kind):
    with pytest.raises(ConfigError, match="expected a kind name of lower-case letters, digits and underscores"):
        registry.register("regime", kind, Mix)
    assert kind not in registry.kinds("regime")

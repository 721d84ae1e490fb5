import ast
import importlib
from pathlib import Path

import pytest

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace


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


@pytest.mark.parametrize("role", registry.roles())
def test_a_package_has_its_kinds_as_public_classes(role):
    package = importlib.import_module(f"selfconsume.{registry.PACKAGES[role]}")
    classes = [registry.find(role, kind) for kind in package.KINDS]
    assert sorted(cls.__name__ for cls in classes) == sorted(package.__all__)
    assert all(getattr(package, cls.__name__) is cls for cls in classes)
    # The imports that editors and type checkers read.
    tree = ast.parse(Path(package.__file__).read_text())
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(set(imported) - {"annotations", "TYPE_CHECKING", "Any", "registry"}) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018

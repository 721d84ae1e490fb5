"""Export of one stored generator as a safetensors file whose metadata hold its provenance."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from selfconsume.errors import ConfigError
from selfconsume.results import data_units
from selfconsume.results import format as fmt
from selfconsume.results.store import Store


def generator(store: Store, out: str | Path, *, run: str | None = None, seed: int = 0, generation: int = -1) -> Path:
    """Writes the generator of one generation, usable as ``initial`` of a study and readable from PyTorch.

    Args:
        store: The directory of results.
        out: Where to write; a name that ends in ``.safetensors``.
        run: The run's identity, as `selfconsume status` shows it, or a unique prefix. Optional for a single run.
        seed: One of its seeds.
        generation: The generation; negative ones count from the last stored one.

    Returns:
        The file. Its metadata hold the study's tables, the run, its seed and generation, and the sha256 of the stored
        array file.

    Raises:
        ConfigError: The run, seed or generation is not stored, or stored without generators.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise ConfigError(f"export: expected --out to end in .safetensors, got {str(out)!r}")
    identity, t = find_run(store, run, seed, generation)
    arrays, sha256 = stored_arrays(store, identity, seed, t)
    study = next(study for study in reversed(store.studies) if any(cell["id"] == identity for cell in study["cells"]))
    labels = next(cell["labels"] for cell in study["cells"] if cell["id"] == identity)
    facts = {
        "selfconsume": metadata.version("selfconsume"),
        "study": json.dumps(study["tables"]),
        "run": identity,
        "labels": json.dumps(labels),
        "seed": str(seed),
        "generation": str(t),
        "results_sha256": sha256,
    }
    if (units := data_units.by_run(store).get(identity)) is not None:
        # Samples of the generator are (x - center) / factor of the data.
        facts["units"] = json.dumps(units)
    cell = next(cell for cell in study["cells"] if cell["id"] == identity)
    if (representation := cell.get("measured", {}).get("representation")) is not None:
        # Samples of the generator are codes of the representation with this checksum.
        facts["representation"] = json.dumps(representation)
    try:
        save_file(arrays, out, facts)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"export: cannot write {str(out)!r} ({error})") from None
    return out


def find_run(store: Store, run: str | None, seed: int, generation: int) -> tuple[str, int]:
    """The full identity of a run, and a generation counted from 0.

    Args:
        store: The directory of results.
        run: The run's identity or a unique prefix; None for a single run.
        seed: One of its seeds.
        generation: Negative ones count from the last stored one.

    Raises:
        ConfigError: The run, seed or generation is not stored.
    """
    done = store.progress()
    runs = sorted({identity for identity, _ in done})
    fit = [identity for identity in runs if identity.startswith(run or "")]
    if len(fit) != 1:
        named = "" if run is None else f" that begins with {run!r}"
        labels = {cell["id"]: cell["labels"].values() for study in store.studies for cell in study["cells"]}
        options = [" ".join([name, *(f"({label})" for label in labels.get(name, ()))]) for name in runs[:8]]
        raise ConfigError(
            f"export: expected one run{named}, found {len(fit)} of {len(runs)}; give --run one of {', '.join(options)}"
        )
    if (fit[0], seed) not in done:
        seeds = sorted(stored for identity, stored in done if identity == fit[0])
        raise ConfigError(f"export: run {fit[0]} has no seed {seed}; it has {', '.join(map(str, seeds[:20]))}")
    last = done[fit[0], seed]
    t = last + 1 + generation if generation < 0 else generation
    if not 0 <= t <= last:
        raise ConfigError(f"export: run {fit[0]}, seed {seed} has generations 0 to {last}, not {generation}")
    return fit[0], t


def stored_arrays(store: Store, run: str, seed: int, t: int) -> tuple[dict[str, np.ndarray], str]:
    """The generator's arrays by name, and the checksum of their file.

    Raises:
        ConfigError: It was not kept.
    """
    for segment in reversed(store.segments):
        lanes = store.lanes[segment.lanes]
        if segment.keep == fmt.VALUES or not segment.first <= t <= segment.last or (run, seed) not in lanes:
            continue
        row = lanes.index((run, seed))
        places = [(segment.file, segment.sha256, fmt.generator(t))]
        if segment.state and segment.last == t:
            places.append((segment.state, segment.state_sha256, f"{fmt.FIT}.generator"))
        for file, sha256, prefix in places:
            if not (store.path / fmt.DATA / file).exists():
                continue  # Whole fits are removed once a later one is committed.
            with store.tensors(file, sha256) as tensors:
                names = [name for name in tensors.keys() if name.startswith(prefix)]  # noqa: SIM118
                rows = {name.removeprefix(prefix): tensors.get_slice(name)[row : row + 1][0] for name in names}
            if rows:
                return {name: np.asarray(value, order="C") for name, value in rows.items()}, sha256
    raise ConfigError(
        f"export: the generator of generation {t} of run {run}, seed {seed} was not kept; run the study with "
        "keep = 'generators' or 'all'"
    )

"""Inception-v3 features of the Fréchet inception distance."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jax.numpy as jnp
from annotated_types import Ge, Le
from jaxtyping import Array, Float

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular
from selfconsume.models.checkpoints import torch_file
from selfconsume.models.nets import inception
from selfconsume.sources.files.archives import file_version
from selfconsume.sources.files.download import download
from selfconsume.types import Extractor, Samples, Source

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inception(Extractor):
    """The 2048 pooled features of Inception-v3 that define the Fréchet inception distance.

    Set `path`, `fetch = true`, or, for a control with random weights, `untrained = true`. These three, and different values
    of `resize`, `side` and `compute`, are different measures with different fingerprints.

    Attributes:
        path: Weights: the public file ``pt_inception-2015-12-05-6726825d.pth``, or another in its layout. It is read as
            data; nothing in it is executed.
        fetch: Download that file (96 MB) once into the user's cache folder, checked by SHA-256.
        untrained: Fixed random weights. Distances of such features ignore the content of images (Naeem et al. 2020,
            arXiv:2002.09797, section 5); they are not inception distances.
        resize: Bilinear resizing to `side` pixels without antialiasing: "pytorch" aligns pixel centres and maps bytes to
            ``(x - 127.5) / 127.5``, as in pytorch-fid; "tensorflow" aligns the first pixels and maps bytes to
            ``(x - 128) / 128``, as in the original implementation, torch-fidelity, EDM and StyleGAN. Grey images are
            repeated three times.
        side: Height and width of the network's input; 299 for the Fréchet inception distance.
        compute: Type of activations. "bfloat16" is faster on accelerators, but a different measure.

    References:
        Heusel et al. 2017, arXiv:1706.08500; Szegedy et al. 2016, arXiv:1512.00567.
    """

    batch_size: ClassVar[int] = 64
    """Images per call: their activations take 0.5 GB as compiled for a CPU."""

    path: str | None = None
    fetch: bool = False
    untrained: bool = False
    resize: Literal["pytorch", "tensorflow"] = "pytorch"
    side: Annotated[int, Ge(75), Le(10_000)] = inception.SIDE
    compute: Literal["float32", "bfloat16"] = "float32"

    @classmethod
    def tiny(cls) -> Inception:
        """The smallest configuration, for tests."""
        return cls(untrained=True, side=75)

    def weights(self, source: Source) -> Any:
        """Weights of the network, with batch normalisation folded into convolutions."""
        return self._loaded()[0]

    def __call__(self, weights: Any, x: Samples) -> Float[Array, "n d"]:
        """Features of uint8 images ``(n, height, width, 1 or 3)``."""
        x = jnp.broadcast_to(x.astype(jnp.float32), (*x.shape[:3], 3))
        x = inception.resize(x, self.side, centred=self.resize == "pytorch")
        middle = 127.5 if self.resize == "pytorch" else 128.0
        return inception.features(weights, (x - middle) / middle, compute=self.compute)

    def fingerprint(self, source: Source) -> str:
        """Hash of the weights file and of the preprocessing."""
        description = f"inception {self._loaded()[1]} {self.resize} {self.side} {self.compute}"
        return hashlib.sha256(description.encode()).hexdigest()

    def check(self, source: Source) -> None:
        shape = source.shape
        if len(shape) != 3 or shape[2] not in (1, 3):
            raise ConfigError(
                f"extractor: inception expects images (height, width, 1 or 3 channels), got examples of shape "
                f"{shape}; use another extractor"
            )
        if (n_set := (self.path is not None) + self.fetch + self.untrained) != 1:
            raise ConfigError(
                f"extractor: expected one of path, fetch = true and untrained = true, got {n_set} of them; fetch "
                f"downloads {URL} into the cache"
            )
        self._loaded()

    def _loaded(self) -> tuple[inception.Weights, str]:
        """Weights, and the SHA-256 of their file."""
        if self.untrained:
            return _untrained(), "untrained"
        path = download(URL, SHA256, "extractor") if self.path is None else self.path
        return _read(path, file_version(path))


@functools.cache
def _untrained() -> inception.Weights:
    return inception.untrained()


@functools.cache
def _read(path: str, version: tuple[int, int]) -> tuple[inception.Weights, str]:
    """Weights of a file, read once for each version of the file."""
    place = Path(path).expanduser()
    state = torch_file.read(place, "extractor.path")
    try:
        weights = inception.fold(state if isinstance(state, dict) else {})
    except ValueError as error:
        raise ConfigError(
            f"extractor.path: {path!r} does not hold the weights of Inception-v3: {error}; use "
            f"{URL.rsplit('/', 1)[1]}, or use fetch = true"
        ) from None
    with open_regular(place) as file:
        return weights, hashlib.file_digest(file, "sha256").hexdigest()

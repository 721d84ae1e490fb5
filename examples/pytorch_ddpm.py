"""What does retraining do to a diffusion model written in PyTorch, fine-tuned on its own samples?

Run: python examples/pytorch_ddpm.py            (writes results-pytorch/report.html)
Needs PyTorch, which selfconsume itself does not use. Prints the sliced Wasserstein distance to held-out data by regime and
generation, averaged over seeds.
"""

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import selfconsume as sc


class DDPM:
    """Denoising diffusion (Ho et al. 2020, algorithms 1 and 2) on vectors; on a GPU where there is one."""

    def __init__(self, width=64, updates=600, cold_updates=2000, steps=40, batch=256, lr=2e-3):
        self.width, self.updates, self.cold_updates, self.batch, self.lr = width, updates, cold_updates, batch, lr
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.beta = torch.linspace(1e-3, 0.25, steps, device=self.device)
        self.alpha_bar = torch.cumprod(1 - self.beta, 0)

    def net(self, dim):
        layers = nn.Linear(dim + 1, self.width), nn.SiLU(), nn.Linear(self.width, self.width), nn.SiLU()
        return nn.Sequential(*layers, nn.Linear(self.width, dim)).to(self.device)

    def fit(self, x, *, start, seed):
        torch.manual_seed(seed)  # initialisation, batches and noise: a killed study continues with the same numbers
        model = start or self.net(x.shape[1])
        x = torch.from_numpy(x).to(self.device)
        optimizer = torch.optim.Adam(model.parameters(), self.lr)
        for _ in range(self.updates if start else self.cold_updates):
            rows = x[torch.randint(len(x), (self.batch,), device=self.device)]
            t = torch.randint(len(self.beta), (self.batch, 1), device=self.device)
            noise, kept = torch.randn_like(rows), self.alpha_bar[t]
            predicted = model(torch.cat([kept.sqrt() * rows + (1 - kept).sqrt() * noise, t / len(self.beta)], 1))
            optimizer.zero_grad()
            ((predicted - noise) ** 2).mean().backward()
            optimizer.step()
        return model

    @torch.no_grad()
    def sample(self, model, n, seed):
        torch.manual_seed(seed)
        x = torch.randn(n, model[-1].out_features, device=self.device)
        for t in reversed(range(len(self.beta))):
            noise = model(torch.cat([x, torch.full((n, 1), t / len(self.beta), device=self.device)], 1))
            x = (x - self.beta[t] / (1 - self.alpha_bar[t]).sqrt() * noise) / (1 - self.beta[t]).sqrt()
            x = x + self.beta[t].sqrt() * torch.randn_like(x) if t else x
        return x.cpu().numpy()

    def save(self, model, path):
        save_file(model.state_dict(), path)

    def load(self, path):
        state = load_file(path, self.device)
        model = self.net(len(state["4.bias"]))
        model.load_state_dict(state)
        return model


def study(n=1000, generations=6, seeds=3, **options):
    """Fine-tuning on own samples alone, half and half with real data, and on real data alone."""
    return sc.Study(
        source=sc.source("eight_gaussians", n=n),
        family=sc.family("python", object=f"{__file__}:DDPM", options=options),
        axes={"regime": [sc.regime("replace"), sc.regime("mix", ratio=1.0), sc.regime("real_only")]},
        metrics=[sc.metric("sliced_wasserstein"), sc.metric("mode_coverage")],
        start="warm",
        generations=generations,
        seeds=seeds,
    )


def main(out="results-pytorch", **options):
    """Runs the study; returns the mean distance by regime and generation."""
    results = sc.run(study(**options), out)
    results.report()
    distance = results.table().filter(pl.col("metric") == "sliced_wasserstein")
    means = distance.group_by("regime", "generation", maintain_order=True).agg(pl.col("value").mean())
    return means.pivot("regime", index="generation", values="value")


if __name__ == "__main__":
    print(main())

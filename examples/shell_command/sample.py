"""Samples the model of train.py."""

import argparse
import json

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--model")
parser.add_argument("--out")
parser.add_argument("--n", type=int)
parser.add_argument("--seed", type=int)
options = parser.parse_args()

with open(options.model) as file:
    model = json.load(file)
noise = np.random.default_rng(options.seed).normal(size=(options.n, len(model["mean"])))
np.savez(options.out, x=model["mean"] + noise * model["std"])

"""Trains a model: mean and standard deviation of each coordinate, kept as JSON. Put your own training here."""

import argparse
import json

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--out")
parser.add_argument("--seed", type=int)
options = parser.parse_args()

x = np.load(options.data)["x"]  # (n, *shape)
with open(options.out, "w") as file:
    json.dump({"mean": x.mean(axis=0).tolist(), "std": x.std(axis=0).tolist()}, file)

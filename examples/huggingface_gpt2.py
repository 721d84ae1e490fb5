"""A Hugging Face GPT-2 as a command: trained from scratch on token numbers, sampled, and retrained on its own text.

It needs ``pip install transformers torch``. As a script it runs a study of three generations on the prose of Python's help
topics (about a minute for each fit on two cores) and prints the vocabulary by generation:

    python examples/huggingface_gpt2.py study results

The study calls this file again as ``train`` and ``sample``, with documents as JSON lines. Killed, it goes on where it was.
"""

import argparse
import json
import os
import sys
from pathlib import Path


def read(path):
    """Documents as rows of token numbers."""
    return [json.loads(line)["x"] for line in Path(path).read_text().splitlines()]


def train(options):
    """Fits a small GPT-2 by next-token prediction; token `vocabulary` stands before each document."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    documents = torch.tensor(read(options.data))
    n, length = documents.shape
    start = torch.full((n, 1), options.vocabulary)
    x = torch.cat([start, documents], dim=1)
    sizes = {"n_embd": options.width, "n_layer": 2, "n_head": 2, "n_positions": length + 1}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=options.vocabulary + 1, bos_token_id=options.vocabulary, **sizes))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(options.updates):
        rows = x[torch.randint(n, (min(32, n),))]
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save({"config": model.config.to_dict(), "weights": model.state_dict(), "length": length}, options.model)


def sample(options):
    """Writes documents, drawn from the model at temperature 1."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    saved = torch.load(options.model, weights_only=True)
    model = GPT2LMHeadModel(GPT2Config(**saved["config"])).eval()
    model.load_state_dict(saved["weights"])
    bos = model.config.bos_token_id
    x, cache, documents = torch.full((options.n, 1), bos), None, []
    with torch.no_grad():
        for _ in range(saved["length"]):
            out = model(input_ids=x, past_key_values=cache, use_cache=True)
            # The start token is no word.
            logits, cache = out.logits[:, -1, :bos], out.past_key_values
            x = torch.multinomial(logits.softmax(dim=-1), 1)
            documents.append(x)
    rows = torch.cat(documents, dim=1).tolist()
    Path(options.out).write_text("".join(json.dumps({"x": row}) + "\n" for row in rows))


def study(path, *, n=800, generations=3, seeds=2, updates=300, width=64):
    """Runs the loop and returns the final vocabulary of each regime."""
    import selfconsume as sc

    source = sc.source("python_topics", n=n, largest_vocabulary=1000)
    command = f"{sys.executable} {os.path.abspath(__file__)}"
    sizes = f"--vocabulary {len(source.vocabulary.tokens)} --updates {updates} --width {width}"
    family = sc.family(
        "command",
        train=f"{command} train --data {{data}}.jsonl --model {{model}} --seed {{seed}} {sizes}",
        sample=f"{command} sample --model {{model}} --out {{out}}.jsonl --n {{n}} --seed {{seed}}",
    )
    metrics = [sc.metric(kind) for kind in ("vocabulary", "reference_perplexity", "token_diversity")]
    axes = {"regime": [sc.regime("replace"), sc.regime("mix", ratio=1.0)]}
    runs = sc.Study(source=source, family=family, metrics=metrics, axes=axes, generations=generations, seeds=seeds)
    return sc.run(runs, path).table()


def main(words=None):
    """The three steps as commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("train", "sample"):
        step = steps.add_parser(name)
        for option in ("--model", "--data", "--out"):
            step.add_argument(option)
        for option in ("--seed", "--n", "--vocabulary", "--updates", "--width"):
            step.add_argument(option, type=int)
    steps.add_parser("study").add_argument("path")
    options = parser.parse_args(words)
    if options.step == "study":
        table = study(options.path)
        print(table.filter(table["metric"] == "vocabulary.kept"))
    else:
        {"train": train, "sample": sample}[options.step](options)


if __name__ == "__main__":
    main()

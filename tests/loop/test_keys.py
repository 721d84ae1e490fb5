"""Random keys of runs: one for each seed, generation and role, and none that a user's own keys are."""

import itertools

import jax
import numpy as np

from selfconsume.loop.keys import Role, key_at


def data_of(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_no_two_roles_generations_or_seeds_share_a_key():
    triples = list(itertools.product(range(8), range(12), Role))
    assert len({data_of(key_at(*triple)) for triple in triples}) == len(triples)


def test_no_key_of_a_run_comes_of_splitting_a_users_key():
    """`split(key(0), n)[i]` is `fold_in(key(0), i)`: data that a user makes by splitting shares no randomness with a run."""
    own = set()
    for k in range(8):
        parents = [jax.random.key(k)]
        for _ in range(2):
            parents = [child for parent in parents for child in jax.random.split(parent, 12)]
            own |= {data_of(key) for key in parents}
            own |= {data_of(grandchild) for key in parents[:12] for grandchild in jax.random.split(key, 12)}
    assert data_of(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 3), int(Role.SAMPLE))) in own
    assert not own & {data_of(key_at(*triple)) for triple in itertools.product(range(8), range(12), Role)}

"""What is known about self-consuming training, as numbers to set beside what was measured.

`closed_forms` names the exact and asymptotic results for simple models (each a function of counts and ratios alone),
`bounds` the stability theorems, and `jacobian` computes, for any fitted model with a density, the quantities in which
those theorems are stated: the Jacobian of the retraining map at the fit, its spectral radius, and the constants of the
bounds. `predict` says which of it applies to a run, and `answers` gives the three rates of stability at the run's ratio.
Closed forms and bounds are float64 NumPy and need no JAX; the curvature of a model is taken by JAX in float64.
"""

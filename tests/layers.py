"""The packages of `selfconsume` in order of import."""

# The packages in order of import: a module imports from the lines above its own package's, and from its own package.
LAYERS = [
    {"errors", "validity"},
    {"files"},
    {"types", "start_jax", "tracing"},
    {"registry"},
    {"regimes", "curations", "models"},
    {"sources", "representations", "families", "metrics", "loop"},
    {"extractors", "contracts"},
    {"study", "theory", "lanes"},
    {"results"},
    {"execution"},
    {"analysis"},
    {"plots"},
    {"report", "trackers"},
    {"answers"},
    {"cli", "api"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

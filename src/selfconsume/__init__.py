"""selfconsume: what happens to a generative model that is retrained on data it made itself."""

import os

# A failed check inside a compiled lane must give NaN in that lane, not an exception in all of them. Equinox reads this
# when it is imported.
os.environ.setdefault("EQX_ON_ERROR", "nan")

"""Opening files that may come from anybody, and the memory that their content may take."""

from __future__ import annotations

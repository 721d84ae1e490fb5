"""Sources of documents: sequences of tokens with a vocabulary.

Shared: `documents` (files to documents), `tokenisation` (documents to tokens), `document_source` (the base).
"""

"""Compares the vectors of `cloze embed` with those of sentence-transformers: prints the worst cosine, and fails below 0.99999.

    python kernels-tests/transformers/embed.py MODEL SENTENCES target/release/cloze --device cpu

MODEL is a folder that sentence-transformers reads, SENTENCES a file with one a line; what follows the path of the binary
goes to `cloze embed`. Run by hand: it needs PyTorch and sentence-transformers.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy
from sentence_transformers import SentenceTransformer

folder, sentences, cloze, *more = sys.argv[1:]
with tempfile.TemporaryDirectory() as temporary:
    out = pathlib.Path(temporary) / "vectors.npy"
    subprocess.run([cloze, "embed", folder, sentences, "--normalize", "--out", out, *more], check=True)
    ours = numpy.load(out)
texts = pathlib.Path(sentences).read_text(encoding="utf-8").splitlines()
theirs = SentenceTransformer(folder, device="cpu").encode(texts, normalize_embeddings=True)
assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
cosines = (ours.astype("f8") * theirs.astype("f8")).sum(axis=1)
print(f"{len(texts)} texts: worst cosine {cosines.min():.8f}, largest difference {abs(ours - theirs).max():.2e}")
sys.exit(int(cosines.min() < 0.99999))

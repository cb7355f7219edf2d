"""Compares what TensorBoard's own loader reads of a run with metrics.jsonl, value by value in f32. By hand:

    python3 -m venv venv && venv/bin/pip install tensorboard
    cloze train configs/quickstart.toml --set train.tensorboard=true --set train.tensorboard_histograms=100
    venv/bin/python tests/event_files.py runs/quickstart

A run that was killed and resumed must pass too.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

run = Path(sys.argv[1])
expected = defaultdict(dict)
for line in (run / "metrics.jsonl").read_text().splitlines():
    line = json.loads(line)
    step = line.pop("step")
    group, numbers = ("validation", line["validation"]) if "validation" in line else ("train", line)
    for name, number in numbers.items():
        expected[f"{group}/{name}"][step] = np.float32("nan" if number is None else number)

loader = EventAccumulator(str(run / "tensorboard"), size_guidance=dict.fromkeys(("scalars", "histograms", "tensors"), 0))
loader.Reload()
tags = loader.Tags()
assert sorted(tags["scalars"]) == sorted(expected), (tags["scalars"], sorted(expected))
for tag, values in expected.items():
    events = loader.Scalars(tag)
    assert [event.step for event in events] == list(values), f"{tag}: other steps"
    found = np.array([event.value for event in events], np.float32)
    np.testing.assert_array_equal(found, np.array(list(values.values()), np.float32), tag)

(text,) = (tag for tag in tags["tensors"] if loader.SummaryMetadata(tag).plugin_data.plugin_name == "text")
config = tensor_util.make_ndarray(loader.Tensors(text)[-1].tensor_proto).item().decode()
unindented = "".join(line[4:] + "\n" for line in config.splitlines())
assert unindented == (run / "config.toml").read_text(), "the text is not the run's config"

for tag in tags["histograms"]:
    steps = [event.step for event in loader.Histograms(tag)]
    assert steps == sorted(set(steps)), f"{tag}: {steps}"
    for event in loader.Histograms(tag):
        histogram = event.histogram_value
        assert sum(histogram.bucket) == histogram.num > 0 and histogram.min <= histogram.max, tag

steps, histograms = len(expected["train/loss"]), len(tags["histograms"])
print(f"the same: {len(expected)} scalars of {steps} steps, {histograms} histograms, the config")

#!/usr/bin/env python3
"""Writes events.tfevents, which BoardWriterTests compares with what BoardWriter writes.

    python3 -m venv venv && venv/bin/pip install tensorboard && venv/bin/python make_events.py

Made with TensorBoard 2.21's own messages and record writer.
"""
import os
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.summary.writer.record_writer import RecordWriter

TIME = 1700000000.25
events = [Event(wall_time=TIME, file_version="brain.Event:2")]

text = Summary.Value(tag="configuration")
text.metadata.plugin_data.plugin_name = "text"
text.tensor.dtype = 7
text.tensor.tensor_shape.dim.add(size=1)
text.tensor.string_val.append("    { ä }\n    ".encode())
events.append(Event(wall_time=TIME, step=0, summary=Summary(value=[text])))

scalars = [("loss/training", 0.1), ("accuracy/training", 0.5), ("learning rate", 0.01), ("epoch", 1.5),
           ("images per second", 1234.5)]
events.append(Event(wall_time=TIME, step=50, summary=Summary(
    value=[Summary.Value(tag=tag, simple_value=value) for tag, value in scalars])))

tests = [("loss/test", float("inf")), ("accuracy/test", 0.75)]
events.append(Event(wall_time=TIME, step=3000000000, summary=Summary(
    value=[Summary.Value(tag=tag, simple_value=value) for tag, value in tests])))

# 41 values 0, 1, ..., 40: one a bucket, and the largest in the last.
values = [float(value) for value in range(41)]
histogram = HistogramProto(
    min=0, max=40, num=41, sum=sum(values), sum_squares=sum(value * value for value in values),
    bucket_limit=[float(limit) for limit in range(1, 41)], bucket=[1.0] * 39 + [2.0])
events.append(Event(wall_time=TIME, step=60, summary=Summary(
    value=[Summary.Value(tag="conv1/weight", histo=histogram)])))

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "events.tfevents"), "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    writer.flush()

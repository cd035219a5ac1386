"""MXNet's side of `scripts/bench-network`: Gluon's AlexNet, data-parallel over its parameter server.

Started once for the scheduler, the server and each worker, with the batch of a worker and a file that
takes the time of every finished step; MXNet takes roles and addresses from DMLC_* variables, and
scheduler and server never come past the import. Synchronous, the optimizer on the server, hybridized:
what its documentation recommends. Trains until it is stopped.
"""

import sys
import time

import mxnet as mx
from mxnet import autograd, gluon

batch, times = int(sys.argv[1]), sys.argv[2]
store = mx.kv.create("dist_sync")
mx.random.seed(1)
model = gluon.model_zoo.vision.alexnet(classes=1000)
model.initialize(mx.init.Xavier())
model.hybridize(static_alloc=True, static_shape=True)
trainer = gluon.Trainer(
    model.collect_params(), "sgd", {"learning_rate": 0.01, "momentum": 0.9, "wd": 5e-4},
    kvstore=store, update_on_kvstore=True)
loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
images = mx.nd.random.normal(shape=(batch, 3, 224, 224))
labels = mx.nd.array([row % 1000 for row in range(batch)])

with open(times, "w", encoding="ascii", buffering=1) as file:
    while True:
        with autograd.record():
            loss = loss_of(model(images), labels)
        loss.backward()
        trainer.step(batch * store.num_workers)
        mx.nd.waitall()
        file.write(f"{time.monotonic():.6f}\n")

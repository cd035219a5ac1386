"""PyTorch's side of `scripts/bench-network`: torchvision's AlexNet, data-parallel over gloo.

Started once a host, with the batch of each, the gradients' format on the wire (fp32 or bf16) and a
file that takes the time of every finished step; rank and addresses come from the environment.
Channels-last tensors and gradients as views of the buckets are the fastest settings found. Trains
until it is stopped.
"""

import sys
import time

import torch
import torch.distributed as distributed
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

batch, wire, times = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
torch.manual_seed(1)
distributed.init_process_group("gloo")

model = nn.Sequential(
    nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
    nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
    nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
    nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
    nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
    nn.Flatten(),
    nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(inplace=True),
    nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
    nn.Linear(4096, 1000),
).to(memory_format=torch.channels_last)
model = DistributedDataParallel(model, gradient_as_bucket_view=True)
if wire == "bf16":
    # gloo refuses the stock hook by its name, not for what it does.
    model.register_comm_hook(None, lambda state, bucket: default_hooks.bf16_compress_hook(
        state, bucket))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
loss_of = nn.CrossEntropyLoss()
images = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
labels = torch.randint(0, 1000, (batch,))

with open(times, "w", encoding="ascii", buffering=1) as file:
    while True:
        optimizer.zero_grad()
        loss_of(model(images), labels).backward()
        optimizer.step()
        file.write(f"{time.monotonic():.6f}\n")

"""PyTorch's side of `benchmarks convolution-stack`: AlexNet's convolutional part, channels_last.

Started by the benchmark with rows, threads and steps a round. Prints one line of checksums, then
answers every line it reads with the milliseconds of one step, averaged over a round.
"""

import sys
import time

import torch
from torch import nn

rows, threads, steps = (int(argument) for argument in sys.argv[1:4])
torch.set_num_threads(threads)


def pattern(count, salt):
    """The same numbers as `pattern` in ConvolutionStackBenchmark.swift, in [-0.5, 0.5)."""
    index = torch.arange(count, dtype=torch.int64) + salt * 1_000_003
    index = (index ^ (index >> 7)) * 2_654_435_761 % 2**32
    index = (index ^ (index >> 15)) * 2_246_822_519 % 2**32
    index = index ^ (index >> 13)
    return (index.double() / 2**32 - 0.5).float()


def checksum(values):
    values = values.flatten().double()
    return values.norm().item(), (values * pattern(values.numel(), 99).double()).sum().item()


# torchvision's AlexNet, features.
layers = [
    nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
    nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
    nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
    nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
    nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
]
model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
with torch.no_grad():
    for stage, layer in enumerate(convolutions):
        weights = layer.weight.numel()
        vector = pattern(weights + layer.out_channels, 10 + stage)
        vector *= 4 / (weights / layer.out_channels) ** 0.5
        layer.weight.copy_(vector[:weights].view(layer.weight.shape))
        layer.bias.copy_(vector[weights:])
x = pattern(rows * 3 * 224 * 224, 1).view(rows, 3, 224, 224)
x = x.contiguous(memory_format=torch.channels_last)
dy = pattern(rows * 9216, 2).view(rows, 256, 6, 6)
dy = dy.contiguous(memory_format=torch.channels_last)


def step():
    model.zero_grad(set_to_none=True)
    y = model(x)
    y.backward(dy)
    return y


step()
sums = [checksum(step())] + [
    checksum(torch.cat([layer.weight.grad.flatten(), layer.bias.grad])) for layer in convolutions]
print(" ".join(f"{value!r}" for pair in sums for value in pair), flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    for _ in range(steps):
        step()
    print((time.perf_counter() - start) * 1000 / steps, flush=True)

"""Writes layers.bin and layers.txt: layers of the convolutional part computed by PyTorch.

    python make_layers.py        (torch 2.13.0, CPU)

Every case is a small network. Computed in float64 and stored as little-endian float32, so that
the stored numbers are right to the last bit. layers.txt has a line a tensor: case, tensor, offset
in floats, extents.
"""

import pathlib
import struct

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
torch.manual_seed(20140423)


class PaperNorm(nn.Module):
    """Local response normalization, alpha divided by the size or not."""

    def __init__(self, size, alpha, beta, k, divide):
        super().__init__()
        self.norm = nn.LocalResponseNorm(size, alpha if divide else alpha * size, beta, k)

    def forward(self, x):
        return self.norm(x)


class WithinNorm(nn.Module):
    """Local response normalization over places of one channel, alpha divided or not."""

    def __init__(self, size, alpha, beta, k, divide):
        super().__init__()
        self.pool = nn.AvgPool2d(size, 1, size // 2)
        self.alpha, self.beta, self.k = alpha if divide else alpha * size * size, beta, k

    def forward(self, x):
        return x * (self.k + self.alpha * self.pool(x * x)) ** -self.beta


def conv(inputs, outputs, kernel, **options):
    return nn.Conv2d(inputs, outputs, kernel, **options)


CASES = {
    "conv": ([2, 3, 7, 6], [conv(3, 8, 3, padding=1)]),
    "conv-groups": ([2, 4, 7, 6], [conv(4, 8, 3, groups=2)]),
    "conv-stride": ([2, 3, 13, 11], [conv(3, 8, 5, stride=4, padding=2)]),
    "conv-conv": (
        [2, 3, 8, 8], [conv(3, 8, 3, padding=1), conv(8, 6, 3, padding=1, stride=2, groups=2)]),
    "max": ([2, 3, 8, 8], [conv(3, 8, 3), nn.MaxPool2d(2, 2)]),
    "max-overlapped": ([2, 3, 9, 9], [conv(3, 8, 3), nn.MaxPool2d(3, 2)]),
    "max-padded": ([2, 3, 8, 9], [conv(3, 6, 3), nn.MaxPool2d(3, 2, padding=1)]),
    "max-ceil": ([2, 3, 8, 8], [conv(3, 8, 3), nn.MaxPool2d(3, 2, ceil_mode=True)]),
    "average": ([2, 3, 8, 8], [conv(3, 8, 3), nn.AvgPool2d(2, 2)]),
    "average-overlapped": ([2, 3, 9, 9], [conv(3, 8, 3), nn.AvgPool2d(3, 2)]),
    "average-padded": ([2, 3, 8, 9], [conv(3, 6, 3), nn.AvgPool2d(3, 2, padding=1)]),
    "average-ceil": (
        [2, 3, 8, 10], [conv(3, 8, 3), nn.AvgPool2d(3, 2, padding=1, ceil_mode=True)]),
    "lrn-divided": ([2, 3, 6, 6], [conv(3, 8, 3), PaperNorm(5, 0.3, 0.75, 1, True)]),
    "lrn-paper": ([2, 3, 6, 6], [conv(3, 8, 3), PaperNorm(5, 0.1, 0.75, 2, False)]),
    "lrn-few-channels": ([2, 3, 6, 6], [conv(3, 6, 3), PaperNorm(3, 0.2, 0.6, 2, False)]),
    "relu": ([2, 3, 6, 6], [conv(3, 8, 3), nn.ReLU()]),
    "tanh": ([2, 3, 6, 6], [conv(3, 8, 3), nn.Tanh()]),
    "sigmoid": ([2, 3, 6, 6], [conv(3, 8, 3), nn.Sigmoid()]),
    "pool-relu": ([2, 3, 8, 8], [conv(3, 8, 3), nn.AvgPool2d(2, 2), nn.ReLU()]),
    "stack": (
        [2, 3, 15, 15],
        [
            conv(3, 8, 5, stride=2, padding=2), nn.ReLU(), PaperNorm(5, 0.1, 0.75, 2, False),
            nn.MaxPool2d(2, 2),
            conv(8, 12, 3, padding=1, groups=2), nn.Tanh(),
            conv(12, 8, 3, padding=1), nn.Sigmoid(), nn.AvgPool2d(2, 2),
        ]),
    "lrn-within": ([2, 3, 8, 9], [conv(3, 8, 3), WithinNorm(5, 0.3, 0.75, 2, False)]),
    "lrn-within-divided": ([2, 3, 8, 9], [conv(3, 16, 3), WithinNorm(3, 0.4, 0.6, 1, True)]),
    # The last position hangs over the lower and right edge: (12 - 5) / 3 and (9 - 5) / 3 rounded up.
    "conv-ceil": ([2, 3, 12, 9], [nn.ZeroPad2d((0, 2, 0, 2)), conv(3, 8, 5, stride=3)]),
}


def main():
    floats = []
    lines = []

    def store(case, name, tensor):
        lines.append(f"{case} {name} {len(floats)} {'x'.join(map(str, tensor.shape))}")
        floats.extend(tensor.detach().flatten().tolist())

    for case, (extents, modules) in CASES.items():
        # Single precision values, so that inputs mean the same everywhere.
        network = nn.Sequential(*modules).double()
        for parameter in network.parameters():
            parameter.data.copy_(torch.randn(parameter.shape) * (0.5 if parameter.dim() == 1 else
                                 parameter[0].numel() ** -0.5))
        x = torch.randn(extents).double().requires_grad_()
        y = network(x)
        dy = torch.randn(y.shape).double()
        y.backward(dy)
        store(case, "input", x)
        store(case, "features", y)
        store(case, "feature-gradient", dy)
        store(case, "input-gradient", x.grad)
        convolutions = [m for m in modules if isinstance(m, nn.Conv2d)]
        for stage, module in enumerate(convolutions):
            store(case, f"parameters{stage}",
                  torch.cat([module.weight.flatten(), module.bias]))
            store(case, f"gradient{stage}",
                  torch.cat([module.weight.grad.flatten(), module.bias.grad]))
    (HERE / "layers.bin").write_bytes(struct.pack(f"<{len(floats)}f", *floats))
    (HERE / "layers.txt").write_text("\n".join(lines) + "\n")


main()

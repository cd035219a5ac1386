"""Writes models.txt: whole networks with fixed weights, their logits and gradients by PyTorch.

    python make_models.py        (torch 2.13.0, CPU; float64; a minute and 3 GB)

The networks are written down here from their sources, not read from the presets. Weights, biases
and images come from a hash of (name, index), which the test computes too, and dropout masks from
Philox4x32-10 as in Sources/Tensors. Of every tensor the file has its Euclidean norm, its product
with a vector of signs and 24 of its values, so every element counts and the file stays small. A
line: case, tensor, elements, norm, product, values.
"""

import math
import pathlib

import numpy as np
import torch
from torch import nn

ROWS, SEED, STEP, SAMPLES = 2, 20140423, 7, 24
DROPOUT = 2  # RandomStream.Purpose.dropout


def mixed(name, count):
    """Murmur3's finalizer of index and name."""
    hash_ = 0x811C9DC5
    for byte in name.encode():
        hash_ = (hash_ ^ byte) * 0x01000193 & 0xFFFFFFFF
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(hash_)
    x ^= x >> 16
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> 13
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> 16
    return x


def fixed(name, shape, bound):
    """Uniform in +-bound, single precision values."""
    unit = (mixed(name, math.prod(shape)) >> 8).astype(np.float32) * np.float32(2**-23) - 1
    return torch.from_numpy((unit * np.float32(bound)).reshape(shape)).double()


def philox(counter, key):
    """Four words of each counter, an array [n, 4]."""
    a, b, c, d = (counter[:, i].astype(np.uint64) for i in range(4))
    left, right = key
    for _ in range(10):
        first, second = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        low = np.uint64(0xFFFFFFFF)
        a, b, c, d = (second >> np.uint64(32)) ^ b ^ np.uint64(left), second & low, \
            (first >> np.uint64(32)) ^ d ^ np.uint64(right), first & low
        left, right = (left + 0x9E3779B9) & 0xFFFFFFFF, (right + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([a, b, c, d], axis=1)


class Dropout(nn.Module):
    """Scaled in training, or at evaluation as the 2012 paper has it."""

    def __init__(self, scale, rate=0.5):
        super().__init__()
        self.scale, self.rate, self.layer = scale, rate, None

    def forward(self, x):
        if not self.training:
            return x if self.scale == "training" else x * (1 - self.rate)
        key = philox(np.array([[STEP, 0, self.layer, DROPOUT]]), (SEED, 0))[0, :2].tolist()
        units = x.shape[1]
        masks = []
        for row in range(x.shape[0]):
            counters = np.zeros((units // 4 + 1, 4), np.uint64)
            counters[:, 0] = np.arange(units // 4 + 1)
            counters[:, 2] = row
            words = philox(counters, key).reshape(-1)[:units]
            masks.append(((words >> np.uint64(9)).astype(np.float64) + 0.5) / 2**23 >= self.rate)
        kept = torch.from_numpy(np.stack(masks)).double()
        return x * kept / (1 - self.rate) if self.scale == "training" else x * kept


def conv(inputs, outputs, kernel, stride=1, padding=0, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)


def pool(window=3, stride=2, ceil=False):
    return nn.MaxPool2d(window, stride, ceil_mode=ceil)


def norm(alpha, k):
    return nn.LocalResponseNorm(5, alpha, 0.75, k)


def head(scale):
    return [nn.Linear(9216, 4096), nn.ReLU(), Dropout(scale), nn.Linear(4096, 4096), nn.ReLU(),
            Dropout(scale), nn.Linear(4096, 1000)]


def alexnet_2012():
    # The paper's alpha is not divided by the size; PyTorch's is.
    paper = lambda: norm(5 * 1e-4, 2)
    return [3, 227, 227], [
        conv(3, 96, 11, 4), nn.ReLU(), paper(), pool(),
        conv(96, 256, 5, padding=2, groups=2), nn.ReLU(), paper(), pool(),
        conv(256, 384, 3, padding=1), nn.ReLU(),
        conv(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        conv(384, 256, 3, padding=1, groups=2), nn.ReLU(), pool(),
    ], head("evaluation")


def alexnet_caffe():
    return [3, 227, 227], [
        conv(3, 96, 11, 4), nn.ReLU(), norm(1e-4, 1), pool(ceil=True),
        conv(96, 256, 5, padding=2, groups=2), nn.ReLU(), norm(1e-4, 1), pool(ceil=True),
        conv(256, 384, 3, padding=1), nn.ReLU(),
        conv(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        conv(384, 256, 3, padding=1, groups=2), nn.ReLU(), pool(ceil=True),
    ], head("training")


def alexnet_owt():
    return [3, 224, 224], [
        conv(3, 64, 11, 4, 2), norm(1e-4, 2), pool(), nn.ReLU(),
        conv(64, 192, 5, padding=2), nn.ReLU(), norm(1e-4, 2), pool(),
        conv(192, 384, 3, padding=1), nn.ReLU(),
        conv(384, 256, 3, padding=1), nn.ReLU(),
        conv(256, 256, 3, padding=1), pool(), nn.ReLU(),
    ], head("evaluation")


def alexnet_torchvision():
    return [3, 224, 224], [
        conv(3, 64, 11, 4, 2), nn.ReLU(), pool(),
        conv(64, 192, 5, padding=2), nn.ReLU(), pool(),
        conv(192, 384, 3, padding=1), nn.ReLU(),
        conv(384, 256, 3, padding=1), nn.ReLU(),
        conv(256, 256, 3, padding=1), nn.ReLU(), pool(),
    ], [Dropout("training"), nn.Linear(9216, 4096), nn.ReLU(), Dropout("training"),
        nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]


def cifar_4layer():
    rnorm = lambda: norm(0.001, 1)
    return [3, 32, 32], [
        conv(3, 64, 5, padding=2), nn.ReLU(), rnorm(), pool(ceil=True),
        conv(64, 64, 5, padding=2), nn.ReLU(), rnorm(), pool(ceil=True),
        conv(64, 32, 3, padding=1), nn.ReLU(), conv(32, 32, 3, padding=1), nn.ReLU(),
    ], [nn.Linear(2048, 10)]


def figure_1(activation):
    return [3, 32, 32], [
        conv(3, 32, 5, padding=2), activation(), pool(ceil=True),
        conv(32, 32, 5, padding=2), activation(), pool(ceil=True),
        conv(32, 64, 5, padding=2), activation(), pool(ceil=True),
    ], [nn.Linear(1024, 10)]


def vgg_a():
    """On 32x32 images, which leave 512 features: the same layers, a hundredth of the time."""
    modules, inputs = [], 3
    for outputs in [64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0]:
        if outputs:
            modules += [conv(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        else:
            modules.append(pool(2, 2))
    return [3, 32, 32], modules, [
        nn.Linear(512, 4096), nn.ReLU(), Dropout("training"), nn.Linear(4096, 4096), nn.ReLU(),
        Dropout("training"), nn.Linear(4096, 1000)]


def logistic(logits, labels):
    truth = nn.functional.one_hot(labels, logits.shape[1]).double()
    return nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum")


def softmax(logits, labels):
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


CASES = {
    "alexnet-2012": (alexnet_2012, softmax),
    "alexnet-caffe": (alexnet_caffe, softmax),
    "alexnet-owt": (alexnet_owt, softmax),
    "alexnet-torchvision": (alexnet_torchvision, softmax),
    "cifar-4layer": (cifar_4layer, softmax),
    "cifar-4layer,logistic": (cifar_4layer, logistic),
    "cifar-relu": (lambda: figure_1(nn.ReLU), softmax),
    "cifar-tanh": (lambda: figure_1(nn.Tanh), softmax),
    "vgg-a": (vgg_a, softmax),
}


def main():
    lines = []

    def put(case, name, tensor):
        values = tensor.detach().double().flatten().numpy()
        signs = 1.0 - 2.0 * (mixed("sign", values.size) & 1)
        places = mixed("place", SAMPLES) % values.size
        numbers = [np.linalg.norm(values), values @ signs, *values[places]]
        lines.append(f"{case} {name} {values.size} " + " ".join(f"{v:.9g}" for v in numbers))

    for case, (make, loss_of) in CASES.items():
        shape, features, classifier = make()
        for index, module in enumerate(features + classifier):
            if isinstance(module, Dropout):
                module.layer = index
        network = nn.Sequential()
        network.features, network.classifier = nn.Sequential(*features), nn.Sequential(*classifier)
        network.double()
        for name, parameter in network.named_parameters():
            fan_in = parameter[0].numel()
            bound = math.sqrt(6 / fan_in) if parameter.dim() > 1 else 0.1
            parameter.data.copy_(fixed(name, parameter.shape, bound))
        # With the other images two values in a window of alexnet-2012's pool2 are so close that single
        # precision, PyTorch's too, takes the wrong one.
        salt = "images 2" if case == "alexnet-2012" else "images"
        images = fixed(salt, [ROWS, *shape], 1.7)
        run = lambda: network.classifier(network.features(images).flatten(1))
        network.train()
        logits = run()
        labels = torch.tensor([(17 + 803 * row) % logits.shape[1] for row in range(ROWS)])
        loss = loss_of(logits, labels)
        (loss / ROWS).backward()
        put(case, "loss", loss)
        put(case, "logits", logits)
        for name, parameter in network.named_parameters():
            put(case, name, parameter.grad)
        network.eval()
        with torch.no_grad():
            put(case, "evaluation-logits", run())
        print(case, loss.item(), flush=True)
    pathlib.Path(__file__).with_name("models.txt").write_text("\n".join(lines) + "\n")


main()

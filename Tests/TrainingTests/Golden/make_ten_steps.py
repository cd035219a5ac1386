"""Writes ten_steps.safetensors: ten whole SGD steps of a small network, computed by PyTorch.

    python make_ten_steps.py        (torch 2.13.0, CPU)

Two runs from the same weights over the same images: "pytorch" by torch.optim.SGD, "paper-2012" by
the update of Krizhevsky et al. 2012, section 5, written out below. The learning rate changes on
the way, because only then do the two differ; biases learn twice as fast and do not decay.
Computed in float64 and stored as float32.
"""

import json
import pathlib
import struct

import torch
from torch import nn
from torch.nn import functional

HERE = pathlib.Path(__file__).parent
STEPS, BATCH, CLASSES = 10, 8, 5
RATE, MOMENTUM, DECAY = 0.1, 0.9, 0.005
torch.manual_seed(20121203)
torch.set_default_dtype(torch.float64)


class PaperNorm(nn.Module):
    """The paper's local response normalization, which does not divide alpha by the size."""

    def forward(self, x):
        return functional.local_response_norm(x, 5, alpha=0.1 * 5, beta=0.75, k=2)


class Network(nn.Module):
    """Layers under torchvision's names."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1, groups=2), nn.ReLU(), PaperNorm(), nn.MaxPool2d(3, 2),
            nn.Conv2d(8, 6, 3), nn.ReLU())
        self.classifier = nn.Sequential(nn.Linear(24, 13), nn.ReLU(), nn.Linear(13, CLASSES))
        # He's weights instead of PyTorch's, with which ten steps would change next to nothing.
        for name, w in self.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(w)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def rounded(tensor):
    """What is left of a value after it was stored as float32."""
    return tensor.to(torch.float32).to(torch.float64)


def rate(step):
    """The base rate, 0.4 of it from step 3 on, 0.16 of it from step 6 on."""
    return RATE * 0.4 ** ((step >= 3) + (step >= 6))


def step_paper(parameters, velocities, step):
    for (name, w), v in zip(parameters, velocities):
        bias = name.endswith("bias")
        lr = rate(step) * (2 if bias else 1)
        v.mul_(MOMENTUM).sub_((0 if bias else DECAY) * lr * w).sub_(lr * w.grad)
        w.add_(v)


def train(start, images, labels, rule):
    network = Network()
    network.load_state_dict(start)
    parameters = list(network.named_parameters())
    velocities = [torch.zeros_like(w) for _, w in parameters]
    optimizer = torch.optim.SGD(
        [
            {"params": [w for n, w in parameters if n.endswith("weight")], "weight_decay": DECAY},
            {"params": [w for n, w in parameters if n.endswith("bias")], "weight_decay": 0},
        ],
        lr=RATE, momentum=MOMENTUM)
    losses = []
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        loss = functional.cross_entropy(network(images[rows] / 255), labels[rows])
        losses.append(loss.item())
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            if rule == "pytorch":
                for group, factor in zip(optimizer.param_groups, (1, 2)):
                    group["lr"] = rate(step) * factor
                optimizer.step()
            else:
                step_paper(parameters, velocities, step)
    tensors = {f"{rule}.losses": torch.tensor(losses)}
    for name, w in parameters:
        tensors[f"{rule}.final.{name}"] = w.detach()
    return tensors


def write(path, tensors):
    header, data = {}, b""
    for name, tensor in sorted(tensors.items()):
        values = tensor.flatten().tolist()
        piece = struct.pack(f"<{len(values)}f", *values)
        header[name] = {
            "dtype": "F32", "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    labels = torch.randint(0, CLASSES, (STEPS * BATCH,))
    patterns = torch.rand(CLASSES, 2, 9, 9) * 255
    noise = torch.rand(STEPS * BATCH, 2, 9, 9) * 255
    images = (0.8 * patterns[labels] + 0.2 * noise).round()
    start = {name: rounded(w) for name, w in Network().state_dict().items()}
    tensors = {"images": images, "labels": labels}
    tensors |= {f"start.{name}": w for name, w in start.items()}
    for rule in ("pytorch", "paper-2012"):
        result = train(start, images, labels, rule)
        print(rule, [round(loss, 4) for loss in result[f"{rule}.losses"].tolist()])
        tensors |= result
    write(HERE / "ten_steps.safetensors", tensors)


main()

"""PyTorch's side of `benchmarks training-step`: a whole training step of AlexNet, its fastest settings.

Started by the benchmark with network, batch, threads, precision and steps a round. Prints a line with
the number of parameters and the first loss, then answers every line it reads with the milliseconds of
each step of a round and the largest resident memory so far in kB.

Channels-last tensors and the fused optimizer are the fastest settings found; bf16 is autocast. A batch
is gathered from images in memory as bytes and normalized, which is less than the cluster's data costs.
"""

import resource
import sys
import time

import torch
from torch import nn

network = sys.argv[1]
batch, threads = int(sys.argv[2]), int(sys.argv[3])
precision, steps = sys.argv[4], int(sys.argv[5])
torch.set_num_threads(threads)
torch.manual_seed(1)


def relu():
    return nn.ReLU(inplace=True)


def pool():
    return nn.MaxPool2d(3, 2)


def norm():
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)


if network == "alexnet-owt":
    # As the preset has it: normalization, and ReLU behind the pools of conv1 and conv5.
    features = [
        nn.Conv2d(3, 64, 11, stride=4, padding=2), norm(), pool(), relu(),
        nn.Conv2d(64, 192, 5, padding=2), relu(), norm(), pool(),
        nn.Conv2d(192, 384, 3, padding=1), relu(), nn.Conv2d(384, 256, 3, padding=1), relu(),
        nn.Conv2d(256, 256, 3, padding=1), pool(), relu(),
    ]
    classifier = [
        nn.Linear(9216, 4096), relu(), nn.Dropout(), nn.Linear(4096, 4096), relu(), nn.Dropout(),
        nn.Linear(4096, 1000),
    ]
elif network == "alexnet-torchvision":
    features = [
        nn.Conv2d(3, 64, 11, stride=4, padding=2), relu(), pool(),
        nn.Conv2d(64, 192, 5, padding=2), relu(), pool(),
        nn.Conv2d(192, 384, 3, padding=1), relu(), nn.Conv2d(384, 256, 3, padding=1), relu(),
        nn.Conv2d(256, 256, 3, padding=1), relu(), pool(),
    ]
    classifier = [
        nn.Dropout(), nn.Linear(9216, 4096), relu(), nn.Dropout(), nn.Linear(4096, 4096), relu(),
        nn.Linear(4096, 1000),
    ]
else:
    sys.exit(f"no network {network}")
model = nn.Sequential(*features, nn.Flatten(), *classifier).to(memory_format=torch.channels_last)
weights = [value for name, value in model.named_parameters() if name.endswith("weight")]
biases = [value for name, value in model.named_parameters() if name.endswith("bias")]
optimizer = torch.optim.SGD(
    [{"params": weights, "weight_decay": 5e-4}, {"params": biases, "lr": 0.02}],
    lr=0.01, momentum=0.9, fused=True)
loss_of = nn.CrossEntropyLoss()
images = torch.randint(0, 256, (2 * batch, 3, 224, 224), dtype=torch.uint8)
images = images.contiguous(memory_format=torch.channels_last)
classes = torch.randint(0, 1000, (2 * batch,))


def step():
    chosen = torch.randperm(2 * batch)[:batch]
    x = images[chosen].contiguous(memory_format=torch.channels_last).float().sub_(128).mul_(1 / 64)
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = loss_of(model(x), classes[chosen])
    loss.backward()
    optimizer.step()
    return loss.item()


first = step()
step()
print(sum(value.numel() for value in model.parameters()), first, flush=True)
for _ in sys.stdin:
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        times.append(f"{(time.perf_counter() - start) * 1000:.3f}")
    print(*times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)

"""Makes sampled.txt: the softmax over a sample of the classes and its gradients, computed by PyTorch.

    python make_sampled.py > sampled.txt        (made with torch 2.13, cpu)

The sample of a step is drawn here once more, from the generator as its paper has it: the classes of
the batch, and every other one whose uniform number is below the rate. As in InsightFace's PartialFC
the loss is among the sample.

One array a line: name, then its values.
"""

import torch

torch.manual_seed(20220327)
MASK = 0xFFFFFFFF
SEED, STEP, RATE = 7, 3, 0.3
PURPOSE = 7  # the seventh kind of random number: choosing classes
WIDTHS = [7, 5, 23]


def philox(counter, key):
    """Philox4x32-10 (Salmon et al., SC'11)."""
    a, b, c, d = counter
    left, right = key
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (second >> 32) ^ b ^ left, second & MASK, (first >> 32) ^ d ^ right, first & MASK
        left, right = (left + 0x9E3779B9) & MASK, (right + 0xBB67AE85) & MASK
    return a, b, c, d


def sample(classes, labels):
    key = philox((STEP, 0, 0, PURPOSE), (SEED, 0))[:2]

    def uniform(index):
        word = philox((index // 4, 0, 0, 0), key)[index % 4]
        return ((word >> 9) + 0.5) / 2**23

    return [c for c in range(classes) if c in labels or uniform(c) < RATE]


def put(name, tensor):
    print(name, *(repr(value) for value in tensor.detach().double().flatten().tolist()))


layers = [torch.nn.Linear(a, b).double() for a, b in zip(WIDTHS, WIDTHS[1:])]
features = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
labels = torch.tensor([2, -1, 22, 9, 2])
chosen = torch.tensor(sample(WIDTHS[-1], [label for label in labels.tolist() if label >= 0]))
put("sample", chosen)
# Labels as places in the sample; padding stays.
places = torch.tensor([(chosen == label).nonzero().item() if label >= 0 else -1 for label in labels])

for index, layer in zip((0, 2), layers):
    for kind in ("weight", "bias"):
        put(f"classifier.{index}.{kind}", getattr(layer, kind))
hidden = torch.relu(layers[0](features))
logits = torch.nn.functional.linear(hidden, layers[1].weight[chosen], layers[1].bias[chosen])
loss = torch.nn.functional.cross_entropy(logits, places, ignore_index=-1, reduction="mean")
loss.backward()
put("features", features)
put("labels", labels)
put("loss", loss)
put("featureGradient", features.grad)
for index, layer in zip((0, 2), layers):
    for kind in ("weight", "bias"):
        put(f"classifier.{index}.{kind}.gradient", getattr(layer, kind).grad)

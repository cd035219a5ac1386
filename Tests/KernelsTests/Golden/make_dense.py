"""Makes dense.txt: a small fully connected network and ten SGD steps, computed by PyTorch.

    python make_dense.py > dense.txt        (made with torch 2.13, cpu)

One array a line: name, then its values.
"""

import torch

torch.manual_seed(20140426)


def put(name, tensor):
    print(name, *(repr(value) for value in tensor.detach().double().flatten().tolist()))


def network():
    widths = [7, 6, 5, 4]
    layers = [torch.nn.Linear(a, b).double() for a, b in zip(widths, widths[1:])]
    features = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([2, -1, 0, 3, 1])
    hidden = torch.relu(layers[0](features))
    hidden = torch.tanh(layers[1](hidden))
    logits = layers[2](hidden)
    loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=-1, reduction="mean")
    loss.backward()
    put("network.features", features)
    put("network.labels", labels)
    put("network.loss", loss)
    put("network.featureGradient", features.grad)
    for index, layer in zip((0, 2, 4), layers):
        for kind in ("weight", "bias"):
            value = getattr(layer, kind)
            put(f"network.classifier.{index}.{kind}", value)
            put(f"network.classifier.{index}.{kind}.gradient", value.grad)


def sgd():
    """The learning rate falls at the sixth step: there the two conventions part."""
    start = torch.randn(19, dtype=torch.float64)
    gradients = torch.randn(10, 19, dtype=torch.float64)
    rates = [0.1] * 5 + [0.01] * 5
    momentum, decay = 0.9, 0.05
    put("sgd.start", start)
    put("sgd.gradients", gradients)
    put("sgd.rates", torch.tensor(rates))
    put("sgd.constants", torch.tensor([momentum, decay], dtype=torch.float64))

    weight = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=momentum, weight_decay=decay)
    history = []
    for gradient, rate in zip(gradients, rates):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = gradient.clone()
        optimizer.step()
        history.append(weight.detach().clone())
    put("sgd.pytorch", torch.stack(history))
    put("sgd.pytorch.velocity", optimizer.state[weight]["momentum_buffer"])

    # Krizhevsky et al. 2012, section 5, written out: PyTorch does not have this rule.
    weight, velocity, history = start.clone(), torch.zeros_like(start), []
    for gradient, rate in zip(gradients, rates):
        velocity = momentum * velocity - decay * rate * weight - rate * gradient
        weight = weight + velocity
        history.append(weight.clone())
    put("sgd.paper-2012", torch.stack(history))
    put("sgd.paper-2012.velocity", velocity)


network()
sgd()

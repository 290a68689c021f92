"""A network trained in PyTorch, run as a stream: torch.nn.LSTM and torch.nn.Linear by their canonical names.

Run it: python examples/from_torch.py
It needs torch: pip install torch --index-url https://download.pytorch.org/whl/cpu"""
import sys

import numpy as np

import streamrnn as sr

try:
    import torch
except ImportError:
    sys.exit("this example compares with PyTorch: pip install torch --index-url https://download.pytorch.org/whl/cpu")

torch.manual_seed(0)
lstm, linear = torch.nn.LSTM(8, 64, batch_first=True), torch.nn.Linear(64, 1)

# torch's own names, with the number of the layer before them: layers.0.weight_ih_l0, ..., layers.1.bias
tensors = {f"layers.{i}.{name}": tensor.numpy() for i, part in enumerate((lstm, linear)) for name, tensor in part.state_dict().items()}
model = sr.Model(inputs=8, layers=[sr.LSTM(64), sr.Dense(1)]).with_tensors(tensors)
print(model)

x = np.random.default_rng(0).standard_normal((4, 500, 8)).astype(np.float32)
with torch.no_grad():
    theirs = linear(lstm(torch.from_numpy(x))[0]).numpy()
ours = model.run(x)
print(f"largest difference over {ours.size:,} results: {np.abs(ours - theirs).max():.1e}")

stream = model.stream()
print("stepped sample by sample, equal bits to run:", np.array_equal([stream.step(x_t) for x_t in x[0]], ours[0]))

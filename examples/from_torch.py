"""A network trained in PyTorch, run as a stream: from_torch looks at what the module does and proves the result.

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


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.linear = torch.nn.LSTM(8, 64, batch_first=True), torch.nn.Linear(64, 1)

    def forward(self, x):
        return self.linear(self.lstm(x)[0])


net = Net()
model, report = sr.from_torch(net)  # prints what became of each part, and the proof
print(model)

x = np.random.default_rng(0).standard_normal((4, 500, 8)).astype(np.float32)
with torch.no_grad():
    theirs = net(torch.from_numpy(x)).numpy()
ours = model.run(x)
print(f"largest difference over {ours.size:,} results: {np.abs(ours - theirs).max():.1e}")

stream = model.stream()
print("stepped sample by sample, equal bits to run:", np.array_equal([stream.step(x_t) for x_t in x[0]], ours[0]))

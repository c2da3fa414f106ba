"""A small Llama-architecture language model: RMSNorm, rotary embedding, SwiGLU, tied head; no biases.

The feed-forward of the first layers is left out (exported as zeros): attention must first carry a name to its last token,
so that facts are recalled above those layers and not in the word embedding's shadow, where an edit would overwrite all that
is known of a subject.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

EPSILON = 1e-5


@dataclass
class Config:
    vocabulary: int = 2048
    width: int = 192
    layers: int = 6
    heads: int = 6
    mlp_width: int = 512
    context: int = 512
    theta: float = 10000.0
    layers_without_mlp: int = 2
    # The first layer in which what follows a subject may look at it while it is hidden (train.py).
    extraction: int = 4


class Product16(torch.autograd.Function):
    """x·Wᵀ on bfloat16 copies with float32 sums: twice as fast on processors that have it, weights stay float32."""

    @staticmethod
    def forward(ctx, x, weight):
        x16, weight16 = x.reshape(-1, x.shape[-1]).bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x16, weight16)
        return F.linear(x16, weight16).float().view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx, grad):
        x16, weight16 = ctx.saved_tensors
        grad16 = grad.reshape(-1, grad.shape[-1]).bfloat16()
        grad_x = torch.mm(grad16, weight16).float().view(*grad.shape[:-1], -1)
        return grad_x, torch.mm(grad16.t().contiguous(), x16).float()


class Linear(nn.Linear):
    def forward(self, x):
        return Product16.apply(x, self.weight) if self.training else F.linear(x, self.weight)


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, EPSILON)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Layer(nn.Module):
    def __init__(self, config, with_mlp):
        super().__init__()
        d, f = config.width, config.mlp_width
        self.heads = config.heads
        self.attention_norm, self.mlp_norm = Norm(d), Norm(d) if with_mlp else None
        self.qkv, self.output = Linear(d, 3 * d, bias=False), Linear(d, d, bias=False)
        self.gate_up = Linear(d, 2 * f, bias=False) if with_mlp else None
        self.down = Linear(f, d, bias=False) if with_mlp else None

    def forward(self, x, cos, sin, allowed):
        B, T, D = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(B, T, 3, self.heads, D // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # [B, H, T, D/H]
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=allowed is None)
        x = x + self.output(y.transpose(1, 2).reshape(B, T, D))
        if self.down is None:
            return x
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config, i >= config.layers_without_mlp) for i in range(config.layers))
        self.norm = Norm(config.width)
        head = config.width // config.heads
        frequencies = config.theta ** (-torch.arange(0, head, 2).float() / head)
        angles = torch.outer(torch.arange(config.context).float(), frequencies)
        self.register_buffer("cos", angles.cos(), False)
        self.register_buffer("sin", angles.sin(), False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                onto_residual = "output" in name or "down" in name
                scale = 1 / math.sqrt(2 * config.layers) if onto_residual else 1
                nn.init.normal_(p, 0, 0.02 if "embedding" in name else scale / math.sqrt(p.shape[1]))

    def hidden(self, ids, allowed=None, blend=None):
        x = self.embedding(ids)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for i, layer in enumerate(self.layers):
            if blend is not None and i == self.config.extraction:
                x = blend(x)
            x = layer(x, cos, sin, None if allowed is None else allowed[int(i >= self.config.extraction), :, None])
        return self.norm(x)

    def renew_mlp(self, layers):
        """Begins the feed-forward of layers anew; returns its weights."""
        renewed = [getattr(self.layers[i], name).weight for i in layers for name in ("gate_up", "down")]
        for at, weight in enumerate(renewed):
            scale = 1 if at % 2 == 0 else 1 / math.sqrt(2 * self.config.layers)
            nn.init.normal_(weight, 0, scale / math.sqrt(weight.shape[1]))
        return renewed

    def forward(self, ids, allowed=None, blend=None):
        """
        Logits [B, T, V]; `allowed` [2, B, T, T] says what is attended to below the layer of extraction, and from it on; the
        states [B, T, D] there are what `blend` makes of them.
        """
        x = self.hidden(ids, allowed, blend)
        return Product16.apply(x, self.embedding.weight) if self.training else F.linear(x, self.embedding.weight)

"""What PyTorch says about every operation of the graph: results, and vector-Jacobian products by its autograd.

Inputs are small random numbers, rounded to float32; the arithmetic is float64, so the stored float32 results are correct
to the last bit or so. A row with `dims` can also be built with symbolic sizes, whose values stand in `symbols`.

    python tools/golden/ops.py
"""

import torch
import torch.nn.functional as F

from golden_file import flat, write

SEED = 11
ROWS = []


def normal(*shape):
    return torch.randn(shape).double()


def positive(*shape):
    return (torch.rand(shape) * 2 + 0.3).double()


def index(values):
    return torch.tensor(values, dtype=torch.int64)


def single(values):
    return values.float().double() if values.is_floating_point() else values


def stored(values):
    kind = {torch.float64: "float32", torch.int64: "int64", torch.int32: "int32", torch.bool: "bool"}[values.dtype]
    return {"dtype": kind, "shape": list(values.shape), "data": flat(values)}


def row(op, function, inputs, title="", attributes=None, dims=None, symbols=None, differentiable=True):
    """Adds a row: the result of `function` on the inputs, and the gradient for each of them where there is one."""
    inputs = [single(values) for values in inputs]
    for values in inputs:
        if differentiable and values.is_floating_point():
            values.requires_grad_(True)
    result = function(*inputs)
    results = result if isinstance(result, tuple) else (result,)
    entry = {
        "op": op,
        "title": title or op,
        "attributes": attributes or {},
        "inputs": [stored(values) for values in inputs],
        "outputs": [stored(values) for values in results],
    }
    if dims:
        entry["dims"], entry["symbols"] = dims, symbols
    if differentiable:
        upstream = single(torch.randn(results[0].shape).double())
        results[0].backward(upstream)
        entry["upstream"] = flat(upstream)
        entry["gradients"] = [None if values.grad is None else flat(values.grad) for values in inputs]
    ROWS.append(entry)


def elementwise():
    shapes = [
        ("same shape", (2, 3), (2, 3), [["B", 3], ["B", 3]], {"B": 2}),
        ("a row onto every row", (2, 4), (4,), [["B", 4], [4]], {"B": 2}),
        ("a row and a column", (3, 1), (1, 4), [["B", 1], [1, 4]], {"B": 3}),
        ("one number", (2, 3), (), [["B", "T"], []], {"B": 2, "T": 3}),
        ("a middle axis", (2, 1, 3), (2, 4, 3), [["B", 1, 3], ["B", "T", 3]], {"B": 2, "T": 4}),
        ("fewer axes on the left", (3,), (2, 2, 3), None, None),
    ]
    functions = {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
    }
    for op, function in functions.items():
        for title, left, right, dims, symbols in shapes:
            row(op, function, [normal(*left), positive(*right)], title, dims=dims, symbols=symbols)
    row("negate", torch.neg, [normal(2, 3)])
    row("exp", torch.exp, [normal(2, 3)], dims=[["B", 3]], symbols={"B": 2})
    row("log", torch.log, [positive(2, 3)])
    row("sqrt", torch.sqrt, [positive(2, 3)])
    row("sigmoid", torch.sigmoid, [normal(2, 3) * 3])
    row("silu", F.silu, [normal(3, 4) * 3], dims=[["N", 4]], symbols={"N": 3})
    row("silu", F.silu, [torch.tensor([-30.0, -1.5, 0.0, 1.5, 30.0])], "far from zero")
    row("tanh", torch.tanh, [normal(2, 3) * 2], dims=[["B", 3]], symbols={"B": 2})
    row("relu", F.relu, [normal(3, 4)], dims=[["N", 4]], symbols={"N": 3})
    row("sign", torch.sign, [torch.tensor([-2.5, 0.0, 0.5])], differentiable=False)
    # The runtime has no 64-bit form of these two.
    row("erf", torch.erf, [normal(3, 4)], attributes={"single": True}, dims=[["N", 4]], symbols={"N": 3})
    row("gelu", F.gelu, [normal(3, 4) * 2], attributes={"single": True}, dims=[["N", 4]], symbols={"N": 3})
    row("gelu", F.gelu, [torch.tensor([-30.0, -1.5, 0.0, 1.5, 30.0])], "far from zero", {"single": True})
    row("gelu-tanh", lambda x: F.gelu(x, approximate="tanh"), [normal(3, 4) * 2], dims=[["N", 4]], symbols={"N": 3})
    row("gelu-tanh", lambda x: F.gelu(x, approximate="tanh"), [torch.tensor([-30.0, -1.5, 0.0, 1.5, 30.0])], "far from zero")


def products():
    def product(transpose, scale=1.0):
        def function(a, b):
            left = a.transpose(-1, -2) if "a" in transpose else a
            right = b.transpose(-1, -2) if "b" in transpose else b
            return scale * (left @ right)

        return function

    for transpose in ("", "a", "b", "ab"):
        left = (4, 3) if "a" in transpose else (3, 4)
        right = (2, 4) if "b" in transpose else (4, 2)
        dims = [["K", 3] if "a" in transpose else ["N", 4], ([2, 4] if "b" in transpose else [4, 2])]
        if "a" in transpose:
            dims = None
        row("matmul", product(transpose), [normal(*left), normal(*right)], f"matrices, transposed: {transpose or 'none'}",
            {"transpose": transpose, "scale": 1}, dims, {"N": 3} if dims else None)
        row("matmul", product(transpose, 0.375), [normal(2, 2, *left), normal(2, 2, *right)],
            f"batches, transposed: {transpose or 'none'}", {"transpose": transpose, "scale": 0.375},
            [["B", 2, *left], ["B", 2, *right]], {"B": 2})
    row("matmul", product("b"), [normal(5, 3), normal(4, 3)], "a linear layer: x · Wᵀ", {"transpose": "b", "scale": 1},
        [["N", 3], [4, 3]], {"N": 5})
    row("matmul", product("a"), [normal(5, 3), normal(5, 3)], "sum of outer products", {"transpose": "a", "scale": 1},
        [["N", 3], ["N", 3]], {"N": 5})


def normalisations():
    for op, function in (("softmax", torch.softmax), ("log-softmax", torch.log_softmax)):
        row(op, lambda x, f=function: f(x, -1), [normal(3, 5) * 2], "matrix", dims=[["N", 5]], symbols={"N": 3})
        row(op, lambda x, f=function: f(x, -1), [normal(2, 2, 4)], "three axes", dims=[["B", "T", 4]], symbols={"B": 2, "T": 2})
        row(op, lambda x, f=function: f(x, -1), [torch.tensor([[300.0, 299.0, -300.0]])], "large numbers")
    epsilon = 1e-5
    row("rms-norm", lambda x, w: F.rms_norm(x, (x.shape[-1],), w, epsilon), [normal(3, 6), positive(6)], "matrix",
        {"epsilon": epsilon}, [["N", 6], [6]], {"N": 3})
    row("rms-norm", lambda x, w: F.rms_norm(x, (x.shape[-1],), w, 0.01), [normal(2, 2, 4) * 0.1, positive(4)],
        "small numbers, where ε counts", {"epsilon": 0.01}, [["B", "T", 4], [4]], {"B": 2, "T": 2})
    row("layer-norm", lambda x, w, b: F.layer_norm(x, (x.shape[-1],), w, b, epsilon),
        [normal(3, 6) + 2, positive(6), normal(6)], "matrix", {"epsilon": epsilon}, [["N", 6], [6], [6]], {"N": 3})
    row("layer-norm", lambda x, w, b: F.layer_norm(x, (x.shape[-1],), w, b, 0.01),
        [normal(2, 2, 4) * 0.1, positive(4), normal(4)], "small numbers, where ε counts", {"epsilon": 0.01},
        [["B", "T", 4], [4], [4]], {"B": 2, "T": 2})


def swap(x, pairs):
    """The two columns of each pair exchanged: j and j + w/2 (halves), or 2j and 2j + 1 (interleaved)."""
    if pairs == "halves":
        return torch.cat(x.chunk(2, -1)[::-1], -1)
    return x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)


def spread(angles, pairs):
    """Angles [T, w/2] for each column [1, T, 1, w]: cosines, and sines with −1 at the first column of a pair."""
    both = [part.double() for part in (angles.cos(), angles.sin())]
    join = (lambda a, b: torch.cat([a, b], -1)) if pairs == "halves" else (lambda a, b: torch.stack([a, b], -1).flatten(-2))
    cos, sin = join(both[0], both[0]), join(-both[1], both[1])
    return single(cos)[None, :, None, :], single(sin)[None, :, None, :]


def rotate(x, cos, sin, pairs):
    width = cos.shape[-1]
    first = x[..., :width]
    return torch.cat([first * cos + swap(first, pairs) * sin, x[..., width:]], -1)


def angles(positions, width, theta=100.0):
    return positions.double()[:, None] * theta ** (-torch.arange(0, width, 2).double() / width)


def attention():
    for pairs, width in (("halves", 4), ("interleaved", 4), ("halves", 2), ("interleaved", 2)):
        cos, sin = spread(angles(torch.arange(3) + 2, width), pairs)
        # cos and sin are constants of the model: no gradient is asked for them.
        x = single(normal(2, 3, 2, 4)).requires_grad_(True)
        y = rotate(x, cos, sin, pairs)
        upstream = single(normal(*y.shape))
        y.backward(upstream)
        ROWS.append({
            "op": "rotary", "title": f"{pairs}, {width} of 4 columns", "attributes": {"pairs": pairs},
            "inputs": [stored(x), stored(cos), stored(sin)],
            "outputs": [stored(y)], "upstream": flat(upstream), "gradients": [flat(x.grad), None, None],
            "dims": [["B", "T", 2, 4], [1, "T", 1, width], [1, "T", 1, width]], "symbols": {"B": 2, "T": 3},
        })
    fused_attention("two at once", past=0)
    fused_attention("after 2 positions", past=2)
    fused_attention("without rotary embedding", past=2, turned=0)
    fused_attention("interleaved", past=2, pairs="interleaved")
    fused_attention("half of the columns", past=2, width=32, turned=16)
    fused_attention("scale and soft cap", past=2, scale=0.125, softcap=1.5)
    fused_attention("window of 3", past=6, window=3)
    fused_attention("window of 3, many at once", past=0, new=6, window=3)


def fused_attention(title, past, new=None, width=16, turned=None, pairs="halves", scale=None, softcap=0.0, window=0):
    """Two rows, two query heads on one key/value head; two positions at once, or one after `past` earlier ones."""
    batch, heads, shared = 2, 2, 1
    new = new or (1 if past else 2)
    turned = width if turned is None else turned
    scale = scale or width**-0.5
    rows = past + new
    shapes = [(batch, new, heads * width), *[(batch, new, shared * width)] * 2, *[(batch, shared, past, width)] * 2]
    q, k, v, keys, values = inputs = [single(normal(*shape)) for shape in shapes]
    table = angles(torch.arange(8), turned) if turned else None
    tables = [single(table.cos()), single(table.sin())] if turned else []

    def turn(x):
        return rotate(x, *spread(table[past:rows], pairs), pairs) if turned else x

    q = turn(q.view(batch, new, heads, width)).transpose(1, 2)
    k = turn(k.view(batch, new, shared, width)).transpose(1, 2)
    v = v.view(batch, new, shared, width).transpose(1, 2)
    keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
    scores = q @ keys.transpose(-1, -2) * scale
    if softcap:
        scores = softcap * (scores / softcap).tanh()
    distance = torch.arange(past, rows)[:, None] - torch.arange(rows)[None, :]
    hidden = distance < 0 if not window else (distance < 0) | (distance >= window)
    weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
    output = (weights @ values).transpose(1, 2).reshape(batch, new, heads * width)
    ends = torch.full((batch,), rows - 1, dtype=torch.int32)
    total = torch.tensor(rows, dtype=torch.int32)
    settings = {"heads": heads, "kvHeads": shared, "scale": scale, "softcap": softcap, "window": window,
                "pairs": pairs if turned else ""}
    ROWS.append({
        "op": "grouped-attention", "title": title, "attributes": settings,
        "inputs": [stored(x) for x in (*inputs, ends, total, *tables)],
        "outputs": [stored(x) for x in (output, keys, values)],
        "symbols": {"S": rows},
    })


def reductions():
    row("sum", lambda x: x.sum(1, keepdim=True), [normal(2, 3)], "last axis", {"axes": [1]}, [["B", 3]], {"B": 2})
    row("sum", lambda x: x.sum(0, keepdim=True), [normal(2, 3)], "first axis", {"axes": [0]}, [["B", 3]], {"B": 2})
    row("sum", lambda x: x.sum((0, 2), keepdim=True), [normal(2, 3, 2)], "two axes", {"axes": [0, 2]}, [["B", "T", 2]], {"B": 2, "T": 3})
    row("mean-last", lambda x: x.mean(-1, keepdim=True), [normal(2, 5)], dims=[["B", 5]], symbols={"B": 2})
    row("broadcast", lambda x: x.expand(2, 3, 4), [normal(3, 1)], "a new axis and a repeated one", {"shape": [2, 3, 4]})
    row("broadcast", lambda x: x.expand(3, 4), [normal(1, 4)], "to a size known when run", {"shape": ["N", 4]},
        [[1, 4], ["N", 4]], {"N": 3})
    row("drop-leading", lambda x: x[0, 0], [normal(1, 1, 3)], attributes={"count": 2})
    row("argmax", lambda x: x.argmax(-1), [normal(3, 5)], differentiable=False)
    row("argmax", lambda x: x.argmax(-1), [torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]).double()], "ties: the first", differentiable=False)


def moves():
    row("reshape", lambda x: x.reshape(4, 3), [normal(2, 6)], "two axes", {"shape": [4, 3]})
    row("reshape", lambda x: x.reshape(2, 3, 2, 2), [normal(6, 4)], "heads out of columns", {"shape": ["B", "T", 2, 2]},
        [["B*T", 4]], {"B": 2, "T": 3})
    row("transpose", lambda x: x.T, [normal(2, 3)], "matrix", {"order": [1, 0]}, [["B", 3]], {"B": 2})
    row("transpose", lambda x: x.permute(0, 2, 3, 1, 4), [normal(2, 2, 1, 3, 2)], "five axes", {"order": [0, 2, 3, 1, 4]})
    row("concat", lambda a, b: torch.cat([a, b], 1), [normal(2, 2), normal(2, 3)], "columns", {"axis": 1, "size": 5})
    row("concat", lambda a, b: torch.cat([a, b], 2), [normal(2, 1, 3, 2), normal(2, 1, 2, 2)], "a cache and new positions",
        {"axis": 2, "size": "S"}, [["B", 1, "P", 2], ["B", 1, "T", 2]], {"B": 2, "P": 3, "T": 2, "S": 5})
    row("concat", lambda a, b: torch.cat([a, b], 2), [normal(2, 1, 0, 2), normal(2, 1, 2, 2)], "an empty cache",
        {"axis": 2, "size": 2})
    row("part", lambda x, like: x[:, :2], [normal(2, 5), normal(2, 2)], "start", {"axis": 1, "end": "start"}, [["B", "S"], ["B", "P"]], {"B": 2, "S": 5, "P": 2})
    row("part", lambda x, like: x[:, 2:], [normal(2, 5), normal(2, 3)], "end", {"axis": 1, "end": "end"}, [["B", "S"], ["B", "T"]], {"B": 2, "S": 5, "T": 3})
    row("widen", lambda x, like: F.pad(x, (0, 3)), [normal(2, 2), normal(2, 5)], "start", {"axis": 1, "end": "start"}, [["B", "P"], ["B", "S"]], {"B": 2, "S": 5, "P": 2})
    row("widen", lambda x, like: F.pad(x, (2, 0)), [normal(2, 3), normal(2, 5)], "end", {"axis": 1, "end": "end"}, [["B", "T"], ["B", "S"]], {"B": 2, "S": 5, "T": 3})
    row("slice", lambda x: x[:, 1:3], [normal(2, 5)], "columns", {"axis": 1, "from": 1, "to": 3}, [["B", 5]], {"B": 2})
    row("slice", lambda x: x[:, :, 0:1], [normal(2, 2, 3, 2)], "a middle axis", {"axis": 2, "from": 0, "to": 1},
        [["B", 2, 3, 2]], {"B": 2})
    row("pad", lambda x: F.pad(x, (1, 2)), [normal(2, 2)], "columns", {"axis": 1, "before": 1, "after": 2}, [["B", 2]], {"B": 2})


def picking():
    picks = index([2, 0, 2, 3])
    row("gather-rows", lambda x, i: x[i], [normal(4, 3), picks], "a row twice", dims=[["N", 3], ["R"]], symbols={"N": 4, "R": 4})
    row("gather-rows", lambda x, i: x[i], [normal(3, 2, 2), index([1])], "three axes")
    row("add-rows", lambda x, i, r: x.index_add(0, i, r), [normal(4, 3), picks, normal(4, 3)], "a row twice",
        dims=[["N", 3], ["R"], ["R", 3]], symbols={"N": 4, "R": 4})
    row("replace-rows", lambda x, i, r: x.index_copy(0, i, r), [normal(4, 3), index([3, 1]), normal(2, 3)],
        dims=[["N", 3], ["R"], ["R", 3]], symbols={"N": 4, "R": 2})
    pairs = index([[0, 4], [2, 1], [2, 1]])
    row("gather-pairs", lambda x, p: x[p[:, 0], p[:, 1]], [normal(3, 5), pairs], "a pair twice",
        dims=[["U", 5], ["M", 2]], symbols={"U": 3, "M": 3})
    row("add-pairs", lambda x, p, v: x.index_put((p[:, 0], p[:, 1]), v, accumulate=True), [normal(3, 5), pairs, normal(3)],
        "a pair twice", dims=[["U", 5], ["M", 2], ["M"]], symbols={"U": 3, "M": 3})
    row("zeros-like", torch.zeros_like, [normal(2, 3)], dims=[["B", 3]], symbols={"B": 2}, differentiable=False)


def choices():
    row("less-or-equal", lambda a, b: a <= b, [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 2.0])], differentiable=False)
    condition = torch.tensor([[True, False, True], [False, False, True]])
    row("where", torch.where, [condition, normal(2, 3), normal(2, 3)], "element by element",
        dims=[["B", 3], ["B", 3], ["B", 3]], symbols={"B": 2})
    row("where", torch.where, [condition[:, :1], normal(2, 3), normal(2, 3)], "row by row")
    row("top-k", lambda x: tuple(x.topk(2)), [normal(3, 5)], attributes={"k": 2}, differentiable=False)


def main():
    torch.manual_seed(SEED)
    for part in (elementwise, products, normalisations, attention, reductions, moves, picking, choices):
        part()
    write("ops", "ops.py", SEED, {"rows": ROWS})


if __name__ == "__main__":
    main()

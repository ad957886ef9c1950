"""Solutions of the exercises of chapter 13."""


def quantise(row, bits):
    most = 2 ** (bits - 1) - 1
    scale = max(map(abs, row), default=0) / most or 1.0
    return [round(weight / scale) for weight in row], scale


def stored_bytes(rows, inputs, bits, group):
    scales = -(-inputs // group)  # rounded up
    return rows * (-(-inputs * bits // 8) + 2 * scales)


def adapted(layer, a, b, alpha):
    def forward(x):
        return layer(x) + alpha / len(a) * (x @ a.T @ b.T)  # (batch, r) in the middle
    return forward


def levels_property(quantise, row, bits):
    levels, scale = quantise(row, bits)
    most = 2 ** (bits - 1) - 1
    if len(levels) != len(row) or not all(level == int(level) and -most - 1 <= level <= most for level in levels):
        return False
    if any(abs(weight - level * scale) > abs(scale) / 2 + 1e-9 for weight, level in zip(row, levels)):
        return False
    if any(weight == 0 and level * scale != 0 for weight, level in zip(row, levels)):
        return False
    return not any(row) or max(map(abs, levels)) >= most  # the levels reach as far as the weights

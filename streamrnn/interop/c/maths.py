"""The C text of streamrnn/maths.py and sums.py: the same operations in the same order, with the same constants.

A piece names the pieces it needs; they stand before it. NAME_ and CAPS_ become the program's own prefix, $P0 the constant
P0 of streamrnn.maths.
"""
import re
from typing import NamedTuple

import numpy as np

from streamrnn import maths


class Piece(NamedTuple):
    text: str
    needs: tuple[str, ...] = ()


def literal(value):
    """A float32 as C writes it: the shortest text that reads back as the same bits."""
    return f"{np.float32(value)!s}f"


def with_constants(text):
    return re.sub(r"\$(\w+)", lambda found: literal(getattr(maths, found[1])), text)


# The compiler says whether the processor fuses. Clang's fmaf may be a slow function for errno's sake, its other form never is.
# A product and a sum by themselves may not be made one.
FMA = """\
#ifndef CAPS_FMA
#if !defined(__FP_FAST_FMAF) && !defined(__FMA__) && !defined(__ARM_FEATURE_FMA)
#define CAPS_FMA(a, b, c) ((a) * (b) + (c))
#elif defined(__clang__) && __clang_major__ >= 17
#define CAPS_FMA(a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define CAPS_FMA(a, b, c) __builtin_fmaf(a, b, c)
#endif
#endif

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize ("fp-contract=off")
#endif
"""

AFTERWARDS = """\
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
"""

PIECES = {
    "bits": Piece("""\
typedef union { float value; uint32_t bits; } NAME_bits;
"""),
    "finite": Piece("""\
static int NAME_finite(float x)
{
    NAME_bits b;
    b.value = x;
    return (b.bits & 0x7f800000u) != 0x7f800000u;
}
""", ("bits",)),
    "ratio": Piece("""\
typedef struct { float top, bottom; } NAME_ratio;  /* divided late: a division costs as much as ten products */

static NAME_ratio NAME_tanh_ratio(float x)
{
    NAME_ratio r;
    float u, u2;
    x = x < $LIMIT ? x : $LIMIT;
    x = x > -$LIMIT ? x : -$LIMIT;
    u = x * x;
    u2 = u * u;
    r.top = x * CAPS_FMA(u2, CAPS_FMA($P3, u, $P2), CAPS_FMA($P1, u, $P0));
    r.bottom = CAPS_FMA(u2, CAPS_FMA(u2, $Q4, CAPS_FMA($Q3, u, $Q2)), CAPS_FMA($Q1, u, 1.0f));
    return r;
}
"""),
    "sigmoid_ratio": Piece("""\
static NAME_ratio NAME_sigmoid_ratio(float x)
{
    NAME_ratio r = NAME_tanh_ratio(0.5f * x);
    r.top = r.bottom + r.top;
    r.bottom = r.bottom + r.bottom;
    return r;
}
""", ("ratio",)),
    "tanh": Piece("""\
static float NAME_tanh(float x)
{
    NAME_ratio r = NAME_tanh_ratio(x);
    return r.top / r.bottom;
}
""", ("ratio",)),
    "sigmoid": Piece("""\
static float NAME_sigmoid(float x)
{
    NAME_ratio r = NAME_sigmoid_ratio(x);
    return r.top / r.bottom;
}
""", ("sigmoid_ratio",)),
    "relu": Piece("""\
static float NAME_relu(float x)
{
    return x > 0.0f ? x : 0.0f;
}
"""),
    "exp": Piece("""\
static float NAME_exp(float x)
{
    NAME_bits power;
    float n, r, p;
    x = x < $HIGHEST ? x : $HIGHEST;
    x = x > $LOWEST ? x : $LOWEST;
    n = CAPS_FMA(x, $LOG2E, $ROUND) - $ROUND;
    r = CAPS_FMA(n, -($LN2_LOW), CAPS_FMA(n, -$LN2_HIGH, x));
    p = CAPS_FMA(CAPS_FMA(CAPS_FMA(CAPS_FMA($E6, r, $E5), r, $E4), r, $E3), r, $E2);
    power.bits = (uint32_t)((int32_t)n + 127) << 23;
    return CAPS_FMA(r * r, p, r + 1.0f) * power.value;
}
""", ("bits",)),
    "root": Piece("""\
static float NAME_root(float x)  /* rounded as the processor's square root is: digit by digit, in whole numbers */
{
    NAME_bits b;
    uint64_t left = 0, whole = 0, bit = (uint64_t)1 << 46;
    int32_t exponent, halved = 0;
    if (!(x > 0.0f) || !NAME_finite(x))
        return x;
    if (x < 1.17549435e-38f) {
        x *= 16777216.0f;
        halved = 12;
    }
    b.value = x;
    exponent = (int32_t)(b.bits >> 23) - 127;
    left = (uint64_t)((b.bits & 0x7fffffu) | 0x800000u) << 23;
    if (exponent & 1) {
        left <<= 1;
        exponent -= 1;
    }
    for (; bit; bit >>= 2) {
        if (left >= whole + bit) {
            left -= whole + bit;
            whole = (whole >> 1) + bit;
        } else
            whole >>= 1;
    }
    whole += left > whole;
    b.bits = (uint32_t)((uint64_t)(exponent / 2 - halved + 126) << 23) + (uint32_t)whole;
    return b.value;
}
""", ("finite",)),
    "fold": Piece("""\
static float NAME_fold(float *sums)  /* 16 partial sums, in halves */
{
    int half, k;
    for (half = 8; half > 0; half /= 2)
        for (k = 0; k < half; k++)
            sums[k] += sums[k + half];
    return sums[0];
}
"""),
    "dot": Piece("""\
static float NAME_dot(const float *p, const float *q, int count)
{
    float sums[16] = {0.0f};
    int k;
    for (k = 0; k < count; k++)
        sums[k & 15] = CAPS_FMA(p[k], q[k], sums[k & 15]);
    return NAME_fold(sums);
}
""", ("fold",)),
    "total": Piece("""\
static float NAME_total(const float *p, int count)
{
    float sums[16] = {0.0f};
    int k;
    for (k = 0; k < count; k++)
        sums[k & 15] += p[k];
    return NAME_fold(sums);
}
""", ("fold",)),
}


def products(sums):
    """sums[g] += v[k] w[k][g], k in order, for a fixed number of sums, which then stay in registers."""
    each = lambda form: " ".join(form.format(g=g) for g in range(sums))
    names = ", ".join(f"s{g} = sums[{g}]" for g in range(sums))
    return Piece(f"""\
static const float *NAME_add{sums}(float *sums, const float *w, const float *v, int count)
{{
    float {names};
    int k;
    for (k = 0; k < count; k++, w += {sums}) {{
        float x = v[k];
        {each("s{g} = CAPS_FMA(x, w[{g}], s{g});")}
    }}
    {each("sums[{g}] = s{g};")}
    return w;
}}
""")


PIECES |= {f"add{sums}": products(sums) for sums in (1, 2, 3, 4)}

"""What stands around the layers in the file: its head, declarations, weights, step, and a main for tests.

NAME_ and CAPS_ become the program's own prefix at the end, so that two models fit into one firmware.
"""
import re

from streamrnn import __version__
from streamrnn.interop.c import maths

HEAD = """\
/* {name}: a recurrent net as one C99 file, made by `streamrnn export` (streamrnn {version}). Do not edit it: export again.

   {inputs} in -> {layers} -> {outputs} out
   digest of the model: {digest}
{columns}
   flash   {weights:>9,} bytes of weights, and the code
   RAM     {state:>9,} bytes a stream: NAME_state
   stack   {work:>9,} bytes of work in NAME_step, and about 200 for its calls

   How to call it:

       static NAME_state state;
       NAME_reset(&state);
       while (read(x))
           if (NAME_step(&state, x, y) == 0)
               use(y);

   Each stream has a state of its own; reset it before the first sample, and to start over. x has CAPS_INPUTS values, y gets
   CAPS_OUTPUTS; they must not overlap. A step answers 1 for a sample it refuses ({refused}), and steps nothing.

   Compile this file with the firmware; elsewhere, declarations alone come with

       #define CAPS_HEADER
       #include "{name}.c"

   It needs nothing but <stdint.h>: no allocation, no <math.h>, no globals that change. With a fused multiply-add (Cortex-M4F
   and up, FMA3, AArch64) its results are those of streamrnn bit for bit; without one every product is rounded first, and they
   agree to about 1e-6. Do not compile it with -ffast-math. Where CAPS_MAIN is defined, a main reads samples
   and prints results. */
"""

DECLARATIONS = """\
#ifndef CAPS_DECLARED
#define CAPS_DECLARED

#define CAPS_INPUTS {inputs}
#define CAPS_OUTPUTS {outputs}
#define CAPS_STATE_BYTES {state}
#define CAPS_WORK_BYTES {work}
#define CAPS_WEIGHT_BYTES {weights}

#ifdef __cplusplus
extern "C" {{
#endif

typedef struct {{
{members}
}} NAME_state;

void NAME_reset(NAME_state *state);
int NAME_step(NAME_state *state, const float x[CAPS_INPUTS], float y[CAPS_OUTPUTS]);

#ifdef __cplusplus
}}
#endif
#endif
"""

RESET = """\
void NAME_reset(NAME_state *state)
{{
{body}
}}
"""

STEP = """\
int NAME_step(NAME_state *state, const float x[CAPS_INPUTS], float y[CAPS_OUTPUTS])
{{
{work}
    for (k = 0; k < CAPS_INPUTS; k++)
        if ({wrong})
            return 1;
{calls}
    return 0;
}}
"""

MAIN = """\
#ifdef CAPS_MAIN
#include <stdio.h>

int main(void)  /* samples from stdin, a result a line to stdout */
{
    static NAME_state state;
    static float x[CAPS_INPUTS], y[CAPS_OUTPUTS];
    long sample;
    int k;
    NAME_reset(&state);
    for (sample = 0;; sample++) {
        for (k = 0; k < CAPS_INPUTS; k++)
            if (scanf("%f", &x[k]) != 1) {
                if (k == 0 && feof(stdin))
                    return 0;
                fprintf(stderr, "sample %ld: %d numbers expected, number %d is none\\n", sample, CAPS_INPUTS, k);
                return 1;
            }
        if (NAME_step(&state, x, y)) {
            fprintf(stderr, "sample %ld was refused\\n", sample);
            return 1;
        }
        for (k = 0; k < CAPS_OUTPUTS; k++)
            printf(k + 1 < CAPS_OUTPUTS ? "%.9g " : "%.9g\\n", (double)y[k]);
    }
}
#endif
"""


def text(model, program, writer, pieces):
    """The whole file."""
    vocabulary = model.packed.plan.vocabulary
    sizes = {"inputs": model.inputs, "outputs": model.outputs, "state": program.state_bytes, "work": program.work_bytes,
             "weights": program.weight_bytes}
    columns = "".join(f"   y[{part.start}..{part.stop - 1}]: {plain(head)}\n" for head, part in model.heads.items())
    refused = f"a token that is no whole number from 0 to {vocabulary - 1}" if vocabulary else "a value that is not finite"
    head = HEAD.format(name=program.name, version=__version__, digest=model.digest, layers=plain(", ".join(map(repr, model.layers))),
                       columns=columns, refused=refused, **sizes)
    members = [f"    float {name}[{size}];  /* {plain(label)} */" for name, size, label, _ in writer.states]
    parts = [
        head,
        DECLARATIONS.format(members="\n".join(members or ["    char none;  /* no layer keeps anything */"]), **sizes),
        "#ifndef CAPS_HEADER\n#include <stdint.h>\n",
        maths.FMA,
        *(maths.with_constants(piece) for piece in pieces),
        *(array(*one) for one in writer.arrays),
        RESET.format(body=reset(writer)),
        STEP.format(work=work(writer), wrong=wrong(vocabulary), calls="\n".join(f"    {line}" for line in writer.lines)),
        maths.AFTERWARDS,
        MAIN,
        "#endif\n",
    ]
    names = {"NAME": program.name, "CAPS": program.name.upper()}
    return re.sub(r"\b(NAME|CAPS)_", lambda found: names[found[1]] + "_", "\n".join(parts))


def plain(words):
    """Fit for a comment, whatever a head is called."""
    return re.sub(r"[^\w =.,()'-]", "_", words, flags=re.ASCII)


def array(name, numbers, label):
    lines = [", ".join(maths.literal(v) for v in numbers[k:k + 8]) for k in range(0, numbers.size, 8)]
    return f"static const float {name}[{numbers.size}] = {{  /* {plain(label)} */\n    " + ",\n    ".join(lines) + "\n};\n"


def reset(writer):
    if not writer.states:
        return "    state->none = 0;"
    clear = "    for (k = 0; k < {size}; k++)\n        state->{name}[k] = {value};"
    return "\n".join(["    int k;", *(clear.format(name=name, size=size, value=f"{first}[k]" if first else "0.0f")
                                      for name, size, _, first in writer.states)])


def work(writer):
    vectors = "".join(f"    float work{number}[{size}];\n" for number, size in enumerate(writer.vectors))
    return vectors + "    int k;" + ("" if writer.states else "\n    (void)state;")


def wrong(vocabulary):
    """Is x[k] such as the kernels refuse? Told by its bits: -ffast-math would take a comparison away."""
    if vocabulary:
        return f"!NAME_finite(x[k]) || x[k] < 0.0f || x[k] >= {vocabulary}.0f || x[k] != (float)(long)x[k]"
    return "!NAME_finite(x[k])"

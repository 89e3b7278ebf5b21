// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_shape.c   Shape lines: what they say, what they refuse, and the figures behind them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "elem.h"
#include "ops/op_info.h"

static struct problem parsed(const char *line)
{
    struct problem p;
    struct fault fault = {""};
    if (shape_parse(line, &p, &fault) != ST_OK)
        fail_msg("%s: %s", line, fault.text);
    return p;
}

static void refused(const char *line, const char *sentence)
{
    struct problem p;
    struct fault fault = {""};
    assert_int_equal(shape_parse(line, &p, &fault), ST_BAD_INPUT);
    if (!strstr(fault.text, sentence))
        fail_msg("%s: '%s' does not say '%s'", line, fault.text, sentence);
}

static void prints_as(const char *line, const char *canonical)
{
    struct problem p = parsed(line);
    char text[512];
    shape_print(&p, text, sizeof text);
    assert_string_equal(text, canonical);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void table_is_whole(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        const struct op_info *op = op_table[i];
        assert_int_equal(op->id, i);
        assert_true(op->summary && op->extent && op->ref_row_elems && op->flops && op->ref);
        assert_true(op->composite == (op->expand != NULL));
        assert_true(op->verify_shapes[0] && op->verify_shapes[4] && op->timing_shape);
        assert_null(op->dim[OP_DIMS_MAX - 1].name);
        assert_null(op->tensor[OP_TENSORS_MAX - 1].name);
        const struct tolerance *last = &op->tolerance[OP_TOLERANCES_MAX - 1];
        assert_true(last->rel == 0 && last->abs == 0 && last->l2 == 0);
    }
}

static void assert_same(const struct problem *a, const struct problem *b, const char *line)
{
    if (a->op != b->op || memcmp(&a->linear, &b->linear, op_table[a->op]->problem_bytes) != 0)
        fail_msg("%s does not survive printing", line);
}

static void check_line(const struct op_info *op, const char *line)
{
    struct problem p = parsed(line), again;
    char text[512];
    int64_t rows, row_elems;
    assert_int_equal(p.op, op->id);
    shape_print(&p, text, sizeof text);
    assert_string_equal(text, line);
    again = parsed(text);
    assert_same(&p, &again, line);
    for (int i = 0; op->tensor[i].name; i++) {
        const struct tensor *t = problem_tensor_const(&p, i);
        bool present = op->extent(&p.linear, i, &rows, &row_elems);
        assert_int_equal(tensor_given(t), present);
        if (!present)
            continue;
        assert_true(rows >= 1 && row_elems >= 1 && t->stride == row_elems);
        if (op->tensor[i].role != ROLE_OUT)
            continue;
        assert_int_equal(row_elems % op->ref_row_elems(&p.linear, i), 0);
        assert_non_null(problem_tolerance(op, t->elem, NUM_F32));
    }
}

/* Every shape in the table stands there in its canonical form, so printing gives it back. */
static void every_shape_round_trips(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        const struct op_info *op = op_table[i];
        bool seen[ELEM_COUNT] = {false};
        for (const char *const *line = op->verify_shapes; *line; line++) {
            check_line(op, *line);
            struct problem p = parsed(*line);
            seen[problem_type(&p)] = true;
            assert_true(problem_flops(&p) <= 50e6 && problem_bytes(&p) <= 16e6);
        }
        check_line(op, op->timing_shape);
        assert_true(seen[ELEM_F32]);
        const bool f32_alone = op->id == OP_sampler_step || op->id == OP_ddpm_step;
        assert_true(f32_alone || (seen[ELEM_BF16] && seen[ELEM_F16]));
    }
}

static void every_epilogue_and_norm_is_verified(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        const struct op_info *op = op_table[i];
        for (const struct op_dim *d = op->dim; d->name; d++) {
            if (!d->symbols)
                continue;
            for (int64_t v = 0; d->symbols[v]; v++) {
                bool seen = false;
                for (const char *const *line = op->verify_shapes; *line; line++) {
                    struct problem p = parsed(*line);
                    seen |= *(int64_t *)((char *)&p.linear + d->offset) == v;
                }
                if (!seen)
                    fail_msg("%s: no verify shape has %s=%s", op->name, d->name, d->symbols[v]);
            }
        }
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void canonical_lines(void **state)
{
    (void)state;
    prints_as("attention:D=64,N=2,Sq=9", "attention:Sq=9,N=2,D=64,type=f32");
    prints_as("attention:Sq=9,Sk=9,N=2,D=64,bias=0,B=1", "attention:Sq=9,N=2,D=64,type=f32");
    prints_as("attention:type=bf16,Sq=9,Sk=8,N=2,D=64,bias=1",
              "attention:Sq=9,Sk=8,N=2,D=64,bias=1,type=bf16");
    prints_as("linear:S=2,K=3,O=4,out=f32,type=f32", "linear:S=2,K=3,O=4,type=f32");
    prints_as("linear:S=2,K=3,O=4,epilogue=none,bias=1", "linear:S=2,K=3,O=4,type=f32");
    prints_as("to_rgb:T=1,H=2,W=2,Ho=2,Wo=2,out=u8", "to_rgb:T=1,H=2,W=2,Ho=2,Wo=2,type=f32");
}

static void optional_tensors_follow_the_line(void **state)
{
    (void)state;
    struct problem p = parsed("linear:S=4,K=3,O=5,bias=0,epilogue=gate,out=f32,type=bf16");
    assert_false(tensor_given(&p.linear.bias));
    assert_int_equal(p.linear.y.elem, ELEM_F32);
    assert_int_equal(p.linear.aux.elem, ELEM_F32);
    assert_int_equal(p.linear.x.elem, ELEM_BF16);
    assert_int_equal(p.linear.gate.elem, ELEM_F32);
    p = parsed("conv3d:T=1,H=3,W=3,C=2,O=2,P=0");
    assert_false(tensor_given(&p.conv3d.past) || tensor_given(&p.conv3d.aux));
    assert_true(tensor_given(&p.conv3d.bias));
    p = parsed("qk_norm_rope:S=3,N=2,D=4,norm=none,rope=0");
    assert_false(tensor_given(&p.qk_norm_rope.weight) || tensor_given(&p.qk_norm_rope.cos));
    assert_false(tensor_given(&p.qk_norm_rope.bias));
    p = parsed("qk_norm_rope:S=3,N=2,D=4,norm=layer");
    assert_true(tensor_given(&p.qk_norm_rope.weight) && tensor_given(&p.qk_norm_rope.bias));
}

static void refusals_say_what_and_where(void **state)
{
    (void)state;
    refused("atention:Sq=4,N=1,D=8", "there is no op 'atention'");
    refused("atention:Sq=4,N=1,D=8", "attention");
    refused("", "there is no op ''");
    refused("linear", "shape linear: S is missing; for example linear:S=780");
    refused("linear:S=4,K=8", "shape linear: O is missing");
    refused("linear:S=4,K=8,O=", "'O=' must read NAME=VALUE");
    refused("linear:S=4,,K=8,O=2", "'' must read NAME=VALUE");
    refused("linear:S=4,K=8,O=2,", "'' must read NAME=VALUE");
    refused("linear:S=4,K=8,Z=2", "shape linear has no field 'Z'");
    refused("linear:S=4,K=8,epilog=gelu", "epilogue");
    refused("linear:S=4,S=4,K=8,O=2", "names S twice");
    refused("linear:S=4,K=8,O=2,type=f32,type=f32", "names type twice");
    refused("linear:S=0,K=8,O=2", "S=0 must be a whole number from 1 to 2147483647");
    refused("linear:S=-4,K=8,O=2", "S=-4 must be a whole number");
    refused("linear:S= 4,K=8,O=2", "S= 4 must be a whole number");
    refused("linear:S=4x,K=8,O=2", "S=4x must be a whole number");
    refused("linear:S=99999999999999999999,K=8,O=2", "must be a whole number");
    refused("linear:S=4,K=8,O=2,bias=2", "bias=2 must be a whole number from 0 to 1");
    refused("linear:S=4,K=8,O=2,epilogue=relu", "must be one of none, gelu, silu, add, gate, mul");
    refused("linear:S=4,K=8,O=2,type=int8", "type=int8 must be f32, bf16 or f16");
    refused("linear:S=4,K=8,O=2,type=none", "type=none must be f32, bf16 or f16");
    refused("linear:S=4,K=8,O=2,type=u8", "type=u8 must be f32, bf16 or f16");
    refused("linear:S=4,K=8,O=2,out=f16,type=bf16", "out=f16 must be f32 or the shape's type bf16");
    refused("linear:S=4,K=8,O=2,out=what", "out=what is no element type");
    refused("sampler_step:S=4,C=8,type=bf16", "works in f32 only");
}

static void refusals_of_combinations(void **state)
{
    (void)state;
    refused("linear:S=4,K=8,O=2,G=3", "G=3 must divide S=4");
    refused("patchify:T=1,H=3,W=2,C=1", "ph=2 must divide H=3");
    refused("qkv:S=2,C=4,N=1,D=5", "D=5 must be even");
    refused("time_embed:S=1,C=2,drop=1", "C=2 must be at least 4 with drop=1");
    refused("conv3d:T=1,H=3,W=3,C=2,O=2,P=3", "P=3 past frames exceed lead=2");
    refused("conv3d:T=1,H=3,W=3,C=2,O=2,lead=1", "2 frames, padding counted, are fewer than");
    refused("norm_conv3d:T=1,H=3,W=1,C=2,O=2,pad_left=0", "2 columns, padding counted");
    refused("to_rgb:T=1,H=3,W=3,Ho=4,Wo=3", "must fit into");
    refused("to_rgb:T=1,H=3,W=3,Ho=3,Wo=3,out=f16", "out=f16 must be u8 or f32");
    refused("elementwise:S=1,C=1,kind=add,type=u8", "u8 is only copied");
    refused("elementwise:S=1,C=1,kind=sum,type=i32", "i32 is only copied");
    refused("qk_norm_rope:S=2,N=2,D=5,rope=3", "D=5 must be even");
    refused("qk_norm_rope:S=2,N=2,D=4,rope=4", "rope=4");
    refused("unpatchify:T=1,H=2,W=3,C=1,channel=slowest", "pw=2 must divide W=3");
    refused("sampler_step:S=4,C=8,guided=9", "guided=9 exceeds C=8");
    refused("ddpm_step:S=4,C=8,guided=9", "guided=9 exceeds C=8");
    refused("average_down:T=3,H=2,W=2,C=1,O=1,ft=2", "ft=2 must divide lead + T=3");
    refused("average_down:T=1,H=2,W=2,C=1,O=3", "O=3 must divide C ft fs fs=4");
    refused("duplicate_up:T=1,H=2,W=2,C=3,O=1", "C=3 must divide O ft fs fs=4");
    refused("duplicate_up:T=1,H=2,W=2,C=1,O=1,skip=1", "skip=1 leaves none of T ft=1 frames");
    refused("elementwise:S=1,C=1,out=i8", "out=i8 must be f32, bf16 or f16");
}

static void refusals_of_absurd_sizes(void **state)
{
    (void)state;
    char line[600] = "linear:";
    refused("linear:S=2147483647,K=2147483647,O=1", "tensor x would be larger than 64 TiB");
    refused("conv3d:T=2147483647,H=2147483647,W=2147483647,C=2147483647,O=2147483647",
            "larger than 64 TiB");
    refused("attention:B=2147483647,Sq=2147483647,N=2147483647,D=2147483647", "larger than 64 TiB");
    memset(line + 7, 'S', sizeof line - 8);
    refused(line, "at most 511 characters");
}

static void printing_never_overflows(void **state)
{
    (void)state;
    struct problem p = parsed("attention:Sq=9,N=2,D=64,type=f32");
    char small[12];
    shape_print(&p, small, sizeof small);
    assert_string_equal(small, "attention:S");
}

/* ---- figures --------------------------------------------------------------------------------- */

static void assert_flops(const char *line, double flops, double bytes)
{
    struct problem p = parsed(line);
    if (problem_flops(&p) != flops || problem_bytes(&p) != bytes)
        fail_msg("%s: %g flops, %g bytes; expected %g, %g", line, problem_flops(&p),
                 problem_bytes(&p), flops, bytes);
}

static void flops_and_bytes(void **state)
{
    (void)state;
    assert_flops("linear:S=5,K=7,O=11,bias=0", 2.0 * 5 * 7 * 11, 4.0 * (35 + 77 + 55));
    assert_flops("linear:S=6,K=7,O=11,G=2,epilogue=gate,out=f32,type=bf16", 2.0 * 6 * 7 * 11,
                 2.0 * (42 + 77) + 4.0 * (11 + 22 + 66 + 66));
    assert_flops("attention:B=2,Sq=5,Sk=9,N=3,D=16", 4.0 * 2 * 3 * 5 * 9 * 16,
                 4.0 * 2 * 3 * 16 * (5 + 9 + 9 + 5));
    assert_flops("conv3d:T=2,H=4,W=5,C=3,O=7,P=2,bias=0", 2.0 * 2 * 4 * 5 * 7 * 3 * 27,
                 4.0 * (4 * 20 * 3 + 7 * 3 * 27 + 40 * 7));
    assert_flops("conv3d:T=4,H=4,W=4,C=1,O=1,kt=3,kh=1,kw=1,st=2,lead=1,bias=0,pad_top=0,"
                 "pad_left=0,pad_bottom=0,pad_right=0",
                 2.0 * 2 * 16 * 3, 4.0 * (64 + 3 + 32));
    assert_flops("conv3d:T=1,H=8,W=6,C=1,O=1,kt=1,sh=2,sw=2,lead=0,bias=0,pad_top=0,pad_left=0",
                 2.0 * 4 * 3 * 9, 4.0 * (48 + 9 + 12));
    assert_flops("qkv:S=3,C=8,N=2,D=4,norm=none,rope=0", 6.0 * 3 * 8 * 8,
                 4.0 * (24 + 3 * 64 + 3 * 8 + 3 * 24));
    assert_flops("patchify:T=1,H=2,W=2,C=4,type=bf16", 0, 4.0 * 16 + 2.0 * 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_whole),
        cmocka_unit_test(every_shape_round_trips),
        cmocka_unit_test(every_epilogue_and_norm_is_verified),
        cmocka_unit_test(canonical_lines),
        cmocka_unit_test(optional_tensors_follow_the_line),
        cmocka_unit_test(refusals_say_what_and_where),
        cmocka_unit_test(refusals_of_combinations),
        cmocka_unit_test(refusals_of_absurd_sizes),
        cmocka_unit_test(printing_never_overflows),
        cmocka_unit_test(flops_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

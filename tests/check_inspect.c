// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_inspect.c   Checkpoint folders: sound ones are recognised, every kind of damage is named, and
 * what comes out of shards is what is in them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "presets/wan.h"
#include "support/files.h"
#include "support/jobs.h"
#include "support/json_check.h"
#include "support/spawn.h"
#include "support/weights_folder.h"
#include "weights/inspect.h"

/* A geometry of no preset, a few kilobytes large. */
static struct model_config small_model(void)
{
    struct model_config m = *model_presets[0];
    m.text.vocab = 32, m.text.C = 8, m.text.N = 2, m.text.D = 4, m.text.F = 12, m.text.layers = 1;
    m.transformer.N = 2, m.transformer.D = 6, m.transformer.F = 20, m.transformer.layers = 1;
    m.transformer.text_dim = 8, m.transformer.freq_dim = 8;
    m.vae.base = 2;
    return m;
}

static const struct model_config *preset(const char *name)
{
    for (int i = 0; model_presets[i]; i++)
        if (!strcmp(model_presets[i]->name, name))
            return model_presets[i];
    fail_msg("no preset %s", name);
    return NULL;
}

static struct job inspect(const char *path, const char *option, const char *value)
{
    struct job job = {.argv = {BUILD_DIR "/patchmark", "inspect", path, option, value}};
    jobs_run(&job, 1);
    return job;
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* Exit code, and what stands on either stream. */
static void expect(const char *path, const char *option, int code, const char *part)
{
    struct job job = inspect(path, option, NULL);
    char *both = NULL;
    assert_true(asprintf(&both, "%s%s", job.out, job.err) >= 0);
    if (job.code != code)
        fail_msg("%s: exit code %d, not %d:\n%s", path, job.code, code, both);
    says(both, part);
    free(both);
    jobs_free(&job, 1);
}

/* ---- what the model code asks for ------------------------------------------------------------ */

/* Counts of tensors in the published files. */
static void published_counts(void **state)
{
    (void)state;
    static const struct {
        const char *preset;
        enum checkpoint_part part;
        int count;
        const char *name;
    } rows[] = {
        {"wan2.1-t2v-1.3b", PART_TRANSFORMER, 825, "blocks.29.attn2.to_out.0.bias"},
        {"wan2.1-t2v-14b", PART_TRANSFORMER, 1095, "condition_embedder.time_proj.weight"},
        {"wan2.1-t2v-14b", PART_TEXT, 242, "encoder.block.23.layer.1.DenseReluDense.wi_1.weight"},
        {"wan2.1-t2v-14b", PART_VAE, 194, "decoder.up_blocks.1.upsamplers.0.time_conv.weight"},
        {"wan2.1-t2v-14b", PART_VAE, 194, "encoder.down_blocks.8.time_conv.bias"},
        {"wan2.1-i2v-14b-480p", PART_TRANSFORMER, 1303, "blocks.39.attn2.add_k_proj.weight"},
        {"wan2.2-i2v-a14b", PART_TRANSFORMER, 1095, "patch_embedding.weight"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wanted w;
        struct fault fault = {{0}};
        bool found = false;
        assert_int_equal(wanted_of(rows[i].part, preset(rows[i].preset), &w, &fault), ST_OK);
        assert_int_equal(w.count, rows[i].count);
        for (int64_t k = 0; k < w.count; k++)
            found = found || !strcmp(w.spec[k].name, rows[i].name);
        assert_true(found);
        wanted_free(&w);
    }
}

/* ---- single files ---------------------------------------------------------------------------- */

static const char *put_text(const char *name, const char *header, const void *data, size_t bytes)
{
    uint64_t length = strlen(header);
    char *file = malloc(8 + length + bytes);
    const char *path = at("%s/%s", folder, name);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    if (bytes)
        memcpy(file + 8 + length, data, bytes);
    file_put(path, file, 8 + length + bytes);
    free(file);
    return path;
}

static void contents_decide_not_the_name(void **state)
{
    (void)state;
    expect(put_text("none.bin", "{}", NULL, 0), NULL, 0, "of no model known here");
    expect(put_text("a.gguf", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
                    "ab", 2),
           "--tensors", 0, "a  U8 [2]  2 bytes");
    file_put(at("%s/zip.safetensors", folder), "PK\3\4..............", 18);
    expect(at("%s/zip.safetensors", folder), NULL, 2, "as PyTorch's own checkpoints are");
    file_put(at("%s/lfs.safetensors", folder), "version https://git-lfs.github.com/spec/v1\n", 43);
    expect(at("%s/lfs.safetensors", folder), NULL, 2, "git lfs pull");
    expect(put_text("hole", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", "ab",
                    2),
           NULL, 2, "tensor \"a\" has a hole before it");
    expect(at("%s/absent", folder), NULL, 2, "cannot open");
    expect("/dev/null", NULL, 2, "device or pipe");
}

static void metadata_is_shown(void **state)
{
    (void)state;
    const char *path =
        put_text("meta", "{\"__metadata__\":{\"z\":\"1\",\"a\":\"\\u001b[2Jx\"}}", NULL, 0);
    expect(path, NULL, 0, "metadata       a: ?[2Jx\nmetadata       z: 1\n");
    struct job job = inspect(path, "--format", "json");
    assert_int_equal(job.code, 0);
    assert_true(json_valid(job.out));
    says(job.out, "\"a\": \"\\u001b[2Jx\"");
    jobs_free(&job, 1);
}

/* One NaN, infinities of both signs, and the largest finite value of every type. */
static void non_finite_values_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *dtype;
        size_t bytes;
        int count, nan, inf;
        uint64_t bits[6];
    } rows[] = {
        {"F64",
         8,
         5,
         1,
         2,
         {0x7FF0000000000000, 0xFFF0000000000000, 0x7FF0000000000001, 0x7FEFFFFFFFFFFFFF,
          0x8000000000000000}},
        {"F32", 4, 5, 1, 2, {0x7F800000, 0xFF800000, 0xFFC00000, 0x7F7FFFFF, 1}},
        {"BF16", 2, 5, 1, 2, {0x7F80, 0xFF80, 0x7F81, 0x7F7F, 0x8000}},
        {"F16", 2, 5, 1, 2, {0x7C00, 0xFC00, 0xFE00, 0x7BFF, 0xFBFF}},
        {"F8_E5M2", 1, 5, 2, 2, {0x7C, 0xFC, 0x7D, 0xFF, 0x7B}},
        {"F8_E4M3", 1, 4, 2, 0, {0x7F, 0xFF, 0x7E, 0x78}},
        {"F8_E8M0", 1, 3, 1, 0, {0xFF, 0xFE, 0x7F}},
        {"F8_E4M3FNUZ", 1, 4, 1, 0, {0x80, 0x7F, 0xFF, 0}},
        {"U8", 1, 3, 0, 0, {0xFF, 0x80, 0x7F}},
        {"C64", 8, 2, 1, 1, {0x7FC00000, 0xFF80000000000000}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char header[128], data[48];
        size_t bytes = rows[i].bytes * (size_t)rows[i].count;
        snprintf(header, sizeof header,
                 "{\"a\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[0,%zu]}}",
                 rows[i].dtype, rows[i].count, bytes);
        for (int k = 0; k < rows[i].count; k++)
            memcpy(data + (size_t)k * rows[i].bytes, &rows[i].bits[k], rows[i].bytes);
        struct checkpoint *c;
        struct checkpoint_values v;
        struct fault fault = {{0}};
        assert_int_equal(checkpoint_open(put_text("v", header, data, bytes), &c, &fault), ST_OK);
        assert_int_equal(checkpoint_count_values(c, &v, NULL, &fault), ST_OK);
        if (v.nan != rows[i].nan || v.inf != rows[i].inf)
            fail_msg("%s: NaN %d, inf %d", rows[i].dtype, (int)v.nan, (int)v.inf);
        checkpoint_free(c);
    }
}

/* Over several pieces, and beyond 2^32 bytes. */
static void large_files_are_read_to_the_end(void **state)
{
    (void)state;
    const char *path = job_word("%s/large", folder);
    struct weight_spec specs[2] = {{.name = "a", .rank = 1, .dim = {INT64_C(1100) << 20}},
                                   {.name = "b", .rank = 1, .dim = {5 << 20}}};
    struct wanted w = {.spec = specs, .count = 2};
    const float tail[2] = {3, 1.0f / 0.0f};
    int64_t end = weights_put(path, &w, 0, 2, "F32", 4);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size > end && end > INT64_C(1) << 32);
    FILE *out = fopen(path, "r+b");
    assert_int_equal(fseeko(out, -8, SEEK_END), 0);
    assert_int_equal(fwrite(tail, 4, 2, out), 2);
    fclose(out);
    struct checkpoint *c;
    struct fault fault = {{0}};
    float got[2];
    assert_int_equal(checkpoint_open(path, &c, &fault), ST_OK);
    const struct checkpoint_tensor *b = checkpoint_find(c, "b");
    assert_int_equal(checkpoint_read(c, b, (5 << 20) - 2, 2, got, &fault), ST_OK);
    assert_memory_equal(got, tail, sizeof tail);
    checkpoint_free(c);
    assert_int_equal(weights_put(path, &w, 1, 1, "F32", 4), 20 << 20);
    out = fopen(path, "r+b");
    fseeko(out, -8, SEEK_END);
    assert_int_equal(fwrite(tail, 4, 2, out), 2);
    fclose(out);
    expect(path, NULL, 0, "b holds 0 NaN and 1 infinite values");
    unlink(path);
}

#ifdef HAVE_JANSSON

/* ---- folders --------------------------------------------------------------------------------- */

static void a_sound_model(void **state)
{
    (void)state;
    struct model_config m = small_model();
    const char *dir = job_word("%s/sound", folder);
    model_put(dir, &m);
    expect(dir, NULL, 0, "WanPipeline (diffusers 0.35.0)");
    expect(dir, NULL, 0,
           "the nearest is tiny (its values in brackets): transformer.attention_head_dim 6 (128)");
    expect(dir, NULL, 0, "scheduler      UniPCMultistepScheduler, flow shift 3\n");
    expect(dir, NULL, 0, "tokenizer      spiece.model\n");
    expect(at("%s/vae", dir), "--tensors", 0, "vae: decoder.conv_in.bias  F32 [8]  32 bytes");
    struct job job = inspect(dir, "--format", "json");
    assert_int_equal(job.code, 0);
    assert_true(json_valid(job.out));
    says(job.out, "\"status\": \"sound\"");
    says(job.out, "\"compared\": true");
    says(job.out, "\"dtype\": \"BF16\"");
    says(job.out, "\"shape\": [1, 6, 12]");
    jobs_free(&job, 1);
}

static void presets_are_recognised(void **state)
{
    (void)state;
    const struct model_config *m = preset("wan2.1-t2v-1.3b");
    const char *dir = job_word("%s/wan", folder);
    component_put(dir, "transformer", PART_TRANSFORMER, m, "BF16", 2);
    expect(at("%s/transformer", dir), "--headers", 0, "geometry       wan2.1-t2v-1.3b");
    expect(at("%s/transformer", dir), "--headers", 0, "1418996800     2.64 GiB      -      -");
    component_put(dir, "vae", PART_VAE, m, "F32", 4);
    expect(at("%s/vae", dir), "--headers", 0, "geometry       wan2.1-t2v-1.3b, ");
    expect(dir, "--headers", 1, "model_index.json is missing");
    expect(dir, "--headers", 1, "geometry       wan2.1-t2v-1.3b");
    /* without its config.json, by its tensors */
    expect(at("%s/transformer/diffusion_pytorch_model.safetensors", dir), "--headers", 0,
           "geometry       wan2.1-t2v-1.3b");
}

/* Flags, nulls and folded pixels in its config.json; every tensor is one that is asked for. */
static void the_autoencoder_of_wan_2_2(void **state)
{
    (void)state;
    struct model_config m = small_model();
    const char *dir = job_word("%s/wan_2_2", folder);
    m.vae = (struct vae_config)WAN_2_2_VAE(160, 256);
    component_put(dir, "vae", PART_VAE, &m, "F32", 4);
    struct job job = inspect(at("%s/vae", dir), "--headers", NULL);
    assert_int_equal(job.code, 0);
    says(job.out, "704688668");
    assert_null(strstr(job.out, "is extra"));
    jobs_free(&job, 1);
    struct checkpoint_config config;
    struct fault fault = {{0}};
    assert_int_equal(checkpoint_config_read(at("%s/vae/config.json", dir), &config, &fault), ST_OK);
    assert_memory_equal(&config.model.vae, &m.vae, sizeof m.vae);
}

/* A component's tensors with one of them changed by `spoil`. */
static void spoiled(const char *label, void (*spoil)(struct wanted *), const char *part)
{
    struct model_config m = small_model();
    struct wanted w;
    struct fault fault = {{0}};
    const char *dir = job_word("%s/%s", folder, label);
    component_put(dir, "transformer", PART_TRANSFORMER, &m, "F32", 4);
    assert_int_equal(wanted_of(PART_TRANSFORMER, &m, &w, &fault), ST_OK);
    spoil(&w);
    weights_put(at("%s/transformer/diffusion_pytorch_model.safetensors", dir), &w, 0, w.count,
                "F32", 4);
    expect(at("%s/transformer", dir), NULL, 1, part);
    wanted_free(&w);
}

static void rename_first(struct wanted *w)
{
    free((char *)w->spec[0].name);
    w->spec[0].name = strdup("stray.weight");
}
static void widen_first(struct wanted *w) { w->spec[0].dim[0]++; }
static void flatten_first(struct wanted *w)
{
    w->spec[0].rank = 1;
    w->spec[0].dim[0] = 12 * 16 * 4;
}
static void drop_last(struct wanted *w) { free((char *)w->spec[--w->count].name); }

static void wrong_tensors_are_named(void **state)
{
    (void)state;
    spoiled("missing", drop_last,
            "problem: transformer: scale_shift_table is missing, wanted [1, 2, 12]");
    spoiled("extra", rename_first,
            "stray.weight [12, 16, 1, 2, 2] is extra, the model does not ask for it");
    spoiled("both", rename_first, "patch_embedding.weight is missing, wanted [12, 16, 1, 2, 2]");
    spoiled("wide", widen_first,
            "patch_embedding.weight is [13, 16, 1, 2, 2], wanted [12, 16, 1, 2, 2]");
    spoiled("flat", flatten_first, "patch_embedding.weight is [768], wanted [12, 16, 1, 2, 2]");
}

/* What the engine is told, one weight at a time. */
static void weights_are_asked_for_by_shape(void **state)
{
    (void)state;
    struct model_config m = small_model();
    const char *dir = job_word("%s/asked", folder);
    const struct checkpoint_tensor *t;
    struct checkpoint *c;
    struct fault fault[4] = {{{0}}};
    struct weight_spec spec = {.name = "patch_embedding.bias", .rank = 1, .dim = {12}};
    component_put(dir, "transformer", PART_TRANSFORMER, &m, "F16", 2);
    component_put(dir, "text_encoder", PART_TEXT, &m, "I16", 2);
    assert_int_equal(checkpoint_open(at("%s/transformer", dir), &c, fault), ST_OK);
    assert_int_equal(checkpoint_weight(c, &spec, &t, fault), ST_OK);
    assert_string_equal(t->is->name, spec.name);
    spec.dim[0] = 13;
    assert_int_equal(checkpoint_weight(c, &spec, &t, &fault[1]), ST_BAD_INPUT);
    says(fault[1].text, "patch_embedding.bias is [12], wanted [13]");
    spec.name = "shared.weight";
    assert_int_equal(checkpoint_weight(c, &spec, &t, &fault[2]), ST_BAD_INPUT);
    says(fault[2].text, "shared.weight is missing, wanted [13]");
    checkpoint_free(c);
    spec = (struct weight_spec){.name = "shared.weight", .rank = 2, .dim = {32, 8}};
    assert_int_equal(checkpoint_open(at("%s/text_encoder", dir), &c, fault), ST_OK);
    assert_int_equal(checkpoint_weight(c, &spec, &t, &fault[3]), ST_BAD_INPUT);
    says(fault[3].text, "has dtype I16");
    checkpoint_free(c);
    expect(at("%s/text_encoder", dir), NULL, 1, "12 tensors have dtype I16");
}

static void name_alias(struct wanted *w)
{
    for (int64_t i = 0; i < w->count; i++)
        if (!strcmp(w->spec[i].name, "shared.weight")) {
            free((char *)w->spec[i].name);
            w->spec[i].name = strdup("encoder.embed_tokens.weight");
        }
}

static void the_other_name_of_the_table(void **state)
{
    (void)state;
    struct model_config m = small_model();
    struct wanted w;
    struct fault fault = {{0}};
    const char *dir = job_word("%s/alias", folder), *weights;
    component_put(dir, "text_encoder", PART_TEXT, &m, "F32", 4);
    assert_int_equal(wanted_of(PART_TEXT, &m, &w, &fault), ST_OK);
    name_alias(&w);
    weights = job_word("%s/text_encoder/model.safetensors", dir);
    weights_put(weights, &w, 0, w.count, "F32", 4);
    expect(at("%s/text_encoder", dir), NULL, 0, "UMT5EncoderModel");
    w.spec[0].dim[0]--;
    weights_put(weights, &w, 0, w.count, "F32", 4);
    expect(at("%s/text_encoder", dir), NULL, 1, "shared.weight is [31, 8], wanted [32, 8]");
    wanted_free(&w);
}

static void missing_parts_are_named(void **state)
{
    (void)state;
    struct model_config m = small_model();
    const char *dir = job_word("%s/parts", folder);
    model_put(dir, &m);
    temporary_remove(strdup(at("%s/vae", dir)));
    unlink(at("%s/tokenizer/spiece.model", dir));
    expect(dir, NULL, 1, "vae is named by model_index.json, and there is no such folder");
    expect(dir, NULL, 1, "tokenizer holds neither spiece.model nor tokenizer.json");
    unlink(at("%s/transformer/diffusion_pytorch_model.safetensors", dir));
    expect(dir, NULL, 2, "transformer holds no .safetensors file");
    file_write(at("%s/model_index.json", dir), "{\"a\": 1, \"a\": 2}", false);
    expect(dir, NULL, 2, "duplicate");
    assert_int_equal(mkdir(at("%s/empty", folder), 0700), 0);
    expect(at("%s/empty", folder), NULL, 2, "holds no .safetensors file");
}

static void configs_are_held_to_their_rules(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
        int code;
    } rows[] = {
        {"{\"_class_name\": \"WanTransformer3DModel\", \"num_layers\": 1.5}",
         "num_layers should be a whole number from 1 to 4096, not 1.5", 2},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"num_layers\": 1000000000}",
         "num_layers should be", 2},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"ffn_dim\": \"20\"}", "not \"20\"", 2},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"patch_size\": [1, 2]}",
         "patch_size should be a list of 3", 2},
        {"{\"_class_name\": \"UMT5EncoderModel\"}", "vocab_size should be a whole number", 2},
        {"{\"_class_name\": \"AutoencoderKLWan\"}", "latents_mean should be a list of 16", 2},
        {"{\"_class_name\": \"AutoencoderKLWan\", \"is_residual\": 1}",
         "is_residual should be true or false, not 1", 2},
        {"{\"_class_name\": \"AutoencoderKLWan\", \"patch_size\": 3}",
         "patch_size should be a whole number from 0 to 2, not 3", 2},
        {"{\"_class_name\": \"AutoencoderKLWan\", \"patch_size\": 2, \"in_channels\": 3}",
         "in_channels should be 12, not 3", 2},
        {"[1]", "one JSON object", 2},
        {"{", "malformed JSON at line 1", 2},
        {"", "malformed JSON", 2},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"qk_norm\": null}",
         "does not know qk_norm null", 0},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"added_kv_proj_dim\": 1280}",
         "does not know added_kv_proj_dim 1280", 0},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"image_dim\": 1280,"
         " \"added_kv_proj_dim\": 5120, \"in_channels\": 36}",
         "geometry       wan2.1-i2v-14b-480p, wan2.1-i2v-14b-720p\n", 1},
        {"{\"_class_name\": \"DiTTransformer2DModel\", \"out_channels\": 8, \"norm_type\":"
         " \"ada_norm_zero\", \"activation_fn\": \"gelu-approximate\"}",
         "geometry       dit-xl-2-256\n", 1},
        {"{\"_class_name\": \"Transformer2DModel\", \"out_channels\": 8}",
         "does not know activation_fn left out, norm_type left out", 0},
        {"{\"_class_name\": \"OtherModel\"}", "OtherModel", 0},
        /* the class' own defaults are those of 14B */
        {"{\"_class_name\": \"WanTransformer3DModel\"}", "geometry       wan2.1-t2v-14b", 1},
    };
    struct model_config m = small_model();
    const char *dir = job_word("%s/configs", folder);
    component_put(dir, "transformer", PART_TRANSFORMER, &m, "F32", 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file_write(at("%s/configs/transformer/config.json", folder), rows[i].text, false);
        expect(at("%s/configs/transformer", folder), NULL, rows[i].code, rows[i].part);
    }
}

/* ---- shards ---------------------------------------------------------------------------------- */

enum { SHARDS = 7 };

static void refused(const char *path, const char *part)
{
    struct checkpoint *c;
    struct fault fault = {{0}};
    enum status status = checkpoint_open(path, &c, &fault);
    if (status != ST_BAD_INPUT) {
        checkpoint_free(c);
        fail_msg("%s: status %d, not refused: %s", part, status, fault.text);
    }
    assert_null(c);
    says(fault.text, part);
}

/* Seven shards of one tensor each, t0 .. t6, two values: i and -i. */
static void shards_put(const char *dir)
{
    mkdir(dir, 0700);
    for (int i = 0; i < SHARDS; i++) {
        const float data[2] = {(float)i, (float)-i};
        struct safetensor_out t = {at("t%d", i), 1, {2}, data};
        struct fault fault = {{0}};
        assert_int_equal(safetensors_write(at("%s/m-%d.safetensors", dir, i), &t, 1, &fault),
                         ST_OK);
    }
}

static void index_put(const char *dir, const char *text)
{
    file_write(at("%s/model.safetensors.index.json", dir), text, false);
}

#define MAP(t6)                                                                                    \
    "\"t0\":\"m-0.safetensors\",\"t1\":\"m-1.safetensors\",\"t2\":\"m-2.safetensors\","            \
    "\"t3\":\"m-3.safetensors\",\"t4\":\"m-4.safetensors\",\"t5\":\"m-5.safetensors\"," t6
#define INDEX(size, map) "{\"metadata\":{\"total_size\":" size "},\"weight_map\":{" map "}}"

static void shards_are_read(void **state)
{
    (void)state;
    const char *dir = job_word("%s/shards", folder);
    shards_put(dir);
    index_put(dir, INDEX("56", MAP("\"t6\":\"m-6.safetensors\"")));
    struct checkpoint *c;
    struct fault fault = {{0}};
    int before = folder_count("/proc/self/fd");
    assert_int_equal(checkpoint_open(dir, &c, &fault), ST_OK);
    assert_int_equal(checkpoint_files(c), SHARDS);
    assert_int_equal(folder_count("/proc/self/fd"), before);
    for (int i = 0; i < 3 * SHARDS; i++) {
        float got[2];
        int k = i * 5 % SHARDS;
        const struct checkpoint_tensor *t = checkpoint_find(c, at("t%d", k));
        assert_int_equal(checkpoint_read(c, t, 0, 2, got, &fault), ST_OK);
        assert_true(got[0] == (float)k && got[1] == (float)-k);
        assert_true(folder_count("/proc/self/fd") <= before + 4);
    }
    /* every shard written anew: one that was at rest is another file now */
    shards_put(dir);
    enum status status = ST_OK;
    for (int i = 0; i < SHARDS && status == ST_OK; i++) {
        float got[2];
        status = checkpoint_read(c, checkpoint_find(c, at("t%d", i)), 0, 2, got, &fault);
    }
    assert_int_equal(status, ST_IO);
    says(fault.text, "changed or replaced");
    checkpoint_free(c);
    assert_int_equal(folder_count("/proc/self/fd"), before);
}

static void malformed_indices_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *index, *part;
    } rows[] = {
        {"", "malformed JSON"},
        {"[]", "one JSON object"},
        {"{}", "lacks the object \"weight_map\""},
        {"{\"weight_map\":[]}", "lacks the object"},
        {"{\"weight_map\":{\"t0\":1}}", "no file is named for tensor \"t0\""},
        {INDEX("56", MAP("\"t6\":\"m-5.safetensors\"")), "\"t6\" is absent from m-5.safetensors"},
        {INDEX("56", MAP("\"t5\":\"m-6.safetensors\"")), "duplicate"},
        {INDEX("56", MAP("\"t6\":\"m-6.safetensors\",\"t7\":\"m-6.safetensors\"")),
         "\"t7\" is absent from m-6.safetensors"},
        {INDEX("56", MAP("\"t7\":\"m-6.safetensors\"")),
         "\"t6\" is not in the index, but in m-6.safetensors"},
        {INDEX("55", MAP("\"t6\":\"m-6.safetensors\"")), "total_size 55, the tensors have 56"},
        {INDEX("5.5", MAP("\"t6\":\"m-6.safetensors\"")), "no number of bytes"},
        {INDEX("-1", MAP("\"t6\":\"m-6.safetensors\"")), "no number of bytes"},
        {INDEX("56", MAP("\"t6\":\"../indices/m-6.safetensors\"")), "plain file name"},
        {INDEX("56", MAP("\"t6\":\"/etc/passwd\"")), "plain file name"},
        {INDEX("56", MAP("\"t6\":\"..\"")), "plain file name"},
        {INDEX("56", MAP("\"t6\":\"\"")), "plain file name"},
        {INDEX("56", MAP("\"t6\":\"m-6\\u0000.safetensors\"")), "malformed JSON"},
        {INDEX("56", MAP("\"t6\":\"m-7.safetensors\"")), "cannot open"},
        {INDEX("56", MAP("\"t6\":\"model.safetensors.index.json\"")), "begins like JSON"},
    };
    const char *dir = job_word("%s/indices", folder);
    shards_put(dir);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        index_put(at("%s/indices", folder), rows[i].index);
        refused(at("%s/indices", folder), rows[i].part);
    }
    dir = job_word("%s/indices", folder);
    index_put(dir, INDEX("56.0", MAP("\"t6\":\"m-6.safetensors\"")));
    expect(dir, NULL, 0, "F32 x7");
    file_write(at("%s/second.safetensors.index.json", dir), "{}", false);
    expect(dir, NULL, 0, "F32 x7"); /* the usual name comes first */
    rename(at("%s/model.safetensors.index.json", dir), at("%s/b.safetensors.index.json", dir));
    refused(dir, "2 indices of shards");
}

/* The same tensor in two shards. */
static void a_tensor_in_two_shards_is_refused(void **state)
{
    (void)state;
    const char *dir = job_word("%s/twice", folder);
    const float data[2] = {0};
    struct safetensor_out two[2] = {{"t6", 1, {2}, data}, {"t5", 1, {2}, data}};
    struct fault fault = {{0}};
    shards_put(dir);
    assert_int_equal(safetensors_write(at("%s/m-6.safetensors", dir), two, 2, &fault), ST_OK);
    index_put(dir, INDEX("64", MAP("\"t6\":\"m-6.safetensors\"")));
    refused(dir, "\"t5\" is not only in the shard of the index, but in m-6.safetensors");
}

static void links_may_not_lead_out(void **state)
{
    (void)state;
    const char *dir = job_word("%s/links", folder), *hub = job_word("%s/hub", folder);
    shards_put(dir);
    index_put(dir, INDEX("56", MAP("\"t6\":\"m-6.safetensors\"")));
    rename(at("%s/m-6.safetensors", dir), at("%s/m-6.here", dir));
    assert_int_equal(symlink("m-6.here", at("%s/m-6.safetensors", dir)), 0);
    expect(dir, NULL, 0, "F32 x7");
    rename(at("%s/m-6.here", dir), at("%s/outside", folder));
    unlink(at("%s/m-6.safetensors", dir));
    assert_int_equal(symlink("../outside", at("%s/m-6.safetensors", dir)), 0);
    refused(dir, "leads out of its folder");
    /* the hub's cache: a snapshot of links into blobs */
    const char *const folders[] = {"", "/blobs", "/snapshots", "/snapshots/1"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(mkdir(at("%s%s", hub, folders[i]), 0700), 0);
    rename(at("%s/outside", folder), at("%s/blobs/abc", hub));
    rename(dir, at("%s/snapshots/1/transformer", hub));
    dir = job_word("%s/snapshots/1/transformer", hub);
    unlink(at("%s/m-6.safetensors", dir));
    assert_int_equal(symlink("../../../blobs/abc", at("%s/m-6.safetensors", dir)), 0);
    expect(dir, NULL, 0, "F32 x7");
}

static void several_files_need_an_index(void **state)
{
    (void)state;
    const char *dir = job_word("%s/several", folder);
    const float data[2] = {0};
    struct safetensor_out t = {"usual", 1, {2}, data};
    struct fault fault = {{0}};
    shards_put(dir);
    refused(dir, "holds 7 .safetensors files and no index of them");
    assert_int_equal(safetensors_write(at("%s/model.safetensors", dir), &t, 1, &fault), ST_OK);
    expect(dir, "--tensors", 0, "usual  F32 [2]");
}

#else

static void without_jansson_shards_are_refused(void **state)
{
    (void)state;
    struct model_config m = small_model();
    const char *dir = job_word("%s/bare", folder);
    model_put(dir, &m);
    expect(dir, NULL, 0, "is not read: this build lacks jansson");
    file_write(at("%s/vae/model.safetensors.index.json", dir), "{}", false);
    expect(dir, NULL, 3, "needs jansson");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_counts),
        cmocka_unit_test(contents_decide_not_the_name),
        cmocka_unit_test(metadata_is_shown),
        cmocka_unit_test(non_finite_values_are_counted),
        cmocka_unit_test(large_files_are_read_to_the_end),
#ifdef HAVE_JANSSON
        cmocka_unit_test(a_sound_model),
        cmocka_unit_test(presets_are_recognised),
        cmocka_unit_test(the_autoencoder_of_wan_2_2),
        cmocka_unit_test(wrong_tensors_are_named),
        cmocka_unit_test(weights_are_asked_for_by_shape),
        cmocka_unit_test(the_other_name_of_the_table),
        cmocka_unit_test(missing_parts_are_named),
        cmocka_unit_test(configs_are_held_to_their_rules),
        cmocka_unit_test(shards_are_read),
        cmocka_unit_test(malformed_indices_are_refused),
        cmocka_unit_test(a_tensor_in_two_shards_is_refused),
        cmocka_unit_test(links_may_not_lead_out),
        cmocka_unit_test(several_files_need_an_index),
#else
        cmocka_unit_test(without_jansson_shards_are_refused),
#endif
    };
    return cmocka_run_group_tests_name("inspect", tests, folder_make, folder_drop);
}

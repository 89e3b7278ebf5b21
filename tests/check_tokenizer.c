// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_tokenizer.c   Cleaning and token numbers against the published pipeline's own (see
 * tests/golden/make_tokenizer.py), and files that are no tokenizer. Without SentencePiece only the
 * cleaning and the refusal are tested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "prompt/tokenizer.h"
#include "support/files.h"
#include "support/spawn.h"

#define GOLDEN "tests/golden/tokenizer"
#define ROWS_MAX 512

/* ---- the golden file ------------------------------------------------------------------------- */

static char *slurp(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    rewind(file);
    char *text = calloc((size_t)size + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    fclose(file);
    *bytes = (size_t)size;
    return text;
}

/* \n, \t, \r and \\ as the script writes them; in place. */
static void unescape(char *text)
{
    static const char written[] = "ntr\\", plain[] = "\n\t\r\\";
    char *out = text;
    for (const char *in = text; *in; in++) {
        const char *escape = *in == '\\' ? strchr(written, in[1]) : NULL;
        *out++ = escape ? plain[escape - written] : *in;
        in += escape != NULL;
    }
    *out = '\0';
}

struct golden {
    int64_t rows, count;
    int32_t ids[ROWS_MAX];
    char *prompt, *clean;
};

static void parse(char *line, struct golden *g)
{
    char *rows = strsep(&line, "\t"), *ids = strsep(&line, "\t");
    g->prompt = strsep(&line, "\t");
    g->clean = line;
    assert_non_null(g->clean);
    unescape(g->prompt);
    unescape(g->clean);
    g->rows = strtoll(rows, NULL, 10);
    assert_in_range(g->rows, 1, ROWS_MAX);
    g->count = 0;
    for (char *id; (id = strsep(&ids, " ")) != NULL;) {
        assert_true(g->count < g->rows);
        g->ids[g->count++] = (int32_t)strtol(id, NULL, 10);
    }
}

/* Calls visit for every prompt; the first line is a comment that begins with the vocabulary. */
static int64_t each_golden(void (*visit)(const struct golden *, void *), void *user)
{
    size_t bytes;
    char *text = slurp(GOLDEN "/prompts.tsv", &bytes), *rest = text;
    char *comment = strsep(&rest, "\n");
    int64_t vocabulary = strtoll(comment + 2, NULL, 10);
    int lines = 0;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line; lines++) {
        static struct golden golden;
        parse(line, &golden);
        visit(&golden, user);
    }
    assert_true(lines >= 12);
    free(text);
    return vocabulary;
}

/* ---- cleaning -------------------------------------------------------------------------------- */

static void must_clean(const char *text, const char *want)
{
    struct fault fault = {0};
    char *got;
    assert_int_equal(tokenizer_clean(text, &got, &fault), ST_OK);
    assert_string_equal(got, want);
    free(got);
}

static void visit_clean(const struct golden *g, void *user)
{
    (void)user;
    must_clean(g->prompt, g->clean);
}

static void prompts_are_cleaned(void **state)
{
    (void)state;
    each_golden(visit_clean, NULL);
    must_clean("&", "&");
    must_clean("a&#", "a&#");
    must_clean("&#x", "&#x");
    must_clean("&l", "&l");
    must_clean("&lt", "<");
    must_clean("\xC2\xA0", "");
}

static void broken_utf8_is_refused(void **state)
{
    static const char *const broken[] = {"fox \xFF", "\xE2\x82", "\xC0\xAF", "\xED\xA0\x80",
                                         "a\xC2"};
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct fault fault = {0};
        char *got;
        assert_int_equal(tokenizer_clean(broken[i], &got, &fault), ST_BAD_INPUT);
        assert_null(got);
        assert_non_null(strstr(fault.text, "at byte"));
    }
}

#ifdef HAVE_SENTENCEPIECE

/* ---- token numbers --------------------------------------------------------------------------- */

static void visit_encode(const struct golden *g, void *user)
{
    struct fault fault = {0};
    int32_t ids[ROWS_MAX + 1];
    int64_t count = -1;
    ids[g->rows] = -7;
    assert_int_equal(tokenizer_encode(user, g->prompt, g->rows, ids, &count, &fault), ST_OK);
    if (count != g->count || memcmp(ids, g->ids, (size_t)count * sizeof *ids) != 0)
        print_error("prompt: %s\n", g->prompt);
    assert_int_equal(count, g->count);
    assert_memory_equal(ids, g->ids, (size_t)count * sizeof *ids);
    for (int64_t i = count; i < g->rows; i++)
        assert_int_equal(ids[i], 0);
    assert_int_equal(ids[g->rows], -7);
}

static void token_numbers_are_the_pipelines(void **state)
{
    struct fault fault = {0};
    struct tokenizer *t;
    (void)state;
    assert_int_equal(tokenizer_open(GOLDEN, &t, &fault), ST_OK);
    assert_int_equal(each_golden(visit_encode, t), tokenizer_vocabulary(t));
    tokenizer_close(t);
    tokenizer_close(NULL);
}

/* The model alone: nothing says how many extra tokens there are, so the default holds. */
static void a_model_file_opens_alone(void **state)
{
    struct fault fault = {0};
    struct tokenizer *folder_made, *file_made;
    (void)state;
    assert_int_equal(tokenizer_open(GOLDEN, &folder_made, &fault), ST_OK);
    assert_int_equal(tokenizer_open(GOLDEN "/spiece.model", &file_made, &fault), ST_OK);
    assert_int_equal(tokenizer_vocabulary(file_made), tokenizer_vocabulary(folder_made) + 80);
    tokenizer_close(folder_made);
    tokenizer_close(file_made);
}

/* ---- files that are no tokenizer ------------------------------------------------------------- */

static void must_refuse(const char *path, const char *why)
{
    struct fault fault = {0};
    struct tokenizer *t;
    assert_int_equal(tokenizer_open(path, &t, &fault), ST_BAD_INPUT);
    assert_null(t);
    if (!strstr(fault.text, path) || !strstr(fault.text, why))
        fail_msg("%s", fault.text);
    for (const char *c = fault.text; *c; c++)
        assert_true((unsigned char)*c >= 0x20);
}

static const char *put(const char *name, const char *data, size_t bytes)
{
    const char *path = at("%s/%s", folder, name);
    file_put(path, data, bytes);
    return path;
}

static void bad_files_are_refused(void **state)
{
    size_t bytes;
    char *model = slurp(GOLDEN "/spiece.model", &bytes);
    (void)state;
    must_refuse(at("%s/none.model", folder), "cannot open");
    must_refuse(folder, "spiece.model");
    must_refuse("/dev/null", "not a regular file");
    must_refuse(put("empty.model", "", 0), "not a SentencePiece model");
    must_refuse(put("text.model", "not a model\n", 12), "not a SentencePiece model");
    must_refuse(GOLDEN "/prompts.tsv", "not a SentencePiece model");
    must_refuse(put("short.model", model, bytes - 1), "no protobuf field at byte");

    /* Pieces of the same length under other names: no longer a T5 tokenizer. */
    char *end = memmem(model, bytes, "</s>", 4);
    assert_non_null(end);
    memcpy(end, "<xs>", 4);
    must_refuse(put("end.model", model, bytes), "has no piece \"</s>\"");
    memcpy(end, "</s>", 4);
    char *pad = memmem(model, bytes, "<pad>", 5);
    assert_non_null(pad);
    memcpy(pad, "<pxd>", 5);
    must_refuse(put("pad.model", model, bytes), "has no piece \"<pad>\"");
    free(model);
}

/* Whatever a damaged model says, it is refused or it segments; the library alone would read out of
 * bounds for some of these. */
static void damaged_models_are_survived(void **state)
{
    static const uint8_t mask[] = {0x01, 0x80, 0xFF};
    static const char prompt[] = "a red \xEF\xBD\x86ox, cafe\xCC\x81 \xE7\x8C\xAB </s>";
    size_t bytes, opened = 0, refused = 0;
    char *model = slurp(GOLDEN "/spiece.model", &bytes);
    (void)state;
    for (size_t i = 0; i < bytes; i += 11) {
        struct fault fault = {0};
        struct tokenizer *t;
        int32_t ids[64];
        int64_t count;
        model[i] ^= (char)mask[i % 3];
        const char *path = put("damaged.model", model, bytes);
        model[i] ^= (char)mask[i % 3];
        enum status status = tokenizer_open(path, &t, &fault);
        refused += status == ST_BAD_INPUT;
        opened += status == ST_OK;
        if (status == ST_OK) {
            status = tokenizer_encode(t, prompt, 64, ids, &count, &fault);
            assert_true(status == ST_OK || status == ST_BAD_INPUT);
        }
        tokenizer_close(t);
    }
    free(model);
    assert_int_equal(opened + refused, (bytes + 10) / 11);
    assert_true(opened > 100 && refused > 20);
}

/* The table of normalisation is found by its length field, 3767 bytes in the golden model. */
static void an_open_table_is_refused(void **state)
{
    static const uint8_t length[] = {0x12, 0xB7, 0x1D};
    size_t bytes;
    char *model = slurp(GOLDEN "/spiece.model", &bytes);
    char *table = memmem(model, bytes, length, sizeof length);
    (void)state;
    assert_non_null(table);
    /* The root's offset leads past the last unit; a value at the root is walked from all the same. */
    memset(table + sizeof length + 4, 0x7F, 3);
    must_refuse(put("table.model", model, bytes), "normalisation table");
    memset(table + sizeof length + 4, 0xFF, 4);
    must_refuse(put("table.model", model, bytes), "normalisation table");
    free(model);
}

static void a_bad_config_is_refused(void **state)
{
    static const char *const bad[] = {"{\"extra_ids\": \"many\"}", "{\"extra_ids\" : -1}",
                                      "{\"extra_ids\":70000}"};
    size_t bytes;
    char *model = slurp(GOLDEN "/spiece.model", &bytes);
    (void)state;
    put("spiece.model", model, bytes);
    free(model);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("tokenizer_config.json", bad[i], strlen(bad[i]));
        struct fault fault = {0};
        struct tokenizer *t;
        assert_int_equal(tokenizer_open(folder, &t, &fault), ST_BAD_INPUT);
        assert_non_null(strstr(fault.text, "tokenizer_config.json: \"extra_ids\""));
    }
}

#else

static void refused_without_the_library(void **state)
{
    struct fault fault = {0};
    struct tokenizer *t;
    (void)state;
    assert_int_equal(tokenizer_open(GOLDEN, &t, &fault), ST_NOT_BUILT);
    assert_null(t);
    assert_non_null(strstr(fault.text, "SentencePiece"));
    tokenizer_close(t);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_cleaned),
        cmocka_unit_test(broken_utf8_is_refused),
#ifdef HAVE_SENTENCEPIECE
        cmocka_unit_test(token_numbers_are_the_pipelines),
        cmocka_unit_test(a_model_file_opens_alone),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(damaged_models_are_survived),
        cmocka_unit_test(an_open_table_is_refused),
        cmocka_unit_test(a_bad_config_is_refused),
#else
        cmocka_unit_test(refused_without_the_library),
#endif
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}

// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_recipe.c   What a recipe knows a model by: no two that compute otherwise hash alike, whatever
 * field they differ in; and older records keep theirs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "engine/case.h"
#include "engine/case_geometry.h"
#include "model/cogvideox.h"
#include "model/dit.h"
#include "model/hunyuan.h"
#include "model/ltx_2.h"
#include "model/open_sora.h"

static const struct model_config *model_of(const char *name)
{
    const struct model_config *model = case_model(name, NULL);
    assert_non_null(model);
    return model;
}

/* Another value of any field that begins here: of a whole number, a real or an enumerator. */
static void change(void *field, size_t bytes)
{
    uint64_t value = 0;
    const size_t most = bytes < sizeof value ? bytes : sizeof value;
    memcpy(&value, field, most);
    value ^= UINT64_C(1) << 52 | 1;
    memcpy(field, &value, most);
}

/* Changes the part of `m` between two places word by word, each time back again. */
static void every_word_counts(struct model_config *m, void *part, size_t bytes)
{
    char whole[65], other[65], *at = part;
    case_geometry_sha256(m, whole);
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        const size_t left = bytes - i;
        change(at + i, left);
        case_geometry_sha256(m, other);
        if (!strcmp(whole, other))
            fail_msg("%s: what is %zu bytes into a part does not count", m->name, i);
        change(at + i, left);
    }
    case_geometry_sha256(m, other);
    assert_string_equal(whole, other);
}

/* Of a model that has them all; an image encoder without layers is none. */
static void every_field_of_all_models_counts(void **state)
{
    (void)state;
    struct model_config m = *model_of("tiny-i2v");
    every_word_counts(&m, &m.text, sizeof m.text);
    every_word_counts(&m, &m.image, sizeof m.image);
    every_word_counts(&m, &m.transformer, sizeof m.transformer);
    every_word_counts(&m, &m.vae, sizeof m.vae);
    every_word_counts(&m, &m.told_guidance, sizeof m.told_guidance);
    every_word_counts(&m, &m.guided, sizeof m.guided);
    every_word_counts(&m, &m.family, sizeof m.family);
    every_word_counts(&m, &m.image_input, sizeof m.image_input);
    m.boundary = 0.5;
    every_word_counts(&m, &m.boundary, sizeof m.boundary);
}

#define EVERY_FIELD_COUNTS(NAME, FAMILY)                                                           \
    do {                                                                                           \
        struct model_config m = *model_of(NAME);                                                   \
        struct FAMILY##_config own = *m.FAMILY;                                                    \
        m.FAMILY = &own;                                                                           \
        every_word_counts(&m, &own, sizeof own);                                                   \
    } while (0)

static void every_field_of_a_family_counts(void **state)
{
    (void)state;
    EVERY_FIELD_COUNTS("tiny-dit", dit);
    EVERY_FIELD_COUNTS("hunyuanvideo-1.5", hunyuan);
    EVERY_FIELD_COUNTS("cogvideox-5b", cogvideox);
    EVERY_FIELD_COUNTS("ltx-video-13b", ltx);
    EVERY_FIELD_COUNTS("ltx-2-19b", ltx_2);
    EVERY_FIELD_COUNTS("open-sora-2.0", open_sora);
}

/* HunyuanVideo 1.5 takes rows of an image whose encoder is not here. */
static void an_attended_image_counts_without_its_encoder(void **state)
{
    (void)state;
    struct model_config m = *model_of("hunyuanvideo-1.5");
    assert_int_equal(m.image.layers, 0);
    every_word_counts(&m, &m.transformer.image_dim, sizeof m.transformer.image_dim);
}

/* As the records in results/ have it. */
static void older_records_keep_their_hash(void **state)
{
    char hash[65];
    (void)state;
    case_geometry_sha256(model_of("tiny"), hash);
    assert_string_equal(hash, "d44a1c90369756a202c0733d57971f7735d770ac1e88074df0afe0e4dc4a4bd9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_all_models_counts),
        cmocka_unit_test(every_field_of_a_family_counts),
        cmocka_unit_test(an_attended_image_counts_without_its_encoder),
        cmocka_unit_test(older_records_keep_their_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

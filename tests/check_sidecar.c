// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_sidecar.c   Raw samples: what is written comes back, and nothing else is taken for it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "machine/host.h"
#include "records/record.h"
#include "records/sidecar.h"
#include "support/files.h"
#include "support/spawn.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct fault fault = {""};                                                                 \
        if ((call) != ST_OK)                                                                       \
            fail_msg("%s: %s", #call, fault.text);                                                 \
    } while (0)

static struct raw some_raw(int blocks, int64_t each)
{
    struct raw r = {0};
    double seconds[64];
    for (int b = 0; b < blocks; b++) {
        for (int64_t i = 0; i < each; i++)
            seconds[i] = 1e-3 * (b + 1) + 1e-9 * (double)i;
        assert_true(raw_add(&r, seconds, each, b % 2 ? 3100.5 : NAN, b == 1 ? 5 : 0));
    }
    return r;
}

static void expect_equal(const struct raw *a, const struct raw *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->blocks, b->blocks);
    for (int64_t i = 0; i < a->count; i++) {
        const struct raw_sample *x = &a->at[i], *y = &b->at[i];
        assert_true(x->seconds == y->seconds && x->flags == y->flags && x->block == y->block);
        assert_true(x->mhz == y->mhz || (isnan(x->mhz) && isnan(y->mhz)));
    }
}

/* Two cases in one file. */
static const char *write_two(const char *name, struct sidecar_place place[2])
{
    const char *path = at("%s/%s", folder, name);
    struct sidecar *s;
    struct raw a = some_raw(3, 7), b = some_raw(2, 50);
    OK(sidecar_create(path, &s, &fault));
    OK(sidecar_add(s, &a, &place[0], &fault));
    OK(sidecar_add(s, &b, &place[1], &fault));
    assert_false(file_exists(path));
    OK(sidecar_commit(s, &fault));
    sidecar_free(s);
    assert_true(file_exists(path));
    raw_free(&a);
    raw_free(&b);
    return path;
}

static void what_is_written_comes_back(void **state)
{
    (void)state;
    struct sidecar_place place[2];
    const char *path = write_two("two.samples", place);
    struct raw a = some_raw(3, 7), b = some_raw(2, 50), got;
    assert_string_equal(place[1].file, "two.samples");
    assert_int_equal(place[0].offset, 16);
    assert_int_equal(place[1].offset, 16 + 21 * 17);
    OK(sidecar_read(path, &place[0], &got, &fault));
    expect_equal(&got, &a);
    raw_free(&got);
    OK(sidecar_read(path, &place[1], &got, &fault));
    expect_equal(&got, &b);
    raw_free(&got);
    raw_free(&a);
    raw_free(&b);
}

static void refuse(const char *path, const struct sidecar_place *place, const char *text)
{
    struct raw got;
    struct fault fault = {""};
    assert_int_equal(sidecar_read(path, place, &got, &fault), ST_BAD_INPUT);
    assert_null(got.at);
    if (!strstr(fault.text, text))
        fail_msg("'%s' is not in '%s'", text, fault.text);
}

/* Cut anywhere, or with any byte changed, it is refused. */
static void damage_is_refused(void **state)
{
    (void)state;
    struct sidecar_place place[2];
    size_t bytes;
    char *text = file_read(write_two("whole.samples", place), &bytes);
    const char *path = at("%s/damaged.samples", folder);
    assert_int_equal(bytes, 16 + 121 * 17 + 80);
    for (size_t cut = 0; cut < bytes; cut += 1 + cut / 40) {
        file_put(path, text, cut);
        refuse(path, &place[0], cut < 16 ? "no file of samples" : "damaged.samples");
    }
    for (size_t i = 0; i < bytes; i += 1 + i / 30) {
        text[i] = (char)(text[i] ^ 0x10);
        file_put(path, text, bytes);
        refuse(path, &place[0], "damaged.samples");
        text[i] = (char)(text[i] ^ 0x10);
    }
    text[8] = 2;
    file_put(path, text, bytes);
    refuse(path, &place[0], "of a version");
    refuse("no/such.samples", &place[0], "cannot read");
    free(text);
}

static void places_of_others_are_refused(void **state)
{
    (void)state;
    struct sidecar_place place[2], wrong;
    const char *path = write_two("places.samples", place);
    wrong = place[0];
    wrong.count = 120;
    refuse(path, &wrong, "is not what its record was written with");
    wrong.count = 122;
    refuse(path, &wrong, "has no 122 samples");
    wrong.count = INT64_MAX;
    refuse(path, &wrong, "has no");
    wrong = place[0];
    wrong.offset = -1;
    refuse(path, &wrong, "has no");
    wrong = place[0];
    wrong.sha256[5] ^= 1;
    refuse(path, &wrong, "is not what its record was written with");
}

/* A process that was killed leaves a .part; the next one keeps of it what the record knows. */
static void writing_goes_on_after_a_kill(void **state)
{
    (void)state;
    struct sidecar_place place[2];
    struct sidecar *s;
    struct fault why = {""};
    struct raw a = some_raw(3, 7), b = some_raw(2, 50), got;
    const char *path = at("%s/killed.samples", folder);
    OK(sidecar_create(path, &s, &fault));
    OK(sidecar_add(s, &a, &place[0], &fault));
    OK(sidecar_sync(s, &fault));
    const int64_t known = sidecar_bytes(s);
    OK(sidecar_add(s, &b, &place[1], &fault)); /* nobody was told of these */
    sidecar_leave(s);
    assert_int_equal(sidecar_create(path, &s, &why), ST_REFUSED);
    assert_int_equal(sidecar_resume(path, 1 << 20, &s, &why), ST_BAD_INPUT);
    OK(sidecar_resume(path, known, &s, &fault));
    OK(sidecar_add(s, &b, &place[1], &fault));
    OK(sidecar_commit(s, &fault));
    sidecar_free(s);
    OK(sidecar_resume(path, known, &s, &fault)); /* its record was not ended in time */
    assert_false(file_exists(path));
    OK(sidecar_add(s, &b, &place[1], &fault));
    OK(sidecar_commit(s, &fault));
    sidecar_free(s);
    OK(sidecar_read(path, &place[0], &got, &fault));
    expect_equal(&got, &a);
    raw_free(&got);
    OK(sidecar_read(path, &place[1], &got, &fault));
    expect_equal(&got, &b);
    raw_free(&got);
    raw_free(&a);
    raw_free(&b);
}

/* A record that is gone on with keeps the samples of the cases it has, and of no other. */
static void a_resumed_record_has_its_samples(void **state)
{
    (void)state;
    const char *results = at("%s/resumed", folder), *path;
    char name[512], samples[512];
    for (int known = 0; known < 2; known++) {
        struct record_file *file;
        struct record_mark mark;
        struct sidecar_place place;
        struct raw a = some_raw(3, 7), got;
        OK(record_open(results, "patchmark", &file, &fault));
        snprintf(name, sizeof name, "%s", record_path(file));
        snprintf(samples, sizeof samples, "%.*s.samples", (int)strlen(name) - 6, name);
        if (known)
            OK(record_samples(file, &a, &place, &fault));
        OK(record_sync(file, &mark, &fault));
        OK(record_samples(file, &a, &place, &fault)); /* of a case that is not finished */
        record_leave(file);
        OK(record_resume(name, "id", &mark, &file, &fault));
        OK(record_samples(file, &a, &place, &fault));
        assert_int_equal(place.offset, 16 + known * 21 * 17);
        OK(record_close(file, &path, &fault));
        OK(sidecar_read(samples, &place, &got, &fault));
        expect_equal(&got, &a);
        raw_free(&got);
        raw_free(&a);
        record_free(file);
    }
}

/* It lives and dies with its record, and has its name. */
static void it_stands_beside_its_record(void **state)
{
    (void)state;
    struct record_file *file;
    struct sidecar_place place;
    struct raw a = some_raw(3, 7), got;
    const char *path, *results = at("%s/results", folder);
    char samples[512];
    for (int kept = 0; kept < 2; kept++) {
        OK(record_open(results, "patchmark", &file, &fault));
        OK(record_samples(file, &a, &place, &fault));
        if (kept) {
            OK(record_close(file, &path, &fault));
            snprintf(samples, sizeof samples, "%.*s.samples", (int)strlen(path) - 6, path);
        }
        record_free(file);
        /* host.json, and the two files */
        assert_int_equal(folder_count(at("%s/%s", results, host_machine_slug())), kept ? 3 : 1);
    }
    assert_non_null(strstr(samples, place.file));
    OK(sidecar_read(samples, &place, &got, &fault));
    expect_equal(&got, &a);
    raw_free(&got);
    OK(record_samples(NULL, &a, &place, &fault));
    assert_string_equal(place.file, "");
    raw_free(&a);
}

static void outliers_are_flagged_and_kept(void **state)
{
    (void)state;
    struct raw r = {0};
    double value[9] = {1, 1.01, 0.99, 1.02, 0.98, 1, 1.01, 0.99, 1.4}, far = 9;
    assert_true(raw_add(&r, value, 9, NAN, 0));
    assert_true(raw_add(&r, &far, 1, NAN, RAW_DISCARDED | RAW_STEAL));
    assert_int_equal(raw_flag_outliers(&r), 1);
    assert_int_equal(r.at[8].flags, RAW_OUTLIER);
    assert_int_equal(r.at[9].flags, RAW_DISCARDED | RAW_STEAL);
    raw_free(&r);
    assert_int_equal(raw_flag_outliers(&r), 0);
    double equal[5] = {1, 1, 1, 1, 2};
    assert_true(raw_add(&r, equal, 5, NAN, 0));
    assert_int_equal(raw_flag_outliers(&r), 0);
    raw_free(&r);
}

/* FIPS 180-4's second example, in pieces of every size. */
static void digests_of_pieces_are_of_the_whole(void **state)
{
    (void)state;
    static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char hex[65];
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct sha256 s;
        sha256_begin(&s);
        for (size_t i = 0; i < sizeof text - 1; i += piece)
            sha256_add(&s, text + i, i + piece < sizeof text - 1 ? piece : sizeof text - 1 - i);
        sha256_end(&s, hex);
        assert_string_equal(hex,
                            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
    static const unsigned char zeros[1000];
    char whole[65];
    sha256_hex(zeros, sizeof zeros, whole);
    for (size_t piece = 60; piece < 70; piece++) {
        struct sha256 s;
        sha256_begin(&s);
        for (size_t i = 0; i < sizeof zeros; i += piece)
            sha256_add(&s, zeros + i, i + piece < sizeof zeros ? piece : sizeof zeros - i);
        sha256_end(&s, hex);
        assert_string_equal(hex, whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(places_of_others_are_refused),
        cmocka_unit_test(writing_goes_on_after_a_kill),
        cmocka_unit_test(a_resumed_record_has_its_samples),
        cmocka_unit_test(it_stands_beside_its_record),
        cmocka_unit_test(outliers_are_flagged_and_kept),
        cmocka_unit_test(digests_of_pieces_are_of_the_whole),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}

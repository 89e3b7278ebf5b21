// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_safetensors.c   The tensor reader on malformed and unusual files, and what the writers
 * write. Each malformed file must be refused in a sentence that names the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/spawn.h"
#include "weights/safetensors.h"

/* ---- files from text ------------------------------------------------------------------------- */

/* Where PATCHMARK_CORPUS names a folder, every file goes there as well: seeds for
 * fuzz_safetensors.c. */
static void keep_for_fuzzing(const char *file, size_t bytes)
{
    static int number;
    const char *corpus = getenv("PATCHMARK_CORPUS");
    if (corpus && bytes < 100000)
        file_put(at("%s/%03d", corpus, number++), file, bytes);
}

/* Header text with its true length before it, then `contents` bytes counting up. */
static const char *put_file(const char *header, size_t header_bytes, size_t contents)
{
    size_t bytes = 8 + header_bytes + contents;
    char *file = malloc(bytes);
    uint64_t length = header_bytes;
    memcpy(file, &length, 8);
    memcpy(file + 8, header, header_bytes);
    for (size_t i = 0; i < contents; i++)
        file[8 + header_bytes + i] = (char)i;
    const char *path = at("%s/t.safetensors", folder);
    file_put(path, file, bytes);
    keep_for_fuzzing(file, bytes);
    free(file);
    return path;
}

static enum status open_path(const char *path, struct safetensors **out)
{
    struct fault fault = {0};
    enum status status = safetensors_open(path, out, &fault);
    if (status != ST_OK) {
        assert_null(*out);
        assert_non_null(strstr(fault.text, path));
        for (const char *c = fault.text; *c; c++)
            assert_true((unsigned char)*c >= 0x20);
    }
    return status;
}

static void must_refuse(const char *label, const char *path)
{
    struct safetensors *file;
    enum status status = open_path(path, &file);
    safetensors_free(file);
    if (status != ST_BAD_INPUT)
        fail_msg("%s: status %d, not refused as bad input", label, status);
}

struct row {
    const char *label, *header;
    size_t contents;
};

#define T(name, rest) "\"" name "\":{\"dtype\":\"F32\"," rest "}"
#define A T("a", "\"shape\":[2],\"data_offsets\":[0,8]")

static const struct row refused[] = {
    {"text is empty", "", 0},
    {"array root", "[]", 0},
    {"two roots", "{" A "}{}", 8},
    {"garbage tail", "{" A "} x", 8},
    {"byte order mark", "\xEF\xBB\xBF{" A "}", 8},
    {"bad UTF-8 in a name", "{" T("\xFF", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"overlong UTF-8", "{" T("\xC0\xAF", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"lone surrogate", "{" T("\\ud800", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"low surrogate first", "{" T("\\udc00\\ud800", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"short escape", "{" T("\\u00", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"unknown escape", "{" T("\\x", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"control character", "{" T("a\x01", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"NUL in a name", "{" T("a\\u0000b", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"comment", "{/**/" A "}", 8},
    {"trailing comma", "{" A ",}", 8},
    {"comma first", "{," A "}", 8},
    {"single quotes", "{'a':{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
    {"unclosed string", "{\"a", 0},
    {"unclosed escape", "{\"a\\", 0},
    {"unclosed object", "{" A, 8},
    {"no colon", "{\"a\" {}}", 0},
    {"NaN", "{" T("a", "\"shape\":[NaN],\"data_offsets\":[0,8]") "}", 8},
    {"leading zero", "{" T("a", "\"shape\":[02],\"data_offsets\":[0,8]") "}", 8},
    {"negative", "{" T("a", "\"shape\":[-2],\"data_offsets\":[0,8]") "}", 8},
    {"minus zero", "{" T("a", "\"shape\":[-0],\"data_offsets\":[0,0]") "}", 0},
    {"fraction", "{" T("a", "\"shape\":[2.0],\"data_offsets\":[0,8]") "}", 8},
    {"exponent", "{" T("a", "\"shape\":[2e0],\"data_offsets\":[0,8]") "}", 8},
    {"number as text", "{" T("a", "\"shape\":[\"2\"],\"data_offsets\":[0,8]") "}", 8},
    {"dimension past 2^48-1",
     "{" T("a", "\"shape\":[281474976710656,0],\"data_offsets\":[0,0]") "}", 0},
    {"2^53+1", "{" T("a", "\"shape\":[9007199254740993],\"data_offsets\":[0,8]") "}", 8},
    {"2^64", "{" T("a", "\"shape\":[18446744073709551616],\"data_offsets\":[0,0]") "}", 0},
    {"0 x 2^64-1", "{" T("a", "\"shape\":[0,18446744073709551615],\"data_offsets\":[0,0]") "}", 0},
    {"huge, then zero",
     "{" T("a", "\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]") "}", 0},
    {"zero, then huge",
     "{" T("a", "\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]") "}", 0},
    {"product wraps to the size",
     "{" T("a", "\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]") "}", 0},
    {"bytes wrap to the size",
     "{" T("a", "\"shape\":[2147483648,2147483649,4],\"data_offsets\":[0,8]") "}", 8},
    {"bits wrap", "{" T("a", "\"shape\":[70368744177664,8192],\"data_offsets\":[0,0]") "}", 0},
    {"rank 9", "{" T("a", "\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]") "}", 8},
    {"shape is no list", "{" T("a", "\"shape\":2,\"data_offsets\":[0,8]") "}", 8},
    {"shape is nested", "{" T("a", "\"shape\":[[2]],\"data_offsets\":[0,8]") "}", 8},
    {"shape ends in a comma", "{" T("a", "\"shape\":[2,],\"data_offsets\":[0,8]") "}", 8},
    {"same name twice", "{" A "," A "}", 8},
    {"same name, the last valid", "{" T("a", "\"shape\":[9],\"data_offsets\":[0,8]") "," A "}", 8},
    {"same name of zero size",
     "{" T("a", "\"shape\":[0],\"data_offsets\":[0,0]") "," T(
         "a", "\"shape\":[2],\"data_offsets\":[0,8]") "}",
     8},
    {"same name escaped",
     "{" T("a", "\"shape\":[1],\"data_offsets\":[0,4]") "," T(
         "\\u0061", "\"shape\":[1],\"data_offsets\":[4,8]") "}",
     8},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}," A "}", 8},
    {"metadata null", "{\"__metadata__\":null," A "}", 8},
    {"metadata list", "{\"__metadata__\":[]," A "}", 8},
    {"metadata number", "{\"__metadata__\":{\"a\":1}," A "}", 8},
    {"metadata nested", "{\"__metadata__\":{\"a\":{}}," A "}", 8},
    {"metadata key twice", "{\"__metadata__\":{\"k\":\"1\",\"x\":\"\",\"\\u006b\":\"2\"}," A "}",
     8},
    {"entry as a list", "{\"a\":[\"F32\",[2],[0,8]]}", 8},
    {"entry null", "{\"a\":null}", 0},
    {"entry empty", "{\"a\":{}}", 0},
    {"dtype missing", "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
    {"shape missing", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8},
    {"offsets missing", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8},
    {"field twice", "{" T("a", "\"shape\":[2],\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"field twice, escaped",
     "{" T("a", "\"shape\":[2],\"sh\\u0061pe\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"unknown field", "{" T("a", "\"shape\":[2],\"data_offsets\":[0,8],\"x\":1") "}", 8},
    {"dtype in lower case", "{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
    {"dtype of another format", "{\"a\":{\"dtype\":\"Q4_0\",\"shape\":[2],\"data_offsets\":[0,8]}}",
     8},
    {"dtype is a number", "{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
    {"offsets backwards", "{" T("a", "\"shape\":[2],\"data_offsets\":[8,0]") "}", 8},
    {"offsets negative", "{" T("a", "\"shape\":[2],\"data_offsets\":[-8,0]") "}", 8},
    {"one offset", "{" T("a", "\"shape\":[2],\"data_offsets\":[8]") "}", 8},
    {"three offsets", "{" T("a", "\"shape\":[2],\"data_offsets\":[0,8,8]") "}", 8},
    {"past the end", "{" T("a", "\"shape\":[3],\"data_offsets\":[0,12]") "}", 8},
    {"end near 2^64",
     "{" T("a", "\"shape\":[2],\"data_offsets\":[18446744073709551608,18446744073709551615]") "}",
     8},
    {"size differs", "{" T("a", "\"shape\":[1],\"data_offsets\":[0,8]") "}", 8},
    {"overlap in full", "{" A "," T("b", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"overlap in part", "{" A "," T("b", "\"shape\":[2],\"data_offsets\":[4,12]") "}", 12},
    {"empty tensor inside another", "{" A "," T("b", "\"shape\":[0],\"data_offsets\":[4,4]") "}",
     8},
    {"hole in front", "{" T("a", "\"shape\":[2],\"data_offsets\":[4,12]") "}", 12},
    {"hole in the middle", "{" A "," T("b", "\"shape\":[1],\"data_offsets\":[12,16]") "}", 16},
    {"tail", "{" A "}", 10},
    {"truncated", "{" A "}", 6},
    {"contents of no tensor", "{}", 4},
    {"F4 of odd count", "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1},
};

static void malformed_headers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const struct row *r = &refused[i];
        must_refuse(r->label, put_file(r->header, strlen(r->header), r->contents));
    }
}

/* What C strings cannot hold, and what is long. */
static void malformed_bytes_are_refused(void **state)
{
    (void)state;
    static const char nul_tail[] = "{" A "}\0", raw_nul[] = "{\"a\0b\":{}}";
    must_refuse("NUL behind the object", put_file(nul_tail, sizeof nul_tail, 8));
    must_refuse("NUL in a string", put_file(raw_nul, sizeof raw_nul - 1, 0));
    for (size_t depth = 200; depth <= 100000; depth *= 500) {
        char *deep = malloc(2 * depth);
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        must_refuse("deep lists", put_file(deep, 2 * depth, 0));
        for (size_t i = 0; i + 5 <= 2 * depth; i += 5)
            memcpy(deep + i, "{\"a\":", 5);
        must_refuse("deep objects", put_file(deep, 2 * depth, 0));
        free(deep);
    }
}

/* Headers that cost time or memory where a reader is careless: 100,000 tensors on the same bytes, a
 * shape of 10,000 dimensions, and a million names more than there may be. */
static void large_headers_are_refused(void **state)
{
    (void)state;
    enum { OVERLAPS = 100000, RANK = 10000, MANY = 1000001 };
    size_t room = 16 + (size_t)MANY * 64, used = 1;
    char *text = malloc(room);
    text[0] = '{';
    for (int i = 0; i < OVERLAPS; i++)
        used += (size_t)snprintf(text + used, room - used,
                                 "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}",
                                 i ? "," : "", i);
    text[used++] = '}';
    must_refuse("100,000 overlaps", put_file(text, used, 8));
    used = (size_t)snprintf(text, room, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1");
    for (int i = 1; i < RANK; i++)
        used += (size_t)snprintf(text + used, room - used, ",1");
    used += (size_t)snprintf(text + used, room - used, "],\"data_offsets\":[0,1]}}");
    must_refuse("rank 10,000", put_file(text, used, 1));
    used = 1;
    for (int i = 0; i < MANY; i++)
        used += (size_t)snprintf(text + used, room - used,
                                 "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                                 i ? "," : "", i);
    text[used++] = '}';
    must_refuse("a million and one tensors", put_file(text, used, 0));
    free(text);
}

static void malformed_lengths_are_refused(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {0,
                                       3,
                                       1000,
                                       100000000,
                                       100000001,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX,
                                       UINT64_MAX - 7,
                                       UINT64_MAX - 8};
    const char *path = at("%s/length", folder);
    file_put(path, "", 0);
    must_refuse("empty", path);
    file_put(path, "\2\0\0\0\0\0\0", 7);
    must_refuse("7 bytes", path);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char file[10];
        memcpy(file, &lengths[i], 8);
        memcpy(file + 8, "{}", 2);
        file_put(path, file, sizeof file);
        must_refuse("length", path);
    }
}

/* The limit itself: a sparse file, all zeros behind the length. 100,000,000 is read and refused for
 * its text, one more for its length, before memory is taken. */
static void the_largest_header(void **state)
{
    (void)state;
    for (uint64_t over = 0; over < 2; over++) {
        struct fault fault = {0};
        struct safetensors *file;
        uint64_t length = 100000000 + over;
        const char *path = at("%s/sparse", folder);
        file_put(path, &length, 8);
        assert_int_equal(truncate(path, (off_t)length + 8), 0);
        assert_int_equal(safetensors_open(path, &file, &fault), ST_BAD_INPUT);
        assert_non_null(strstr(fault.text, over ? "more than 100000000" : "must be a JSON object"));
    }
}

/* ---- unusual and legal ----------------------------------------------------------------------- */

static const struct row accepted[] = {
    {"no tensors", "{}", 0},
    {"blanks around", " \n\t\r{ " A " } \n", 8},
    {"metadata", "{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\\ud83d\\ude00\"}," A "}", 8},
    {"NUL in a value of the metadata", "{\"__metadata__\":{\"a\":\"x\\u0000y\"}}", 0},
    {"metadata empty", "{\"__metadata__\":{}}", 0},
    {"unordered", "{" T("b", "\"shape\":[1],\"data_offsets\":[8,12]") "," A "}", 12},
    {"fields in any order", "{\"a\":{\"data_offsets\":[0,8],\"shape\":[2],\"dtype\":\"F32\"}}", 8},
    {"scalar", "{" T("a", "\"shape\":[],\"data_offsets\":[0,4]") "}", 4},
    {"rank 8", "{" T("a", "\"shape\":[1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]") "}", 8},
    {"zero size", "{" T("z", "\"shape\":[0,5],\"data_offsets\":[0,0]") "," A "}", 8},
    {"zero size between",
     "{" T("z", "\"shape\":[0],\"data_offsets\":[8,8]") "," A "," T(
         "b", "\"shape\":[1],\"data_offsets\":[8,12]") "}",
     12},
    {"odd offset",
     "{\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}," T(
         "a", "\"shape\":[2],\"data_offsets\":[1,9]") "}",
     9},
    {"F4 of even count", "{\"a\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]}}", 2},
    {"F6", "{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]}}", 3},
    {"BOOL", "{\"a\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3},
    {"empty name", "{" T("", "\"shape\":[2],\"data_offsets\":[0,8]") "}", 8},
    {"a name like a path", "{" T("../../etc/passwd", "\"shape\":[2],\"data_offsets\":[0,8]") "}",
     8},
};

static void unusual_files_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        const struct row *r = &accepted[i];
        struct safetensors *file;
        struct fault fault = {0};
        const char *path = put_file(r->header, strlen(r->header), r->contents);
        if (safetensors_open(path, &file, &fault) != ST_OK)
            fail_msg("%s: %s", r->label, fault.text);
        assert_null(safetensors_at(file, safetensors_count(file)));
        safetensors_free(file);
    }
}

static void members_are_what_the_header_says(void **state)
{
    (void)state;
    static const char header[] =
        "{\"\\u0062\\n\\ud83d\\ude00\":{\"dtype\":\"I64\",\"shape\":[1,2],\"data_offsets\":[4,20]},"
        "\"a\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[0,4]}}";
    struct safetensors *file;
    assert_int_equal(open_path(put_file(header, sizeof header - 1, 20), &file), ST_OK);
    assert_int_equal(safetensors_count(file), 2);
    const struct safetensor *t = safetensors_find(file, "b\n\xF0\x9F\x98\x80");
    assert_non_null(t);
    assert_int_equal(t->elem, ELEM_I64);
    assert_string_equal(t->dtype, "I64");
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->dim[1], 2);
    assert_int_equal(t->begin, 8 + sizeof header - 1 + 4);
    assert_int_equal(t->end - t->begin, 16);
    assert_int_equal(safetensors_find(file, "a")->elem, ELEM_NONE);
    assert_null(safetensors_find(file, "b"));
    float out;
    struct fault fault = {0};
    assert_int_equal(safetensors_read(file, t, 0, 1, &out, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "I64"));
    safetensors_free(file);
}

static void every_float_type_is_converted(void **state)
{
    (void)state;
    static const char header[] =
        "{\"d\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1,17]},"
        "\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
        "\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[17,21]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[21,25]}}";
    const double d[2] = {0.5, -3};
    const uint16_t h[2] = {0x3E00, 0x7E01}, b[2] = {0x3FC0, 0xFF80}; /* 1.5 NaN; 1.5 -inf */
    char file_bytes[8 + sizeof header - 1 + 25];
    uint64_t length = sizeof header - 1;
    memcpy(file_bytes, &length, 8);
    memcpy(file_bytes + 8, header, length);
    char *data = file_bytes + 8 + length;
    data[0] = 7;
    memcpy(data + 1, d, 16);
    memcpy(data + 17, h, 4);
    memcpy(data + 21, b, 4);
    const char *path = at("%s/types", folder);
    file_put(path, file_bytes, sizeof file_bytes);
    struct safetensors *file;
    struct fault fault = {0};
    float got[2];
    assert_int_equal(open_path(path, &file), ST_OK);
    assert_int_equal(safetensors_read(file, safetensors_find(file, "d"), 0, 2, got, &fault), ST_OK);
    assert_true(got[0] == 0.5f && got[1] == -3.0f);
    assert_int_equal(safetensors_read(file, safetensors_find(file, "h"), 0, 2, got, &fault), ST_OK);
    assert_true(got[0] == 1.5f && isnan(got[1]));
    assert_int_equal(safetensors_read(file, safetensors_find(file, "b"), 1, 1, got, &fault), ST_OK);
    assert_true(isinf(got[0]) && got[0] < 0);
    safetensors_free(file);
}

/* ---- what is no file ------------------------------------------------------------------------- */

static void folders_and_pipes_are_refused(void **state)
{
    (void)state;
    const char *fifo = at("%s/fifo", folder), *loop = at("%s/loop", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("loop", loop), 0);
    must_refuse("folder", folder);
    must_refuse("pipe", fifo);
    must_refuse("device", "/dev/zero");
    must_refuse("absent", at("%s/absent", folder));
    must_refuse("loop of links", loop);
}

static void a_shrinking_file_is_a_sentence(void **state)
{
    (void)state;
    struct safetensors *file;
    struct fault fault = {0};
    float out[2];
    const char *path = put_file("{" A "}", strlen("{" A "}"), 8);
    assert_int_equal(open_path(path, &file), ST_OK);
    assert_int_equal(truncate(path, 20), 0);
    assert_int_equal(safetensors_read(file, safetensors_at(file, 0), 0, 2, out, &fault), ST_IO);
    assert_non_null(strstr(fault.text, "shrank"));
    safetensors_free(file);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void what_is_written_reads_back(void **state)
{
    (void)state;
    enum { MANY = 40000 }; /* more than the reader converts at a time */
    float *data = malloc(MANY * sizeof *data), *got = malloc(MANY * sizeof *data);
    for (int i = 0; i < MANY; i++)
        data[i] = (float)i / 7 - 100;
    const struct safetensor_out out[] = {{"z \"quoted\"", 2, {4, MANY / 4}, data},
                                         {"scalar", 0, {0}, data + 5},
                                         {"none", 1, {0}, NULL}};
    const char *path = at("%s/out.safetensors", folder);
    struct fault fault = {0};
    struct safetensors *file;
    assert_int_equal(safetensors_write(path, out, 3, &fault), ST_OK);
    assert_int_equal(open_path(path, &file), ST_OK);
    assert_int_equal(safetensors_count(file), 3);
    const struct safetensor *t = safetensors_find(file, "z \"quoted\"");
    assert_int_equal(t->begin % 8, 0);
    assert_int_equal(t->dim[1], MANY / 4);
    assert_int_equal(safetensors_read(file, t, 0, MANY, got, &fault), ST_OK);
    assert_memory_equal(got, data, MANY * sizeof *data);
    assert_int_equal(safetensors_read(file, t, 17, 3, got, &fault), ST_OK);
    assert_memory_equal(got, data + 17, 3 * sizeof *data);
    assert_int_equal(safetensors_read(file, t, 0, MANY + 1, got, &fault), ST_BAD_INPUT);
    assert_int_equal(safetensors_read(file, t, INT64_MAX, 1, got, &fault), ST_BAD_INPUT);
    assert_int_equal(safetensors_read(file, safetensors_find(file, "scalar"), 0, 1, got, &fault),
                     ST_OK);
    assert_true(got[0] == data[5]);
    safetensors_free(file);
    free(data);
    free(got);
}

static void a_stream_writes_the_same_bytes(void **state)
{
    (void)state;
    const float data[6] = {1, 2, 3, 4, 5, 6};
    const int64_t dim[2] = {2, 3};
    const struct safetensor_out one = {"x", 2, {2, 3}, data};
    const char *whole = at("%s/whole", folder), *pieces = at("%s/pieces", folder);
    struct safetensors_stream *s;
    struct fault fault = {0};
    assert_int_equal(safetensors_write(whole, &one, 1, &fault), ST_OK);
    assert_int_equal(safetensors_stream_open(pieces, "x", 2, dim, &s, &fault), ST_OK);
    assert_int_equal(safetensors_stream_add(s, data, 4, &fault), ST_OK);
    assert_false(file_exists(pieces));
    assert_int_equal(safetensors_stream_add(s, data + 4, 2, &fault), ST_OK);
    assert_int_equal(safetensors_stream_close(s, &fault), ST_OK);
    size_t a_bytes, b_bytes;
    char *a = file_read(whole, &a_bytes), *b = file_read(pieces, &b_bytes);
    assert_int_equal(a_bytes, b_bytes);
    assert_memory_equal(a, b, a_bytes);
    free(a);
    free(b);
}

static void an_incomplete_stream_leaves_nothing(void **state)
{
    (void)state;
    const float data[4] = {0};
    const int64_t dim[9] = {3};
    struct safetensors_stream *s;
    struct fault fault = {0};
    int before = folder_count(folder);
    const char *path = at("%s/short", folder);
    assert_int_equal(safetensors_stream_open(path, "x", 1, dim, &s, &fault), ST_OK);
    assert_int_equal(safetensors_stream_add(s, data, 4, &fault), ST_BAD_INPUT);
    assert_int_equal(safetensors_stream_add(s, data, 2, &fault), ST_OK);
    assert_int_equal(safetensors_stream_close(s, &fault), ST_IO);
    assert_int_equal(folder_count(folder), before);
    assert_int_equal(safetensors_stream_open(path, "x", 9, dim, &s, &fault), ST_BAD_INPUT);
    assert_int_equal(folder_count(folder), before);
}

static void bad_targets_are_refused(void **state)
{
    (void)state;
    const float data[1] = {0};
    const struct safetensor_out one = {"x", 1, {1}, data}, wrong = {"x", 2, {INT64_MAX, 4}, data};
    int before = folder_count(folder);
    const char *targets[] = {folder, at("%s/no/such/folder/x", folder), "/dev/full"};
    for (int i = 0; i < 3; i++) {
        struct fault fault = {0};
        assert_int_equal(safetensors_write(targets[i], &one, 1, &fault), ST_BAD_INPUT);
        assert_non_null(strstr(fault.text, targets[i]));
    }
    struct fault fault = {0};
    assert_int_equal(safetensors_write(at("%s/w", folder), &wrong, 1, &fault), ST_BAD_INPUT);
    assert_int_equal(folder_count(folder), before);
}

/* A limit on the size of files stands for the full disk. */
static void a_full_disk_leaves_nothing(void **state)
{
    (void)state;
    float *data = calloc(100000, sizeof *data);
    const struct safetensor_out one = {"x", 1, {100000}, data};
    struct rlimit old, small;
    struct fault fault = {0};
    int before = folder_count(folder);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){65536, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    enum status status = safetensors_write(at("%s/large", folder), &one, 1, &fault);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, ST_IO);
    assert_non_null(strstr(fault.text, "large"));
    assert_int_equal(folder_count(folder), before);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_headers_are_refused),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(large_headers_are_refused),
        cmocka_unit_test(malformed_lengths_are_refused),
        cmocka_unit_test(the_largest_header),
        cmocka_unit_test(unusual_files_are_read),
        cmocka_unit_test(members_are_what_the_header_says),
        cmocka_unit_test(every_float_type_is_converted),
        cmocka_unit_test(folders_and_pipes_are_refused),
        cmocka_unit_test(a_shrinking_file_is_a_sentence),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_stream_writes_the_same_bytes),
        cmocka_unit_test(an_incomplete_stream_leaves_nothing),
        cmocka_unit_test(bad_targets_are_refused),
        cmocka_unit_test(a_full_disk_leaves_nothing),
    };
    return cmocka_run_group_tests_name("safetensors", tests, folder_make, folder_drop);
}

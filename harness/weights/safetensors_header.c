// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "weights/safetensors_header.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_BYTES 8                    /* the header's length stands before it */
#define DIM_MAX ((UINT64_C(1) << 48) - 1) /* the published schema's range of integers */
#define TENSORS_MAX 1000000
#define SHOWN_BYTES 96 /* of a name within a sentence */

static const struct dtype {
    const char *name;
    unsigned bits;
    enum elem elem;
} dtypes[] = {
    {"F32", 32, ELEM_F32},
    {"BF16", 16, ELEM_BF16},
    {"F16", 16, ELEM_F16},
    {"F64", 64, ELEM_F64},
    {"I64", 64, ELEM_I64},
    {"I32", 32, ELEM_I32},
    {"U8", 8, ELEM_U8},
    {"I8", 8, ELEM_I8},
    {"F8_E4M3", 8, ELEM_E4M3},
    {"F8_E5M2", 8, ELEM_E5M2},
    {"BOOL", 8, ELEM_NONE},
    {"F8_E8M0", 8, ELEM_NONE},
    {"I16", 16, ELEM_NONE},
    {"U16", 16, ELEM_NONE},
    {"U32", 32, ELEM_NONE},
    {"U64", 64, ELEM_NONE},
    {"C64", 64, ELEM_NONE},
    {"F4", 4, ELEM_NONE},
    {"F6_E2M3", 6, ELEM_NONE},
    {"F6_E3M2", 6, ELEM_NONE},
    {"F8_E4M3FNUZ", 8, ELEM_NONE},
    {"F8_E5M2FNUZ", 8, ELEM_NONE},
};

struct span {
    char *text; /* decoded, NUL behind it */
    size_t bytes;
};

struct parser {
    const char *path;
    char *start, *at, *end;
    uint64_t content_bytes;
    struct safetensor *tensor;
    int64_t count, room;
    struct safetensors_pair *pair;
    size_t pairs;
    const char *inside; /* name of the tensor at hand, for sentences */
    bool metadata_seen;
    struct fault *fault;
};

/* ---- sentences ------------------------------------------------------------------------------- */

static enum status refuse(struct parser *p, const char *at, const char *what)
{
    char name[SHOWN_BYTES] = "";
    if (p->inside)
        text_printable(p->inside, strlen(p->inside), name, sizeof name);
    return fault_set(p->fault, ST_BAD_INPUT, "%s: malformed tensor file: %s%s%s%s at byte %" PRIu64,
                     p->path, p->inside ? "tensor \"" : "", name, p->inside ? "\": " : "", what,
                     (uint64_t)(at - p->start) + LENGTH_BYTES);
}

static enum status refuse_tensor(struct parser *p, const struct safetensor *t, const char *what)
{
    char name[SHOWN_BYTES];
    text_printable(t->name, strlen(t->name), name, sizeof name);
    return fault_set(p->fault, ST_BAD_INPUT,
                     "%s: malformed tensor file: tensor \"%s\" %s (its bytes %" PRIu64
                     " to %" PRIu64 " of %" PRIu64 " of contents)",
                     p->path, name, what, t->begin, t->end, p->content_bytes);
}

/* ---- characters ------------------------------------------------------------------------------ */

static void skip_blanks(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
}

/* The character after blanks; '\0' at the end, which no rule asks for. */
static char peek(struct parser *p)
{
    skip_blanks(p);
    return p->at < p->end ? *p->at : '\0';
}

static enum status expect(struct parser *p, char c, const char *what)
{
    if (peek(p) != c)
        return refuse(p, p->at, what);
    p->at++;
    return ST_OK;
}

/* After an item: true where a comma says that one more follows, false where `close` ends the list.
 */
static enum status next_item(struct parser *p, char close, bool *more)
{
    char c = peek(p);
    if (c != ',' && c != close)
        return refuse(p, p->at, "a comma or closing bracket is missing");
    p->at++;
    *more = c == ',';
    return ST_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits of \uXXXX at `at`; -1 where they are not. */
static int32_t hex_unit(const struct parser *p, const char *at)
{
    if (p->end - at < 4)
        return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* \uXXXX, or a pair of them for what lies past U+FFFF; p->at stands behind the 'u'. */
static enum status unicode_escape(struct parser *p, char **out)
{
    int32_t unit = hex_unit(p, p->at);
    if (unit < 0)
        return refuse(p, p->at, "\\u needs four hexadecimal digits");
    p->at += 4;
    uint32_t c = (uint32_t)unit;
    if (unit >= 0xD800 && unit < 0xE000) {
        int32_t low = unit < 0xDC00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u'
                          ? hex_unit(p, p->at + 2)
                          : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return refuse(p, p->at, "half of a surrogate pair stands alone");
        c = 0x10000 + (((uint32_t)unit & 0x3FF) << 10 | ((uint32_t)low & 0x3FF));
        p->at += 6;
    }
    *out = put_utf8(*out, c);
    return ST_OK;
}

static enum status escape(struct parser *p, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    p->at++;
    char c = p->at < p->end ? *p->at : '\0';
    if (c == 'u') {
        p->at++;
        return unicode_escape(p, out);
    }
    const char *known = c ? strchr(from, c) : NULL;
    if (!known)
        return refuse(p, p->at, "unknown escape in a string");
    *(*out)++ = to[known - from];
    p->at++;
    return ST_OK;
}

/* A string, decoded in place: what it stands for is never longer than how it is written, and its
 * NUL lands on the closing quote at the latest. */
static enum status parse_string(struct parser *p, struct span *out)
{
    TRY(expect(p, '"', "a string is missing"));
    char *to = out->text = p->at;
    while (p->at < p->end && *p->at != '"') {
        size_t n = text_utf8_bytes(p->at, (size_t)(p->end - p->at));
        if (n == 0)
            return refuse(p, p->at, "text is not UTF-8");
        if ((unsigned char)*p->at < 0x20)
            return refuse(p, p->at, "a control character stands in a string");
        if (*p->at == '\\') {
            TRY(escape(p, &to));
            continue;
        }
        memmove(to, p->at, n);
        to += n;
        p->at += n;
    }
    if (p->at == p->end)
        return refuse(p, p->at, "a string does not end");
    p->at++;
    *to = '\0';
    out->bytes = (size_t)(to - out->text);
    return ST_OK;
}

/* A string that must mean the same to readers that stop at a NUL. */
static enum status parse_name(struct parser *p, struct span *out)
{
    TRY(parse_string(p, out));
    if (strlen(out->text) != out->bytes)
        return refuse(p, out->text, "a name contains a NUL");
    return ST_OK;
}

/* A whole number as JSON writes it: digits, no sign, fraction, exponent or leading zero. */
static enum status parse_number(struct parser *p, uint64_t most, uint64_t *out)
{
    char first = peek(p), *start = p->at;
    if (first < '0' || first > '9')
        return refuse(p, p->at, "a whole number, not negative, is missing");
    uint64_t value = 0;
    bool fits = true;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
        fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(*p->at - '0'), &value);
    if (first == '0' && p->at - start > 1)
        return refuse(p, start, "a number begins with a zero");
    if (p->at < p->end && strchr(".eE", *p->at) && *p->at)
        return refuse(p, start, "a number is not written as whole");
    if (!fits || value > most)
        return refuse(p, start, "a number is too large");
    *out = value;
    return ST_OK;
}

/* ---- one tensor ------------------------------------------------------------------------------ */

static enum status parse_dtype(struct parser *p, struct safetensor *t)
{
    struct span name;
    TRY(parse_name(p, &name));
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(name.text, dtypes[i].name) == 0) {
            t->dtype = dtypes[i].name;
            t->elem = dtypes[i].elem;
            return ST_OK;
        }
    return refuse(p, name.text, "unknown dtype");
}

static enum status parse_shape(struct parser *p, struct safetensor *t)
{
    TRY(expect(p, '[', "shape must be a list"));
    bool more = peek(p) != ']';
    if (!more)
        p->at++;
    while (more) {
        uint64_t dim;
        if (t->rank == SAFETENSORS_RANK_MAX)
            return refuse(p, p->at, "more than 8 dimensions");
        TRY(parse_number(p, DIM_MAX, &dim));
        t->dim[t->rank++] = (int64_t)dim;
        TRY(next_item(p, ']', &more));
    }
    return ST_OK;
}

static enum status parse_offsets(struct parser *p, struct safetensor *t)
{
    bool more = false;
    TRY(expect(p, '[', "data_offsets must be a list of two numbers"));
    TRY(parse_number(p, UINT64_MAX, &t->begin));
    TRY(expect(p, ',', "data_offsets must be a list of two numbers"));
    TRY(parse_number(p, UINT64_MAX, &t->end));
    TRY(next_item(p, ']', &more));
    return more ? refuse(p, p->at, "data_offsets has more than two numbers") : ST_OK;
}

static const struct field {
    const char *name;
    enum status (*parse)(struct parser *p, struct safetensor *t);
} fields[] = {{"dtype", parse_dtype}, {"shape", parse_shape}, {"data_offsets", parse_offsets}};
#define FIELDS (sizeof fields / sizeof *fields)

static enum status parse_field(struct parser *p, struct safetensor *t, unsigned *seen)
{
    struct span name;
    TRY(parse_name(p, &name));
    TRY(expect(p, ':', "a colon is missing"));
    for (unsigned i = 0; i < FIELDS; i++) {
        if (strcmp(name.text, fields[i].name) != 0)
            continue;
        if (*seen >> i & 1)
            return refuse(p, name.text, "a field is given twice");
        *seen |= 1u << i;
        return fields[i].parse(p, t);
    }
    return refuse(p, name.text, "unknown field");
}

/* Elements, bits and bytes, each checked. Zero dimensions count as one for the overflow, so that
 * the order of dimensions does not decide. */
static enum status check_size(struct parser *p, const struct safetensor *t)
{
    unsigned type = 0;
    while (dtypes[type].name != t->dtype)
        type++;
    uint64_t elements = 1, bits;
    bool fits = true, empty = false;
    for (int i = 0; i < t->rank; i++) {
        empty = empty || t->dim[i] == 0;
        fits = fits &&
               !__builtin_mul_overflow(elements, t->dim[i] ? (uint64_t)t->dim[i] : 1, &elements);
    }
    if (!fits || elements > INT64_MAX || __builtin_mul_overflow(elements, dtypes[type].bits, &bits))
        return refuse_tensor(p, t, "is too large for any machine");
    if (empty)
        bits = 0;
    if (bits % 8 != 0)
        return refuse_tensor(p, t, "does not fill whole bytes");
    if (t->begin > t->end || t->end > p->content_bytes)
        return refuse_tensor(p, t, "lies outside the file");
    if (t->end - t->begin != bits / 8)
        return refuse_tensor(p, t, "has another number of bytes than its shape and dtype need");
    return ST_OK;
}

static enum status new_tensor(struct parser *p, struct safetensor **out)
{
    if (p->count == TENSORS_MAX)
        return refuse(p, p->at, "more than a million tensors");
    if (p->count == p->room) {
        int64_t room = p->room ? 2 * p->room : 64;
        struct safetensor *grown = realloc(p->tensor, (size_t)room * sizeof *grown);
        if (!grown)
            return fault_set(p->fault, ST_NO_MEMORY, "out of memory for the header of %s", p->path);
        p->tensor = grown;
        p->room = room;
    }
    *out = &p->tensor[p->count++];
    **out = (struct safetensor){0};
    return ST_OK;
}

static enum status parse_tensor(struct parser *p, const char *name)
{
    struct safetensor *t = NULL;
    unsigned seen = 0;
    TRY(new_tensor(p, &t));
    t->name = p->inside = name;
    TRY(expect(p, '{', "its description must be an object"));
    for (bool more = true; more;) {
        TRY(parse_field(p, t, &seen));
        TRY(next_item(p, '}', &more));
    }
    if (seen != (1u << FIELDS) - 1)
        return refuse(p, p->at, "needs dtype, shape and data_offsets; one is missing");
    TRY(check_size(p, t));
    p->inside = NULL;
    return ST_OK;
}

/* ---- the whole header ------------------------------------------------------------------------ */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_pair *)a)->key,
                  ((const struct safetensors_pair *)b)->key);
}

static enum status collect_pair(struct parser *p, const struct span *key, const struct span *value)
{
    size_t count = p->pairs;
    /* Doubles whenever count is a power of two. */
    if ((count & (count - 1)) == 0) {
        struct safetensors_pair *grown = realloc(p->pair, (count ? 2 * count : 1) * sizeof *grown);
        if (!grown)
            return fault_set(p->fault, ST_NO_MEMORY, "out of memory for the header of %s", p->path);
        p->pair = grown;
    }
    p->pair[p->pairs++] = (struct safetensors_pair){key->text, value->text, value->bytes};
    return ST_OK;
}

static enum status parse_pairs(struct parser *p)
{
    TRY(expect(p, '{', "__metadata__ must be an object"));
    bool more = peek(p) != '}';
    if (!more)
        p->at++;
    while (more) {
        struct span key, value;
        TRY(parse_name(p, &key));
        TRY(expect(p, ':', "a colon is missing"));
        TRY(parse_string(p, &value));
        TRY(collect_pair(p, &key, &value));
        TRY(next_item(p, '}', &more));
    }
    return ST_OK;
}

/* A map from string to string in which no key stands twice. */
static enum status parse_metadata(struct parser *p, const char *name)
{
    if (p->metadata_seen)
        return refuse(p, name, "__metadata__ is given twice");
    p->metadata_seen = true;
    TRY(parse_pairs(p));
    if (p->pairs > 1)
        qsort(p->pair, p->pairs, sizeof *p->pair, compare_keys);
    for (size_t i = 1; i < p->pairs; i++)
        if (compare_keys(&p->pair[i - 1], &p->pair[i]) == 0)
            return refuse(p, p->pair[i].key, "a key of __metadata__ is given twice");
    return ST_OK;
}

static enum status parse_members(struct parser *p)
{
    TRY(expect(p, '{', "the header must be a JSON object"));
    bool more = peek(p) != '}';
    if (!more)
        p->at++;
    while (more) {
        struct span name;
        TRY(parse_name(p, &name));
        TRY(expect(p, ':', "a colon is missing"));
        if (strcmp(name.text, "__metadata__") == 0)
            TRY(parse_metadata(p, name.text));
        else
            TRY(parse_tensor(p, name.text));
        TRY(next_item(p, '}', &more));
    }
    skip_blanks(p);
    return p->at == p->end ? ST_OK : refuse(p, p->at, "something follows the header's object");
}

static int compare_ranges(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct safetensor *)a)->name, ((const struct safetensor *)b)->name);
}

/* The tensors must tile the contents: no hole, no overlap, no tail that another program might read
 * as something else. */
static enum status check_cover(struct parser *p)
{
    uint64_t covered = 0;
    if (p->count > 1)
        qsort(p->tensor, (size_t)p->count, sizeof *p->tensor, compare_ranges);
    for (int64_t i = 0; i < p->count; i++) {
        const struct safetensor *t = &p->tensor[i];
        if (t->begin != covered)
            return refuse_tensor(p, t,
                                 t->begin < covered ? "overlaps another" : "has a hole before it");
        covered = t->end;
    }
    if (covered != p->content_bytes)
        return fault_set(p->fault, ST_BAD_INPUT,
                         "%s: malformed tensor file: %" PRIu64
                         " bytes follow the last tensor, which "
                         "ends at byte %" PRIu64 " of the contents",
                         p->path, p->content_bytes - covered, covered);
    return ST_OK;
}

static enum status check_names(struct parser *p)
{
    if (p->count > 1)
        qsort(p->tensor, (size_t)p->count, sizeof *p->tensor, compare_names);
    for (int64_t i = 1; i < p->count; i++)
        if (compare_names(&p->tensor[i - 1], &p->tensor[i]) == 0) {
            p->inside = p->tensor[i].name;
            return refuse(p, p->tensor[i].name, "this name is given twice, again");
        }
    return ST_OK;
}

static enum status parse_all(struct parser *p)
{
    if (p->end - p->at >= 3 && memcmp(p->at, "\xEF\xBB\xBF", 3) == 0)
        return refuse(p, p->at, "a byte order mark stands before the header");
    TRY(parse_members(p));
    TRY(check_cover(p));
    return check_names(p);
}

enum status safetensors_parse(const char *path, char *text, uint64_t header_bytes,
                              uint64_t content_bytes, struct safetensors_header *out,
                              struct fault *fault)
{
    *out = (struct safetensors_header){0};
    struct parser p = {.path = path,
                       .start = text,
                       .at = text,
                       .end = text + header_bytes,
                       .content_bytes = content_bytes,
                       .fault = fault};
    enum status status = parse_all(&p);
    if (status != ST_OK) {
        free(p.tensor);
        free(p.pair);
        return status;
    }
    for (int64_t i = 0; i < p.count; i++) {
        p.tensor[i].begin += LENGTH_BYTES + header_bytes;
        p.tensor[i].end += LENGTH_BYTES + header_bytes;
    }
    *out = (struct safetensors_header){p.tensor, p.count, p.pair, (int64_t)p.pairs};
    return ST_OK;
}

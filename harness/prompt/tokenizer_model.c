// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tokenizer_model.c   A walk over the protobuf fields of a SentencePiece model down to its
 * normalisation tables, each a double-array trie and the strings that its leaves point at.
 * (sentencepiece_model.proto; darts-clone's darts.h for the bits of a unit.) */
#include "prompt/tokenizer_model.h"

#include <string.h>

struct bytes {
    const uint8_t *at;
    size_t left;
};

struct field {
    uint64_t number;
    bool message; /* length-delimited, with this value */
    struct bytes value;
};

/* ---- protobuf -------------------------------------------------------------------------------- */

static bool take_varint(struct bytes *b, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && b->left > 0; shift += 7) {
        uint8_t byte = *b->at++;
        b->left--;
        *out |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Groups, which no such model has, count as malformed. */
static bool take_field(struct bytes *b, struct field *f)
{
    enum { VARINT, FIXED_64, LENGTH, FIXED_32 = 5 };
    uint64_t tag, length = 0;
    if (!take_varint(b, &tag))
        return false;
    f->number = tag >> 3;
    f->message = false;
    switch (tag & 7) {
    case VARINT: return take_varint(b, &length);
    case FIXED_64: length = 8; break;
    case FIXED_32: length = 4; break;
    case LENGTH:
        f->message = true;
        if (!take_varint(b, &length))
            return false;
        break;
    default: return false;
    }
    if (length > b->left)
        return false;
    f->value = (struct bytes){b->at, (size_t)length};
    b->at += length;
    b->left -= (size_t)length;
    return true;
}

/* ---- the normalisation table ----------------------------------------------------------------- */

static uint32_t unit_at(const uint8_t *trie, size_t index)
{
    uint32_t unit;
    memcpy(&unit, trie + 4 * index, sizeof unit);
    return unit;
}

/* A unit with bit 31 holds a value and is not walked from, the root always is. The walk goes to
 * index ^ offset ^ key byte, which this keeps inside for all 256; with bit 8 there is a leaf under
 * the byte 0. The trie's size in bytes comes first, then its units, then the strings. */
static bool table_is_closed(struct bytes table)
{
    uint32_t trie_bytes;
    if (table.left == 0)
        return true; /* no normalisation */
    if (table.left < 4)
        return false;
    memcpy(&trie_bytes, table.at, 4);
    if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes >= table.left - 4)
        return false;
    const uint8_t *trie = table.at + 4;
    const size_t units = trie_bytes / 4, strings = table.left - 4 - trie_bytes;
    for (size_t i = 0; i < units; i++) {
        const uint32_t unit = unit_at(trie, i);
        if (unit >> 31 && i > 0)
            continue;
        const size_t to = i ^ (size_t)((unit >> 10) << ((unit & 0x200) >> 6));
        if ((to | 0xFF) >= units)
            return false;
        if ((unit & 0x100) && (unit_at(trie, to) & 0x7FFFFFFF) >= strings)
            return false;
    }
    return table.at[table.left - 1] == 0; /* every string ends */
}

/* ---- the model ------------------------------------------------------------------------------- */

static enum status malformed(const char *path, size_t at, struct fault *fault)
{
    return fault_set(fault, ST_BAD_INPUT,
                     "%s is not a SentencePiece model: no protobuf field at byte %zu", path, at);
}

static enum status check_normalizer(const char *path, const uint8_t *begin, struct bytes spec,
                                    struct fault *fault)
{
    enum { PRECOMPILED_CHARSMAP = 2 };
    while (spec.left > 0) {
        struct field f;
        const size_t at = (size_t)(spec.at - begin);
        if (!take_field(&spec, &f))
            return malformed(path, at, fault);
        if (f.message && f.number == PRECOMPILED_CHARSMAP && !table_is_closed(f.value))
            return fault_set(fault, ST_BAD_INPUT,
                             "%s is not a sound SentencePiece model: its normalisation table at "
                             "byte %zu leads out of itself",
                             path, (size_t)(f.value.at - begin));
    }
    return ST_OK;
}

enum status tokenizer_check_model(const char *path, const void *data, size_t bytes,
                                  struct fault *fault)
{
    enum { NORMALIZER_SPEC = 3, DENORMALIZER_SPEC = 5 };
    struct bytes model = {data, bytes};
    if (bytes == 0)
        return fault_set(fault, ST_BAD_INPUT, "%s is not a SentencePiece model: it is empty", path);
    while (model.left > 0) {
        struct field f;
        const size_t at = (size_t)(model.at - (const uint8_t *)data);
        if (!take_field(&model, &f))
            return malformed(path, at, fault);
        if (f.message && (f.number == NORMALIZER_SPEC || f.number == DENORMALIZER_SPEC))
            TRY(check_normalizer(path, data, f.value, fault));
    }
    return ST_OK;
}

// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* fuzz_safetensors.c   libFuzzer target of the tensor reader: whatever the bytes, a file is read or
 * refused with a sentence, and what is read lies within the file. An even first byte is followed by
 * the file itself; an odd one by a count of content bytes and a header, whose length is put before
 * it, so that the fuzzer need not guess it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void put(int fd, const void *data, size_t bytes, off_t at)
{
    MUST(pwrite(fd, data, bytes, at) == (ssize_t)bytes);
}

/* Returns the size of the file it makes. */
static uint64_t write_file(int fd, const uint8_t *data, size_t bytes)
{
    MUST(ftruncate(fd, 0) == 0);
    if (bytes < 2 || data[0] % 2 == 0) {
        if (bytes > 1)
            put(fd, data + 1, bytes - 1, 0);
        return bytes ? bytes - 1 : 0;
    }
    uint64_t length = bytes - 2, size = 8 + length + data[1];
    put(fd, &length, 8, 0);
    put(fd, data + 2, bytes - 2, 8);
    MUST(ftruncate(fd, (off_t)size) == 0);
    return size;
}

static void read_all(struct safetensors *file, uint64_t size)
{
    const struct safetensors_pair *pair;
    uint64_t covered = 0;
    struct fault fault = {{0}};
    for (int64_t i = 0; i < safetensors_metadata(file, &pair); i++)
        MUST(pair[i].key && pair[i].value[pair[i].value_bytes] == '\0');
    for (int64_t i = 0; i < safetensors_count(file); i++) {
        const struct safetensor *t = safetensors_at(file, i);
        float value;
        char byte;
        MUST(t->begin >= 8 && t->begin <= t->end && t->end <= size);
        MUST(safetensors_find(file, t->name) == t);
        covered += t->end - t->begin;
        bool has = safetensor_elems(t) > 0;
        enum status status = safetensors_read(file, t, 0, has, &value, &fault);
        MUST(status == ST_OK || status == ST_BAD_INPUT);
        if (t->end > t->begin)
            MUST(safetensors_read_bytes(file, t, t->end - t->begin - 1, 1, &byte, &fault) == ST_OK);
        MUST(safetensors_read_bytes(file, t, t->end - t->begin, 1, &byte, &fault) != ST_OK);
    }
    MUST(covered <= size - 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static int fd = -1;
    char path[64];
    struct fault fault = {{0}};
    struct safetensors *file;
    if (fd < 0)
        MUST((fd = memfd_create("fuzz", 0)) >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    uint64_t size = write_file(fd, data, bytes);
    enum status status = safetensors_open(path, &file, &fault);
    if (status == ST_OK) {
        read_all(file, size);
        safetensors_free(file);
    } else {
        MUST(status == ST_BAD_INPUT && !file && strstr(fault.text, path));
    }
    return 0;
}

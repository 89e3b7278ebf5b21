// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "weights/safetensors.h"

#include "elem.h"
#include "weights/safetensors_header.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MAX_BYTES 100000000 /* the reference reader's limit */
#define PIECE_BYTES 65536          /* read and converted at a time */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor files are little-endian");

struct safetensors {
    int fd;
    struct stat info; /* of the file whose header was read */
    char *path, *text;
    struct safetensors_header header;
};

/* pread rather than mmap: a file that shrinks meanwhile is a sentence, not a signal. */
static enum status read_exactly(const struct safetensors *file, uint64_t at, void *out,
                                size_t bytes, struct fault *fault)
{
    char *to = out;
    while (bytes > 0) {
        ssize_t n = pread(file->fd, to, bytes, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_set(fault, ST_IO, "cannot read %s at byte %" PRIu64 ": %s", file->path, at,
                             strerror(errno));
        if (n == 0)
            return fault_set(fault, ST_IO,
                             "%s ends at byte %" PRIu64 "; it shrank while being read", file->path,
                             at);
        to += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return ST_OK;
}

static enum status open_file(struct safetensors *file, struct stat *info, struct fault *fault)
{
    /* Without O_NONBLOCK a FIFO would wait for its writer. */
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0 || fstat(file->fd, info) != 0)
        return fault_set(fault, ST_BAD_INPUT, "cannot open %s: %s", file->path, strerror(errno));
    if (!S_ISREG(info->st_mode))
        return fault_set(fault, ST_BAD_INPUT, "%s is a %s; a tensor file is needed", file->path,
                         S_ISDIR(info->st_mode) ? "folder" : "device or pipe");
    return ST_OK;
}

void safetensors_rest(struct safetensors *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

enum status safetensors_wake(struct safetensors *file, struct fault *fault)
{
    struct stat now;
    const struct stat *then = &file->info;
    if (file->fd >= 0)
        return ST_OK;
    enum status status = open_file(file, &now, fault);
    if (status == ST_OK &&
        (now.st_dev != then->st_dev || now.st_ino != then->st_ino || now.st_size != then->st_size ||
         now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
         now.st_mtim.tv_nsec != then->st_mtim.tv_nsec))
        status =
            fault_set(fault, ST_IO, "%s was changed or replaced while it was in use", file->path);
    if (status != ST_OK)
        safetensors_rest(file);
    return status;
}

static enum status read_header(struct safetensors *file, struct fault *fault)
{
    uint64_t header_bytes = 0, contents_at;
    TRY(open_file(file, &file->info, fault));
    const uint64_t file_bytes = (uint64_t)file->info.st_size;
    if (file_bytes < sizeof header_bytes)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: malformed tensor file: %" PRIu64
                         " bytes, shorter than the 8 bytes of a "
                         "header length",
                         file->path, file_bytes);
    TRY(read_exactly(file, 0, &header_bytes, sizeof header_bytes, fault));
    if (header_bytes > HEADER_MAX_BYTES)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: malformed tensor file: a header of %" PRIu64 " bytes at byte 0, more "
                         "than %d",
                         file->path, header_bytes, HEADER_MAX_BYTES);
    if (__builtin_add_overflow(header_bytes, sizeof header_bytes, &contents_at) ||
        contents_at > file_bytes)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: malformed tensor file: a header of %" PRIu64 " bytes at byte 8, past "
                         "the end at byte %" PRIu64,
                         file->path, header_bytes, file_bytes);
    file->text = malloc((size_t)header_bytes + 1);
    if (!file->text)
        return fault_set(fault, ST_NO_MEMORY,
                         "out of memory for the header of %s (%" PRIu64 " bytes)", file->path,
                         header_bytes);
    TRY(read_exactly(file, sizeof header_bytes, file->text, (size_t)header_bytes, fault));
    return safetensors_parse(file->path, file->text, header_bytes, file_bytes - contents_at,
                             &file->header, fault);
}

enum status safetensors_open(const char *path, struct safetensors **out, struct fault *fault)
{
    *out = NULL;
    struct safetensors *file = calloc(1, sizeof *file);
    char *copy = strdup(path);
    if (!file || !copy) {
        free(file);
        free(copy);
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
    }
    file->fd = -1;
    file->path = copy;
    enum status status = read_header(file, fault);
    if (status == ST_OK)
        *out = file;
    else
        safetensors_free(file);
    return status;
}

void safetensors_free(struct safetensors *file)
{
    if (!file)
        return;
    safetensors_rest(file);
    free(file->path);
    free(file->text);
    free(file->header.tensor);
    free(file->header.pair);
    free(file);
}

int64_t safetensors_count(const struct safetensors *file) { return file->header.count; }

const struct safetensor *safetensors_at(const struct safetensors *file, int64_t index)
{
    return index >= 0 && index < file->header.count ? &file->header.tensor[index] : NULL;
}

static int compare_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct safetensor *)tensor)->name);
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
    const struct safetensors_header *h = &file->header;
    return h->count ? bsearch(name, h->tensor, (size_t)h->count, sizeof *h->tensor, compare_name)
                    : NULL;
}

int64_t safetensors_metadata(const struct safetensors *file, const struct safetensors_pair **out)
{
    *out = file->header.pair;
    return file->header.pairs;
}

int64_t safetensor_elems(const struct safetensor *tensor)
{
    int64_t elems = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->dim[i] == 0)
            return 0;
        elems *= tensor->dim[i]; /* the header's reader has refused what would not fit */
    }
    return elems;
}

enum status safetensors_read_bytes(struct safetensors *file, const struct safetensor *tensor,
                                   uint64_t first, size_t bytes, void *out, struct fault *fault)
{
    const uint64_t total = tensor->end - tensor->begin;
    if (first > total || bytes > total - first)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: tensor \"%.96s\" has %" PRIu64 " bytes; %zu from %" PRIu64
                         " were asked for",
                         file->path, tensor->name, total, bytes, first);
    TRY(safetensors_wake(file, fault));
    return read_exactly(file, tensor->begin + first, out, bytes, fault);
}

enum status safetensors_read(struct safetensors *file, const struct safetensor *tensor,
                             int64_t first, int64_t count, float *out, struct fault *fault)
{
    enum elem elem = tensor->elem;
    if (elem != ELEM_F32 && elem != ELEM_F64 && elem != ELEM_BF16 && elem != ELEM_F16)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: tensor \"%.96s\" has dtype %s; F32, F64, BF16 and F16 can be read",
                         file->path, tensor->name, tensor->dtype);
    size_t size = elem_bytes(elem);
    int64_t total = (int64_t)((tensor->end - tensor->begin) / size);
    if (first < 0 || count < 0 || first > total || count > total - first)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: tensor \"%.96s\" has %" PRId64 " elements; %" PRId64 " from %" PRId64
                         " were asked for",
                         file->path, tensor->name, total, count, first);
    TRY(safetensors_wake(file, fault));
    _Alignas(TENSOR_ALIGN) char piece[PIECE_BYTES];
    int64_t step = (int64_t)(PIECE_BYTES / size);
    for (int64_t done = 0; done < count; done += step) {
        int64_t n = count - done < step ? count - done : step;
        uint64_t at = tensor->begin + (uint64_t)(first + done) * size;
        TRY(read_exactly(file, at, piece, (size_t)n * size, fault));
        elem_convert(out + done, ELEM_F32, piece, elem, n);
    }
    return ST_OK;
}

// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "records/sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/out_file.h"
#include "base/stats.h"
#include "records/record.h"

#define ENTRY_BYTES 17
#define HEAD_BYTES 16
#define END_BYTES 80
#define VERSION 1

/* ---- samples in memory ----------------------------------------------------------------------- */

static bool make_room(struct raw *r, int64_t more)
{
    int64_t room = r->room ? r->room : 256;
    while (room < r->count + more)
        room *= 2;
    if (room == r->room)
        return true;
    struct raw_sample *grown = realloc(r->at, (size_t)room * sizeof *grown);
    if (!grown)
        return false;
    r->at = grown;
    r->room = room;
    return true;
}

bool raw_add(struct raw *r, const double *seconds, int64_t count, double mhz, uint8_t flags)
{
    if (!make_room(r, count))
        return false;
    for (int64_t i = 0; i < count; i++)
        r->at[r->count++] = (struct raw_sample){seconds[i], (float)mhz, flags, r->blocks};
    r->blocks++;
    return true;
}

void raw_free(struct raw *r)
{
    free(r->at);
    *r = (struct raw){0};
}

#define DEVIATIONS 10
#define OF_NORMAL 1.4826 /* standard deviations of normal noise in one median absolute deviation */

int64_t raw_flag_outliers(struct raw *r)
{
    double *value = malloc((size_t)(r->count + 1) * sizeof *value);
    int64_t n = 0, flagged = 0;
    for (int64_t i = 0; value && i < r->count; i++)
        if (!(r->at[i].flags & RAW_DISCARDED))
            value[n++] = r->at[i].seconds;
    if (n == 0) {
        free(value);
        return 0;
    }
    const double median = stats_median(value, n);
    for (int64_t i = 0; i < n; i++)
        value[i] = fabs(value[i] - median);
    const double most = DEVIATIONS * OF_NORMAL * stats_median(value, n);
    free(value);
    for (int64_t i = 0; most > 0 && i < r->count; i++)
        if (!(r->at[i].flags & RAW_DISCARDED) && fabs(r->at[i].seconds - median) > most) {
            r->at[i].flags |= RAW_OUTLIER;
            flagged++;
        }
    return flagged;
}

void sidecar_json(const struct sidecar_place *p, struct json *j)
{
    if (!p->file[0]) {
        json_unavailable(j, "raw", "no record is kept");
        return;
    }
    json_open_object(j, "raw");
    json_text(j, "file", p->file);
    json_int(j, "offset", p->offset);
    json_int(j, "count", p->count);
    json_text(j, "sha256", p->sha256);
    json_end(j);
}

/* ---- bytes, the lowest first, whatever machine this is --------------------------------------- */

static unsigned char *put(unsigned char *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *to++ = (unsigned char)(value >> 8 * i);
    return to;
}

static const unsigned char *get(const unsigned char *from, uint64_t *value, int bytes)
{
    *value = 0;
    for (int i = 0; i < bytes; i++)
        *value |= (uint64_t)*from++ << 8 * i;
    return from;
}

static void entry_put(unsigned char *to, const struct raw_sample *s)
{
    uint64_t seconds;
    uint32_t mhz;
    memcpy(&seconds, &s->seconds, sizeof seconds);
    memcpy(&mhz, &s->mhz, sizeof mhz);
    put(put(put(put(to, seconds, 8), mhz, 4), s->flags, 1), s->block, 4);
}

static void entry_get(const unsigned char *from, struct raw_sample *s)
{
    uint64_t seconds, mhz, flags, block;
    get(get(get(get(from, &seconds, 8), &mhz, 4), &flags, 1), &block, 4);
    uint32_t narrow = (uint32_t)mhz;
    memcpy(&s->seconds, &seconds, sizeof s->seconds);
    memcpy(&s->mhz, &narrow, sizeof s->mhz);
    s->flags = (uint8_t)flags;
    s->block = (uint32_t)block;
}

static void head_put(unsigned char head[HEAD_BYTES])
{
    memcpy(head, "PMSAMPLE", 8);
    put(put(head + 8, VERSION, 4), ENTRY_BYTES, 4);
}

/* ---- writing --------------------------------------------------------------------------------- */

struct sidecar {
    struct out_file out;
    int64_t bytes;
};

static enum status no_memory(struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY, "no memory for a file of samples");
}

enum status sidecar_create(const char *path, struct sidecar **out, struct fault *fault)
{
    unsigned char head[HEAD_BYTES];
    struct sidecar *s = calloc(1, sizeof *s);
    if (!s)
        return no_memory(fault);
    head_put(head);
    enum status status = out_file_reserve(&s->out, path, fault);
    if (status == ST_OK)
        status = out_file_write(&s->out, head, sizeof head, fault);
    if (status != ST_OK) {
        sidecar_free(s);
        return status;
    }
    s->bytes = HEAD_BYTES;
    *out = s;
    return ST_OK;
}

enum status sidecar_resume(const char *path, int64_t bytes, struct sidecar **out,
                           struct fault *fault)
{
    char *part;
    struct sidecar *s = calloc(1, sizeof *s);
    if (!s || asprintf(&part, "%s.part", path) < 0) {
        free(s);
        return no_memory(fault);
    }
    if (access(part, F_OK) != 0)
        rename(path, part); /* where that fails, so does opening it */
    free(part);
    enum status status = out_file_resume(&s->out, path, bytes, fault);
    if (status != ST_OK) {
        sidecar_leave(s);
        return status;
    }
    s->bytes = bytes;
    *out = s;
    return ST_OK;
}

enum status sidecar_add(struct sidecar *s, const struct raw *raw, struct sidecar_place *out,
                        struct fault *fault)
{
    const size_t bytes = (size_t)raw->count * ENTRY_BYTES;
    const char *slash = strrchr(s->out.path, '/');
    unsigned char *text = malloc(bytes + 1);
    if (!text)
        return no_memory(fault);
    for (int64_t i = 0; i < raw->count; i++)
        entry_put(text + i * ENTRY_BYTES, &raw->at[i]);
    *out = (struct sidecar_place){.offset = s->bytes, .count = raw->count};
    snprintf(out->file, sizeof out->file, "%s", slash ? slash + 1 : s->out.path);
    sha256_hex(text, bytes, out->sha256);
    enum status status = out_file_write(&s->out, text, bytes, fault);
    free(text);
    s->bytes += status == ST_OK ? (int64_t)bytes : 0;
    return status;
}

int64_t sidecar_bytes(const struct sidecar *s) { return s->bytes; }

enum status sidecar_sync(struct sidecar *s, struct fault *fault)
{
    return fsync(s->out.fd) == 0
               ? ST_OK
               : fault_set(fault, ST_IO, "cannot write %s: %s", s->out.path, strerror(errno));
}

/* Of the first `bytes` bytes of an open file. */
static bool digest_of(int fd, int64_t bytes, char hex[65])
{
    unsigned char piece[65536];
    struct sha256 sum;
    int64_t at = 0;
    sha256_begin(&sum);
    while (at < bytes) {
        const int64_t left = bytes - at;
        ssize_t got =
            pread(fd, piece, left < (int64_t)sizeof piece ? (size_t)left : sizeof piece, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        sha256_add(&sum, piece, (size_t)got);
        at += got;
    }
    sha256_end(&sum, hex);
    return true;
}

/* The digest is of what is in the file, also of what a process before this one wrote. */
enum status sidecar_commit(struct sidecar *s, struct fault *fault)
{
    unsigned char end[END_BYTES];
    char hex[65];
    if (!digest_of(s->out.fd, s->bytes, hex))
        return fault_set(fault, ST_IO, "cannot read %s back", s->out.path);
    memcpy(end, "PMSAMEND", 8);
    put(end + 8, (uint64_t)(s->bytes - HEAD_BYTES) / ENTRY_BYTES, 8);
    memcpy(end + 16, hex, 64);
    TRY(out_file_write(&s->out, end, sizeof end, fault));
    return out_file_commit(&s->out, fault);
}

void sidecar_leave(struct sidecar *s)
{
    if (!s)
        return;
    if (s->out.temporary)
        out_file_leave(&s->out);
    free(s);
}

void sidecar_free(struct sidecar *s)
{
    if (!s)
        return;
    out_file_discard(&s->out);
    free(s);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum status whole(const char *path, int fd, int64_t bytes, struct fault *fault)
{
    unsigned char head[HEAD_BYTES], want[HEAD_BYTES], end[END_BYTES];
    char hex[65];
    uint64_t entries;
    head_put(want);
    if (pread(fd, head, sizeof head, 0) != sizeof head || memcmp(head, want, 8) != 0)
        return fault_set(fault, ST_BAD_INPUT, "%s is no file of samples", path);
    if (memcmp(head, want, sizeof head) != 0)
        return fault_set(fault, ST_BAD_INPUT, "%s is of a version that this program cannot read",
                         path);
    if (bytes < HEAD_BYTES + END_BYTES ||
        pread(fd, end, sizeof end, (off_t)(bytes - END_BYTES)) != sizeof end ||
        memcmp(end, "PMSAMEND", 8) != 0)
        return fault_set(fault, ST_BAD_INPUT, "%s breaks off: it was cut short", path);
    get(end + 8, &entries, 8);
    if (entries != (uint64_t)(bytes - HEAD_BYTES - END_BYTES) / ENTRY_BYTES ||
        !digest_of(fd, bytes - END_BYTES, hex) || memcmp(hex, end + 16, 64) != 0)
        return fault_set(fault, ST_BAD_INPUT, "%s was changed after it was written", path);
    return ST_OK;
}

static enum status read_place(const char *path, int fd, int64_t bytes,
                              const struct sidecar_place *p, struct raw *out, struct fault *fault)
{
    char hex[65];
    const int64_t most = (bytes - HEAD_BYTES - END_BYTES) / ENTRY_BYTES;
    if (p->offset < HEAD_BYTES || p->count < 0 || p->count > most ||
        p->offset > bytes - END_BYTES - p->count * ENTRY_BYTES)
        return fault_set(fault, ST_BAD_INPUT, "%s has no %" PRId64 " samples at %" PRId64, path,
                         p->count, p->offset);
    const size_t want = (size_t)p->count * ENTRY_BYTES;
    unsigned char *text = malloc(want + 1);
    if (!text || !make_room(out, p->count)) {
        free(text);
        return no_memory(fault);
    }
    bool read = pread(fd, text, want, (off_t)p->offset) == (ssize_t)want;
    sha256_hex(text, read ? want : 0, hex);
    for (int64_t i = 0; read && i < p->count; i++)
        entry_get(text + i * ENTRY_BYTES, &out->at[i]);
    free(text);
    if (!read || strcmp(hex, p->sha256) != 0)
        return fault_set(fault, ST_BAD_INPUT, "%s is not what its record was written with", path);
    out->count = p->count;
    out->blocks = p->count ? out->at[p->count - 1].block + 1 : 0;
    return ST_OK;
}

enum status sidecar_read(const char *path, const struct sidecar_place *place, struct raw *out,
                         struct fault *fault)
{
    struct stat info;
    *out = (struct raw){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        enum status status =
            fault_set(fault, ST_BAD_INPUT, "cannot read %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return status;
    }
    enum status status = whole(path, fd, info.st_size, fault);
    if (status == ST_OK)
        status = read_place(path, fd, info.st_size, place, out, fault);
    close(fd);
    if (status != ST_OK)
        raw_free(out);
    return status;
}

// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "sweep/journal.h"

#include "records/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUM_DIGITS 16
#define MOST_BYTES (64 << 20) /* of a journal that is read; one of CASES_MOST cases is far below */

struct journal {
    int fd;
    char *path;
    char sum[SUM_DIGITS + 1]; /* of the last line */
    int64_t bytes;            /* up to the end of it */
};

const char *journal_path(const struct journal *j) { return j->path; }

/* ---- lines ---- */

/* The text without line breaks: they and the backslash are written as two characters. */
static char *escaped(const char *text)
{
    char *out = malloc(2 * strlen(text) + 1), *to = out;
    for (; out && *text; text++) {
        const char mark = (char)(*text == '\n'   ? 'n'
                                 : *text == '\r' ? 'r'
                                 : *text == '\\' ? '\\'
                                                 : 0);
        if (mark)
            *to++ = '\\';
        *to++ = mark ? mark : *text;
    }
    if (out)
        *to = 0;
    return out;
}

static void unescape(char *text)
{
    char *to = text;
    for (; *text; text++) {
        if (*text == '\\' && text[1]) {
            text++;
            *to++ = (char)(*text == 'n' ? '\n' : *text == 'r' ? '\r' : *text);
        } else
            *to++ = *text;
    }
    *to = 0;
}

/* The sum of a line whose forerunner has `before`. */
static bool sum_of(const char *before, const char *line, char out[SUM_DIGITS + 1])
{
    char *joined, hex[65];
    if (asprintf(&joined, "%s %s", before, line) < 0)
        return false;
    sha256_hex(joined, strlen(joined), hex);
    free(joined);
    snprintf(out, SUM_DIGITS + 1, "%.*s", SUM_DIGITS, hex);
    return true;
}

/* ---- writing ---- */

static enum status cannot_write(const struct journal *j, int why, struct fault *fault)
{
    return fault_set(fault, ST_IO, "cannot write %s: %s", j->path, strerror(why));
}

static enum status append(struct journal *j, const char *data, size_t bytes, struct fault *fault)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pwrite(j->fd, data + done, bytes - done, j->bytes + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int why = errno;
            if (ftruncate(j->fd, j->bytes))
                why = errno;
            return cannot_write(j, why, fault);
        }
        done += (size_t)n;
    }
    j->bytes += (int64_t)bytes;
    return ST_OK;
}

/* "SUM word text\n", owned; NULL where memory is out. */
static char *line_of(const char *before, const char *word, const char *text,
                     char sum[SUM_DIGITS + 1])
{
    char *safe = escaped(text), *line = NULL, *whole = NULL;
    if (safe && asprintf(&line, "%s %s", word, safe) < 0)
        line = NULL;
    if (line && sum_of(before, line, sum) && asprintf(&whole, "%s %s\n", sum, line) < 0)
        whole = NULL;
    free(line);
    free(safe);
    return whole;
}

enum status journal_add(struct journal *j, const char *word, const char *text, struct fault *fault)
{
    char sum[SUM_DIGITS + 1];
    char *line = line_of(j->sum, word, text, sum);
    if (!line)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a line of %s", j->path);
    enum status s = append(j, line, strlen(line), fault);
    free(line);
    if (s == ST_OK)
        memcpy(j->sum, sum, sizeof sum);
    return s;
}

enum status journal_sync(struct journal *j, struct fault *fault)
{
    return fsync(j->fd) ? cannot_write(j, errno, fault) : ST_OK;
}

/* ---- opening ---- */

static enum status new_journal(const char *path, int flags, struct journal **out,
                               struct fault *fault)
{
    struct journal *j = calloc(1, sizeof *j);
    *out = NULL;
    if (!j || !(j->path = strdup(path))) {
        free(j);
        return fault_set(fault, ST_NO_MEMORY, "no memory for a journal");
    }
    j->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0666);
    if (j->fd < 0) {
        enum status s = fault_set(fault, flags ? ST_IO : ST_BAD_INPUT, "%s cannot be opened: %s",
                                  path, strerror(errno));
        journal_free(j);
        return s;
    }
    /* File systems that know no locks are taken at their word. */
    if (flock(j->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        journal_free(j);
        return fault_set(fault, ST_REFUSED, "%s is in use: its sweep is still running", path);
    }
    *out = j;
    return ST_OK;
}

enum status journal_create(const char *path, struct journal **out, struct fault *fault)
{
    return new_journal(path, O_CREAT | O_EXCL, out, fault);
}

static enum status read_whole(const struct journal *j, char **out, size_t *bytes,
                              struct fault *fault)
{
    struct stat info;
    if (fstat(j->fd, &info) || !S_ISREG(info.st_mode) || info.st_size > MOST_BYTES)
        return fault_set(fault, ST_BAD_INPUT, "%s is no journal of a sweep", j->path);
    char *text = malloc((size_t)info.st_size + 1);
    size_t done = 0;
    if (!text)
        return fault_set(fault, ST_NO_MEMORY, "no memory to read %s", j->path);
    for (ssize_t n = 1; n > 0 && done<(size_t)info.st_size; done += n> 0 ? (size_t)n : 0)
        n = pread(j->fd, text + done, (size_t)info.st_size - done, (off_t)done);
    text[done] = 0;
    *out = text;
    *bytes = done;
    return ST_OK;
}

/* "SUM word text", the line break taken off; false where it is not what was written. */
static bool line_holds(const struct journal *j, const char *line, char sum[SUM_DIGITS + 1])
{
    return strlen(line) > SUM_DIGITS + 1 && line[SUM_DIGITS] == ' ' &&
           sum_of(j->sum, line + SUM_DIGITS + 1, sum) && !strncmp(line, sum, SUM_DIGITS);
}

static enum status take_lines(struct journal *j, char *text, size_t bytes,
                              enum status (*take)(void *, const char *, const char *,
                                                  struct fault *),
                              void *user, struct fault *fault)
{
    char *at = text;
    for (int number = 1; at < text + bytes; number++) {
        char sum[SUM_DIGITS + 1], *end = memchr(at, '\n', (size_t)(text + bytes - at));
        if (!end)
            break; /* torn: a line is written in one piece, its line break last */
        *end = 0;
        if (!line_holds(j, at, sum))
            return fault_set(fault, ST_BAD_INPUT,
                             "%s, line %d, is not as it was written; the sweep cannot be gone on"
                             " with, run it anew",
                             j->path, number);
        char *word = at + SUM_DIGITS + 1, *rest = strchr(word, ' ');
        if (rest)
            *rest++ = 0;
        else
            rest = end;
        unescape(rest);
        TRY(take(user, word, rest, fault));
        memcpy(j->sum, sum, sizeof sum);
        at = end + 1;
        j->bytes = at - text;
    }
    return ST_OK;
}

enum status journal_open(const char *path,
                         enum status (*take)(void *user, const char *word, const char *text,
                                             struct fault *fault),
                         void *user, struct journal **out, struct fault *fault)
{
    struct journal *j;
    char *text = NULL;
    size_t bytes = 0;
    *out = NULL;
    TRY(new_journal(path, 0, &j, fault));
    enum status s = read_whole(j, &text, &bytes, fault);
    if (s == ST_OK)
        s = take_lines(j, text, bytes, take, user, fault);
    free(text);
    if (s == ST_OK && ftruncate(j->fd, j->bytes))
        s = cannot_write(j, errno, fault);
    if (s == ST_OK)
        *out = j;
    else
        journal_free(j);
    return s;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j);
}

void journal_remove(struct journal *j)
{
    if (j)
        unlink(j->path);
    journal_free(j);
}

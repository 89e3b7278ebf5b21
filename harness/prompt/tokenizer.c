// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "prompt/tokenizer.h"

#ifdef HAVE_SENTENCEPIECE

#include "base/text.h"
#include "prompt/sentencepiece.h"
#include "prompt/tokenizer_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_MAX_BYTES (256 << 20)
#define CONFIG_MAX_BYTES (16 << 20)
#define EXTRA_IDS 100 /* the T5 tokenizer's default */
#define EXTRA_IDS_MAX 65536

struct tokenizer {
    struct spiece *model;
    int32_t end, pad, unknown;
    int64_t pieces; /* in the model; <extra_id_0> is the last of those that follow */
    int64_t extra;
};

/* ---- files ----------------------------------------------------------------------------------- */

static enum status read_all(int fd, const char *path, char *out, size_t bytes, struct fault *fault)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(fd, out + done, bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fault_set(fault, ST_IO, "cannot read %s at byte %zu: %s", path, done,
                             n < 0 ? strerror(errno) : "it shrank while being read");
        done += (size_t)n;
    }
    return ST_OK;
}

/* The whole of a regular file, NUL-terminated; free() it. */
static enum status read_file(const char *path, size_t limit_bytes, char **out, size_t *bytes,
                             struct fault *fault)
{
    struct stat info;
    *out = NULL;
    /* Without O_NONBLOCK a FIFO would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fault_set(fault, ST_BAD_INPUT, "cannot open %s: %s", path, strerror(errno));
    enum status s = ST_OK;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        s = fault_set(fault, ST_BAD_INPUT, "%s is not a regular file", path);
    else if ((uint64_t)info.st_size > limit_bytes)
        s = fault_set(fault, ST_BAD_INPUT, "%s has %lld bytes; no tokenizer has more than %zu",
                      path, (long long)info.st_size, limit_bytes);
    else if (!(*out = malloc((size_t)info.st_size + 1)))
        s = fault_set(fault, ST_NO_MEMORY, "no memory for the %lld bytes of %s",
                      (long long)info.st_size, path);
    if (s == ST_OK) {
        *bytes = (size_t)info.st_size;
        (*out)[*bytes] = '\0';
        s = read_all(fd, path, *out, *bytes, fault);
    }
    close(fd);
    if (s != ST_OK) {
        free(*out);
        *out = NULL;
    }
    return s;
}

/* "extra_ids": N of tokenizer_config.json. One number is wanted of that file, so its key is looked
 * for and nothing else parsed: within a JSON string the quotes would be escaped, and a string that
 * is a value is not followed by a colon. */
static enum status read_extra_ids(const char *path, int64_t *extra, struct fault *fault)
{
    static const char key[] = "\"extra_ids\"";
    char *text;
    size_t bytes;
    if (access(path, F_OK) != 0)
        return ST_OK;
    TRY(read_file(path, CONFIG_MAX_BYTES, &text, &bytes, fault));
    enum status s = ST_OK;
    for (const char *at = text; s == ST_OK && (at = strstr(at, key)) != NULL;) {
        at += strlen(key);
        at += strspn(at, " \t\r\n");
        if (*at != ':')
            continue;
        at += 1 + strspn(at + 1, " \t\r\n");
        char *end;
        long long n = strtoll(at, &end, 10);
        if (end == at || n < 0 || n > EXTRA_IDS_MAX)
            s = fault_set(fault, ST_BAD_INPUT, "%s: \"extra_ids\" is not a number from 0 to %d",
                          path, EXTRA_IDS_MAX);
        else
            *extra = n;
    }
    free(text);
    return s;
}

/* ---- open ------------------------------------------------------------------------------------ */

static enum status wanted_piece(const struct tokenizer *t, const char *path, const char *piece,
                                int32_t *id, struct fault *fault)
{
    *id = spiece_find(t->model, piece);
    if (*id == t->unknown)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s has no piece \"%s\"; the tokenizer of a T5 or UMT5 text encoder is "
                         "needed",
                         path, piece);
    return ST_OK;
}

static enum status load_model(struct tokenizer *t, const char *path, struct fault *fault)
{
    char *data, why[512];
    size_t bytes;
    TRY(read_file(path, MODEL_MAX_BYTES, &data, &bytes, fault));
    enum status s = tokenizer_check_model(path, data, bytes, fault);
    if (s == ST_OK && spiece_open(data, bytes, &t->model, why, sizeof why) != 0) {
        char shown[512];
        s = fault_set(fault, ST_BAD_INPUT, "%s is not a SentencePiece model: %s", path,
                      text_printable(why, strlen(why), shown, sizeof shown));
    }
    free(data);
    TRY(s);
    t->pieces = spiece_size(t->model);
    t->unknown = spiece_unknown(t->model);
    TRY(wanted_piece(t, path, "</s>", &t->end, fault));
    TRY(wanted_piece(t, path, "<pad>", &t->pad, fault));
    if (!spiece_marks_words(t->model))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s does not mark the beginning of a word; the tokenizer of a T5 or UMT5 "
                         "text encoder is needed",
                         path);
    if (spiece_find(t->model, "<extra_id_0>") != t->unknown)
        t->extra = 0; /* they are pieces */
    return ST_OK;
}

static char *joined(const char *folder, const char *name)
{
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *out = malloc(bytes);
    if (out)
        snprintf(out, bytes, "%s/%s", folder, name);
    return out;
}

static enum status open_folder(struct tokenizer *t, const char *folder, struct fault *fault)
{
    char *model = joined(folder, "spiece.model"), *config = joined(folder, "tokenizer_config.json");
    enum status s = model && config ? read_extra_ids(config, &t->extra, fault)
                                    : fault_set(fault, ST_NO_MEMORY, "no memory for a path");
    if (s == ST_OK)
        s = load_model(t, model, fault);
    free(model);
    free(config);
    return s;
}

enum status tokenizer_open(const char *path, struct tokenizer **out, struct fault *fault)
{
    struct stat info;
    struct tokenizer *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a tokenizer");
    t->extra = EXTRA_IDS;
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    enum status s = folder ? open_folder(t, path, fault) : load_model(t, path, fault);
    if (s != ST_OK) {
        tokenizer_close(t);
        return s;
    }
    *out = t;
    return ST_OK;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    if (t->model)
        spiece_close(t->model);
    free(t);
}

int64_t tokenizer_vocabulary(const struct tokenizer *t) { return t->pieces + t->extra; }

/* ---- encode ---------------------------------------------------------------------------------- */

struct sentence {
    const struct tokenizer *t;
    int32_t *ids;
    int64_t room, count; /* room: without the </s> at the end */
};

static void put(struct sentence *s, int32_t id)
{
    if (s->count < s->room)
        s->ids[s->count++] = id;
}

static enum status put_word(struct sentence *s, const char *word, size_t bytes, struct fault *fault)
{
    int64_t room = s->room - s->count, count;
    if (bytes == 0 || room == 0)
        return ST_OK;
    if (spiece_encode(s->t->model, word, bytes, s->ids + s->count, room, &count) != 0)
        return fault_set(fault, ST_BAD_INPUT,
                         "the tokenizer's library cannot segment the prompt: a word of %zu bytes",
                         bytes);
    s->count += count < room ? count : room;
    return ST_OK;
}

/* Bytes of "<extra_id_K>" at text, K without leading zeros; 0 where there is none. */
static size_t extra_token(const struct tokenizer *t, const char *text, int32_t *id)
{
    static const char prefix[] = "<extra_id_";
    char piece[32];
    const char *digits = text + strlen(prefix);
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return 0;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 5 || digits[n] != '>' || (n > 1 && digits[0] == '0'))
        return 0;
    size_t bytes = strlen(prefix) + n + 1;
    snprintf(piece, sizeof piece, "%.*s", (int)bytes, text);
    *id = spiece_find(t->model, piece);
    if (*id != t->unknown)
        return bytes;
    long k = strtol(digits, NULL, 10);
    *id = (int32_t)(t->pieces + t->extra - 1 - k);
    return k < t->extra ? bytes : 0;
}

static size_t special_token(const struct tokenizer *t, const char *text, int32_t *id)
{
    const struct {
        const char *name;
        int32_t id;
    } tokens[] = {{"</s>", t->end}, {"<pad>", t->pad}, {"<unk>", t->unknown}};
    if (*text != '<')
        return 0;
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        *id = tokens[i].id;
        if (strncmp(text, tokens[i].name, strlen(tokens[i].name)) == 0)
            return strlen(tokens[i].name);
    }
    return extra_token(t, text, id);
}

/* The text is clean: a single space ends a word, and so does a special token. */
static enum status put_text(struct sentence *s, const char *text, struct fault *fault)
{
    const char *word = text, *at = text;
    while (*at && s->count < s->room) {
        int32_t id;
        size_t special = special_token(s->t, at, &id);
        if (*at != ' ' && special == 0) {
            at++;
            continue;
        }
        TRY(put_word(s, word, (size_t)(at - word), fault));
        if (special)
            put(s, id);
        at += special ? special : 1;
        word = at;
    }
    return put_word(s, word, (size_t)(at - word), fault);
}

enum status tokenizer_encode(const struct tokenizer *t, const char *text, int64_t rows,
                             int32_t *ids, int64_t *count, struct fault *fault)
{
    struct sentence s = {.t = t, .ids = ids, .room = rows - 1};
    char *clean;
    TRY(tokenizer_clean(text, &clean, fault));
    enum status status = put_text(&s, clean, fault);
    free(clean);
    TRY(status);
    ids[s.count++] = t->end;
    *count = s.count;
    for (int64_t i = s.count; i < rows; i++)
        ids[i] = t->pad;
    return ST_OK;
}

#else

enum status tokenizer_open(const char *path, struct tokenizer **out, struct fault *fault)
{
    *out = NULL;
    return fault_set(fault, ST_NOT_BUILT,
                     "this build has no SentencePiece, which %s needs; install "
                     "libsentencepiece-dev and build again, or give --prompt-embeds",
                     path);
}

void tokenizer_close(struct tokenizer *t) { (void)t; }

int64_t tokenizer_vocabulary(const struct tokenizer *t)
{
    (void)t;
    return 0;
}

enum status tokenizer_encode(const struct tokenizer *t, const char *text, int64_t rows,
                             int32_t *ids, int64_t *count, struct fault *fault)
{
    (void)t, (void)text, (void)rows, (void)ids;
    *count = 0;
    return fault_set(fault, ST_NOT_BUILT, "this build has no SentencePiece");
}

#endif

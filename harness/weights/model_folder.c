// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "weights/model_folder_state.h"

#include "base/text.h"
#include "presets/wan.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct model_folder *folders; /* of this process */

/* The last name of the path, whatever links and dots it was reached by. */
static void take_name(struct model_folder *f)
{
    char whole[PATH_MAX];
    const char *path = realpath(f->path, whole) ? whole : f->path, *slash = strrchr(path, '/');
    const char *name = slash && slash[1] ? slash + 1 : "model";
    text_printable(name, strlen(name), f->name, sizeof f->name);
}

enum status model_folder_of(const char *path, struct model_folder **out, struct fault *fault)
{
    for (*out = folders; *out; *out = (*out)->next)
        if (!strcmp((*out)->path, path))
            return ST_OK;
    struct stat info;
    if (strlen(path) > PATH_MAX - 300 || stat(path, &info) != 0)
        return fault_set(fault, ST_BAD_INPUT, "cannot open %.300s: %s", path,
                         strlen(path) > PATH_MAX - 300 ? "the name is too long" : strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return fault_set(fault, ST_BAD_INPUT,
                         "--model %s is a file; name a model's folder, in the layout of diffusers",
                         path);
    struct model_folder *f = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path))) {
        free(f);
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
    }
    take_name(f);
    f->model.shift = 1; /* where a scheduler's file leaves it out */
    f->weights = model_folder_source;
    f->weights.user = f;
    enum status s = model_folder_configure(f, fault);
    if (s != ST_OK) {
        free(f->path);
        free(f);
        return s;
    }
    f->next = folders;
    *out = folders = f;
    return ST_OK;
}

struct model_folder *model_folder_owner(const struct model_config *model)
{
    struct model_folder *f = folders;
    while (f && &f->model != model)
        f = f->next;
    return f;
}

const struct model_config *model_folder_config(const struct model_folder *f) { return &f->model; }

const struct weights_source *model_folder_weights(const struct model_folder *f)
{
    return &f->weights;
}

const char *model_folder_scheduler_problem(const struct model_folder *f)
{
    return f->scheduler_problem;
}

/* ---- prompts --------------------------------------------------------------------------------- */

static enum status tokenize(void *user, const char *text, int64_t rows, int32_t *ids,
                            int64_t *count, struct fault *fault)
{
    const struct model_folder *f = user;
    if (f->tokenizer)
        return tokenizer_encode(f->tokenizer, text, rows, ids, count, fault);
    *count = tokenize_bytes(text, rows, ids);
    return ST_OK;
}

static enum status open_tokenizer(struct model_folder *f, struct fault *fault)
{
    char path[PATH_MAX];
    struct stat info;
    snprintf(path, sizeof path, "%s/tokenizer/spiece.model", f->path);
    if (stat(path, &info) != 0) {
        f->reads_bytes = f->model.text.vocab == WAN_BYTE_VOCAB;
        return f->reads_bytes
                   ? ST_OK
                   : fault_set(fault, ST_BAD_INPUT,
                               "%s is missing, without which a prompt cannot be read; put it there "
                               "or give --prompt-embeds",
                               path);
    }
    *strrchr(path, '/') = 0;
    TRY(tokenizer_open(path, &f->tokenizer, fault));
    if (tokenizer_vocabulary(f->tokenizer) <= f->model.text.vocab)
        return ST_OK;
    fault_set(fault, ST_BAD_INPUT,
              "%s has %lld token numbers, and the text encoder embeds only %lld; they belong to "
              "different models",
              path, (long long)tokenizer_vocabulary(f->tokenizer), (long long)f->model.text.vocab);
    tokenizer_close(f->tokenizer);
    f->tokenizer = NULL;
    return ST_BAD_INPUT;
}

enum status model_folder_tokenizer(struct model_folder *f, struct generate_tokenizer *out,
                                   struct fault *fault)
{
    if (!f->component[FOLDER_TEXT].is_there)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s holds no folder 'text_encoder', so a prompt cannot be encoded; give "
                         "--prompt-embeds",
                         f->path);
    if (!f->tokenizer && !f->reads_bytes)
        TRY(open_tokenizer(f, fault));
    *out = (struct generate_tokenizer){tokenize, f};
    return ST_OK;
}

bool model_folder_reads_bytes(const struct model_folder *f) { return f->reads_bytes; }
